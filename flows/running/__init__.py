"""A run while it goes: its stages and tasks, where their work is done, what it shows, and how it ends."""
