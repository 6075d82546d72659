"""A new working database is a copy of the first one: to apply every schema file takes as long as a small
run.
"""

import contextlib
import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from forecast_lib.store.working import database

__all__ = ["copied"]


@contextlib.contextmanager
def copied(first: Path) -> Iterator[None]:
    """In the block every new working database of this process is a copy of `first`, which is made when it is
    needed; `database._create.anew` makes one from the schema files.
    """
    make = database._create

    def copy(path: Path, now: dt.datetime) -> None:
        if not first.exists():
            make(first, now)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first, path)

    with mock.patch.object(database, "_create", mock.Mock(side_effect=copy, anew=make)):
        yield
