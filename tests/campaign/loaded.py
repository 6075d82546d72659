"""Loaded into the clean process that others are forked from: what would take each longer than its work.

Pandera loads half a second of modules when it checks a frame first. No database is opened here, and no thread
started: neither survives a fork.
"""

from forecast_lib.tables import validate
from tests.campaign import actors
from tests.store import nights

__all__ = ["actors"]

for _table, _frame in nights.night(0).items():
    validate(_table, _frame)
