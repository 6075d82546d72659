"""The working database: one run at a time writes it, in one transaction."""
