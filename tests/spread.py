"""How the tests are spread over the workers of `make test`: by file, the long ones first, and one server for
all that need it; and which files need not be looked at.
"""

import functools
import re
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

__all__ = ["ByFile", "Needed", "long_first", "marked"]

ROOT = Path(__file__).resolve().parents[1]
_SHARED = ("prefect_server", "tickercast")
_NO_NETWORK = ("tests/store/", "tests/report/", "tests/prices/")
_MARKED = re.compile(r"^pytestmark = .*", re.MULTILINE)
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


class Needed:
    """Leaves out files that would be imported for nothing: a module without an example in it, a file of tests
    all of which are marked as what is not asked for. TensorFlow and Prefect take seconds, in every worker.
    """

    def __init__(self, asked: str) -> None:
        """Args:
        asked: the expression of `-m`.
        """
        self._asked = [mark for mark in ("slow", "prefect") if f"not {mark}" in asked]

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """True for such a file."""
        if collection_path.suffix != ".py":
            return None
        text = collection_path.read_text(encoding="utf-8")
        if not collection_path.name.startswith("test_"):
            return ">>>" not in text or None
        marks = " ".join(_MARKED.findall(text))
        return any(f"mark.{mark}" in marks for mark in self._asked) or None


def marked(items: list[pytest.Item]) -> None:
    """Mark with `prefect` what asks for a server, or for the command line with one, without saying so
    itself.
    """
    for item in items:
        if {*_SHARED, "alone"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("prefect")


def long_first(items: list[pytest.Item]) -> None:
    """What shares the server first, then what is marked as slow: a worker that gets it last keeps the other
    waiting. Of the slow ones those first that need no network: meanwhile the nights of the server's worker
    compile what the others need, half a minute of processor time in a new checkout.
    """

    def place(item: pytest.Item) -> int:
        if _shares_the_server(item.nodeid.partition("::")[0]):
            return 0
        if item.get_closest_marker("prefect") or item.get_closest_marker("slow"):
            return 1 if item.nodeid.startswith(_NO_NETWORK) else 2
        return 3

    files: dict[str, int] = {}
    for item in items:
        file = item.nodeid.partition("::")[0]
        files[file] = min(files.get(file, 3), place(item))
    items.sort(key=lambda item: files[item.nodeid.partition("::")[0]])
