"""A shard's work on its way to another process or machine, as bytes: a function with its arrays there, what
it made of them back.

Workers import this and what the function calls, nothing of Prefect. A worker whose installation differs from
the flow's is refused: its results would be of another program, and nobody would see it.

The bytes are pickled, and whoever can put bytes in their place can run code. Between this process and its own
children they go through pipes that nobody else can open. On the way to Dask workers they are as safe as
Dask's own messages, which are pickled too: whoever reaches the scheduler can run code on every worker without
touching ours, so a signature would keep nobody out. There the network or `tls://` must.
"""

import functools
import hashlib
import os
import pickle
import platform
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from forecast_lib.errors import UsageError
from forecast_lib.jobs.record.status_rows import library_version

__all__ = [
    "check",
    "checked_work",
    "end_with_parent",
    "installation",
    "pack",
    "parcels",
    "piece",
    "unpack",
    "work",
]

Parcel = NDArray[np.uint8]

_LARGEST = 32 << 20
"""Bytes of one message to or from a Dask worker."""

_LIBRARIES = ("keras", "numba", "numpy", "pandas", "scipy", "tensorflow")
_ROOT = Path(__file__).resolve().parents[2]


def pack(value: Any) -> bytes:
    """A value as bytes; functions that no module has by name travel with their code.

    >>> unpack(pack({"close": [1.0, 2.0]}))
    {'close': [1.0, 2.0]}
    """
    return cloudpickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def unpack(content: bytes | Parcel) -> Any:
    """What `pack` packed."""
    return pickle.loads(content if isinstance(content, bytes) else content.data)


@functools.lru_cache(maxsize=1)
def installation() -> Mapping[str, str]:
    """What results may depend on: Python, the libraries that compute, and a digest of Tickercast's own
    source.
    """
    digest = hashlib.sha256()
    for package in ("flows", "forecast_lib"):
        for path in sorted((_ROOT / package).rglob("*.py")):
            digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    libraries = {name: library_version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), "tickercast": digest.hexdigest()[:12], **libraries}


def check(expected: Mapping[str, str]) -> None:
    """Compare this process's installation with the flow's.

    Raises:
        UsageError: they differ; says in what.
    """
    here = installation()
    differing = [
        f"{name} {here.get(name)} instead of {value}"
        for name, value in expected.items()
        if here.get(name) != value
    ]
    if differing:
        raise UsageError(
            f"a Dask worker has another installation than this run: {', '.join(differing)}; install the same"
            " release there"
        )


def parcels(content: bytes) -> list[Parcel]:
    """The same bytes as arrays, which Dask sends as they are; bytes it would copy several times. In pieces:
    scheduler and workers hold several messages whole at once.
    """
    whole = np.frombuffer(content, np.uint8)
    return [whole[start : start + _LARGEST] for start in range(0, max(len(whole), 1), _LARGEST)]


def piece(content: Parcel) -> Parcel:
    """A part of a shard that is larger than one message: a task of its own, so that Dask brings it anew where
    its worker is lost.
    """
    return content


def work(content: bytes | Parcel) -> bytes:
    """Call the packed (function, positional arguments, named arguments), and pack what it returns."""
    function, positional, named = unpack(content)
    return pack(function(*positional, **named))


def checked_work(pieces: Sequence[Parcel], expected: Mapping[str, str]) -> Parcel:
    """As `work` on what `parcels` cut, after `check`: a worker may have joined since the run began."""
    check(expected)
    content = pieces[0] if len(pieces) == 1 else b"".join(each.data for each in pieces)
    return np.frombuffer(work(content), np.uint8)


def end_with_parent() -> None:
    """Let this process end when the one that started it does, however that ended: a killed flow leaves nobody
    behind.
    """

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
