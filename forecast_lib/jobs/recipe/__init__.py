"""A named walkthrough, from its series to its page."""
