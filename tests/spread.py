"""How the tests are spread over the workers of `make test`: by file, the long ones first, and one server for
all that need it.
"""

import functools
import re
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

__all__ = ["ByFile", "long_first", "marked"]

ROOT = Path(__file__).resolve().parents[1]
_SHARED = ("prefect_server", "tickercast")
_ASKS = re.compile(rf"def \w+\([^)]*\b({'|'.join(_SHARED)})\b")


@functools.cache
def _shares_the_server(file: str) -> bool:
    path = ROOT / file
    return path.suffix == ".py" and _ASKS.search(path.read_text(encoding="utf-8")) is not None


class ByFile(LoadFileScheduling):
    """A file is a unit of work; the files whose tests share the server, and the process of its commands, are
    one.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "the server's" if _shares_the_server(file) else file


def marked(items: list[pytest.Item]) -> None:
    """Mark with `prefect` what asks for a server, or for the command line with one, without saying so
    itself.
    """
    for item in items:
        if {*_SHARED, "alone"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("prefect")


def long_first(items: list[pytest.Item]) -> None:
    """What shares the server first, then what is marked as slow: a worker that gets it last keeps the other
    waiting.
    """

    def place(item: pytest.Item) -> int:
        if _shares_the_server(item.nodeid.partition("::")[0]):
            return 0
        return 1 if item.get_closest_marker("prefect") or item.get_closest_marker("slow") else 2

    files: dict[str, int] = {}
    for item in items:
        file = item.nodeid.partition("::")[0]
        files[file] = min(files.get(file, 2), place(item))
    items.sort(key=lambda item: files[item.nodeid.partition("::")[0]])
