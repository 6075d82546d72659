"""What each command of `tickercast` does. A module is imported only when one of its commands is asked for."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows.output import format_of

if TYPE_CHECKING:  # the process that answers a question needs no settings
    from flows.settings.commands import Command
    from flows.settings.layers import Settings

__all__ = ["Outcome", "Request", "handler"]


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


def handler(command: "Command") -> Callable[[Request], Outcome]:
    """The function that does the command."""
    module = importlib.import_module(f"{__name__}.{command.module}")
    function: Callable[[Request], Outcome] = getattr(module, command.name)
    return function
