"""Where a run's lines go."""

import logging
import sys
from typing import Any

__all__ = ["run_logger"]


def run_logger() -> Any:
    """The log of the flow run that Prefect is doing here; elsewhere the library's own."""
    if "prefect.context" in sys.modules:
        from prefect.exceptions import MissingContextError
        from prefect.logging import get_run_logger

        try:
            return get_run_logger()
        except MissingContextError:
            pass
    return logging.getLogger("tickercast")
