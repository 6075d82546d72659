"""What each command of `tickercast` does. A module is imported only when one of its commands is asked for."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows.output import format_of

if TYPE_CHECKING:  # the process that answers a question needs no settings
    from flows.settings.layers import Settings

__all__ = ["HANDLERS", "Outcome", "Request", "handler"]


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        command: name of the command.
        settings: every option's value.
        overrides: the options of the command line alone, as text.
        words: the positional arguments.
    """

    command: str
    settings: "Settings"
    overrides: Mapping[str, str]
    words: tuple[str, ...] = ()

    @property
    def format(self) -> str:
        """How rows are written: as was asked for, else as the output file's name ends."""
        asked: str = self.settings["format"]
        return asked if self.settings.asked("format") else format_of(self.settings["output"], asked)


@dataclass(frozen=True)
class Outcome:
    """How it ended: the exit code, and JSON values for the last line of `--json`."""

    exit_code: int = 0
    summary: Mapping[str, Any] = field(default_factory=dict)


HANDLERS = {
    "nightly": "flows.commands.runs:nightly",
    "ingest": "flows.commands.runs:ingest",
    "backtest": "flows.commands.runs:backtest",
    "recipe": "flows.commands.runs:recipe",
    "forecasts": "flows.commands.readers:forecasts",
    "sql": "flows.commands.readers:sql",
    "risk": "flows.commands.readers:risk",
    "tables": "flows.commands.readers:tables",
    "report": "flows.commands.readers:report",
    "status": "flows.commands.status:status",
    "doctor": "flows.commands.doctor:doctor",
    "serve": "flows.commands.serving:serve",
    "deploy": "flows.commands.serving:deploy",
    "quarantine": "flows.commands.prices:quarantine",
    "gaps": "flows.commands.prices:gaps",
    "restore": "flows.commands.upkeep:restore",
    "verify": "flows.commands.verify:verify",
    "maintain": "flows.commands.upkeep:maintain",
}


def handler(command: str) -> Callable[[Request], Outcome]:
    """The function that does the command."""
    module, _, name = HANDLERS[command].partition(":")
    function: Callable[[Request], Outcome] = getattr(importlib.import_module(module), name)
    return function
