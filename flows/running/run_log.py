"""Where a run's lines go."""

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["kept_lines", "run_logger", "say_again"]

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


class _Keeping(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record)


@contextlib.contextmanager
def kept_lines() -> Iterator[Sequence[logging.LogRecord]]:
    """Lines that are said in the block before its flow run is there, kept for it."""
    keeping, level, propagated = _Keeping(), _OURS.level, _OURS.propagate
    _OURS.addHandler(keeping)
    _OURS.propagate = False
    _OURS.setLevel(logging.INFO)
    try:
        yield keeping.lines
    finally:
        _OURS.removeHandler(keeping)
        _OURS.propagate = propagated
        _OURS.setLevel(level)


def say_again(lines: Sequence[logging.LogRecord]) -> None:
    """Put kept lines into the run's log, with the times at which they were said."""
    said = run_logger()
    logger, named = getattr(said, "logger", said), getattr(said, "extra", None) or {}
    for line in lines:
        if logger.isEnabledFor(line.levelno):
            line.name = logger.name
            vars(line).update(named)
            logger.handle(line)
