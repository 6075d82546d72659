"""What else was known: series, events, calendars, and what they say at each session."""
