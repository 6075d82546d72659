"""Schedules, each worked out once and kept beside the Python that was compiled.

`exchange_calendars` takes half a second to load and to reckon an exchange's holidays, most of what a short
command has to do. What it said is kept in the folder where Python keeps compiled code, if that is writable:
for the very releases of the libraries, text of this package and rules of the clock that it was made with.
Whoever can write there can change the program, too. A file that is damaged, or is of anything else, is made
anew.
"""

import datetime as dt
import hashlib
import io
import threading
import zipfile
import zoneinfo
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.util import cache_from_source
from pathlib import Path

import numpy as np

from forecast_lib.keeping import keep
from forecast_lib.schedules.schedule import MONDAY_TO_FRIDAY, WEEKDAYS, Schedule, days, frozen

__all__ = ["schedule"]

_BUILDING = threading.Lock()
_LIBRARIES = ("exchange_calendars", "pandas", "tzdata")


def schedule(name: str, first_year: int, last_year: int) -> Schedule:
    """The schedule of a calendar from the first day of a year to the last day of another.

    Args:
        name: as `exchange_calendars` spells it, or `weekdays`.
    """
    # one thread builds, the others find it built; and a library's warnings belong to the whole process
    with _BUILDING:
        return _cached(name, first_year, last_year)


@lru_cache(maxsize=64)
def _cached(name: str, first_year: int, last_year: int) -> Schedule:
    first, last = dt.date(first_year, 1, 1), dt.date(last_year, 12, 31)
    if name == WEEKDAYS:
        sessions = days(first, last, MONDAY_TO_FRIDAY)
        return frozen(sessions, sessions + np.timedelta64(1, "D"), dt.UTC, sessions[:0])
    kept = _place(name, first_year, last_year)
    if (found := _read(kept)) is None:
        from forecast_lib.schedules.library import built

        found = built(name, first, last)
        _keep(found, kept)
    return found


def _place(name: str, first_year: int, last_year: int) -> Path:
    compiled = Path(cache_from_source(__file__))
    return compiled.with_name(f"schedule.{name.replace('/', '-')}.{first_year}-{last_year}.npz")


def _read(path: Path) -> Schedule | None:
    """The schedule that is kept there; None where there is none, or one that may be wrong by now."""
    try:
        with np.load(path) as kept:
            key = str(kept["zone"])
            if str(kept["made_with"]) == _made_with(key):
                return frozen(kept["sessions"], kept["closes"], zoneinfo.ZoneInfo(key), kept["unplanned"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass
    return None


def _keep(found: Schedule, path: Path) -> None:
    if not isinstance(found.zone, zoneinfo.ZoneInfo):
        return
    key, content = found.zone.key, io.BytesIO()
    np.savez(
        content,
        zone=np.array(key),
        made_with=np.array(_made_with(key)),
        sessions=found.sessions,
        closes=found.closes,
        unplanned=found.unplanned,
    )
    keep(content.getvalue(), path)


@cache
def _made_with(zone: str) -> str:
    """What a schedule depends on, in a word: releases, our own text, and what the clock's rules are today."""
    digest = hashlib.sha256(" ".join(map(version, _LIBRARIES)).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    for folder in zoneinfo.TZPATH:
        if (rules := Path(folder) / zone).is_file():
            digest.update(rules.read_bytes())
            break
    return digest.hexdigest()
