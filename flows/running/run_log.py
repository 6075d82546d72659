"""Where a run's lines go."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["lines_to", "run_logger", "say_again"]

_OURS = logging.getLogger("tickercast")


def run_logger() -> Any:
    """The log of the flow run that Prefect is doing here; elsewhere the library's own."""
    if "prefect.context" in sys.modules:
        from prefect.exceptions import MissingContextError
        from prefect.logging import get_run_logger

        try:
            return get_run_logger()
        except MissingContextError:
            pass
    return _OURS


class _Telling(logging.Handler):
    def __init__(self, tell: Callable[[logging.LogRecord], object]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            print(record.getMessage(), file=sys.stderr, flush=True)
        self._tell(record)


@contextlib.contextmanager
def lines_to(tell: Callable[[logging.LogRecord], object], least: int) -> Iterator[None]:
    """Lines of that level and above, that are said in the block, are told; on standard error are those that a
    person should see.
    """
    telling, level, propagated = _Telling(tell), _OURS.level, _OURS.propagate
    _OURS.addHandler(telling)
    _OURS.propagate = False
    _OURS.setLevel(least)
    try:
        yield
    finally:
        _OURS.removeHandler(telling)
        _OURS.propagate = propagated
        _OURS.setLevel(level)


def say_again(level: int, created: float, text: str) -> None:
    """Put a line into the run's log, with the time at which it was said."""
    said = run_logger()
    logger, named = getattr(said, "logger", said), getattr(said, "extra", None) or {}
    if logger.isEnabledFor(level):
        line = {"name": logger.name, "levelno": level, "levelname": logging.getLevelName(level), "msg": text}
        logger.handle(logging.makeLogRecord({**line, "created": created, **named}))
