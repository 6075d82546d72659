"""The code that Jinja makes of a template, kept where Python keeps that of its modules: to make it anew takes
each run that writes a page a third of a second.

What is kept counts for the very same template, rules and libraries, and undamaged; where nothing can be
written, a run makes it for itself.
"""

import contextlib
import hashlib
import importlib.util
import marshal
import sys
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from forecast_lib.keeping import keep

__all__ = ["KeptCode"]


class KeptCode(BytecodeCache):
    """As Python's `__pycache__`, and in it: `index.html.cpython-311.pyc`."""

    def __init__(self, rules: Collection[str]) -> None:
        """Args:
        rules: what else the code follows from, for example the source of the filters: they are called
            once for all where a template calls them with a constant.
        """
        self._rules = (version("jinja2"), *rules)

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """The file that keeps it; empty for a template that is no file."""
        return importlib.util.cache_from_source(f"{filename}.py") if filename else ""

    def get_source_checksum(self, source: str) -> str:
        """Of the template and all else that its code follows from."""
        return hashlib.sha256("\0".join((*self._rules, source)).encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take what is kept, where it is of the same template and whole."""
        with contextlib.suppress(OSError, EOFError, ValueError, TypeError):
            kept = Path(bucket.key).read_bytes()
            digest, code = kept[:32], kept[32:]
            if digest == _digest(bucket, code):
                bucket.code = marshal.loads(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it, all at once."""
        if sys.dont_write_bytecode or not bucket.key:
            return
        code = marshal.dumps(bucket.code)
        keep(_digest(bucket, code) + code, Path(bucket.key))


def _digest(bucket: Bucket, code: bytes) -> bytes:
    return hashlib.sha256(bucket.checksum.encode() + code).digest()
