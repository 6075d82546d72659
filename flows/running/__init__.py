"""A run while it goes: its stages, where their work is done, and what follows it."""
