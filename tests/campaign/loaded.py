"""Loaded into the clean process that others are forked from: what would take each longer than its work.

No database is opened here, and no thread started: neither survives a fork.
"""

from tests.campaign import actors
from tests.store import nights

__all__ = ["actors", "nights"]
