"""DuckDB is loaded whole, or not at all."""

import signal
import threading
from typing import Any

__all__ = ["load_duckdb"]

_ENDING = (signal.SIGINT, signal.SIGTERM)


def load_duckdb() -> None:
    """Load it; signals that end a command wait until it is there. Its binding aborts the process, with a
    traceback, where an exception reaches it while it is being loaded.
    """
    came: list[int] = []

    def wait(number: int, frame: Any) -> None:
        came.append(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: handler for number in _ENDING if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, wait)
    try:
        import duckdb  # noqa: F401
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for each in came:
        signal.raise_signal(each)
