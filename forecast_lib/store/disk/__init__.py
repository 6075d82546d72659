"""A workspace's files: written whole, locked, noted in the ledger; their errors in one line each."""
