"""Every setting as an option: made of the fields of the configs and of the commands' own classes.

An option is text wherever it comes from; `Option.parse` makes the value, so that a wrong one is refused in
the same words whether it was typed, exported or written in a profile. Ranges are checked later, where the
configs are built.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from flows.settings.commands import CLASSES, COMMANDS, Command, Everywhere
from flows.settings.texts import PARSERS, as_text, one_of
from forecast_lib.setting import Setting, literals, setting_of

__all__ = ["COMMANDS", "OPTIONS", "PREFIX", "Option", "known_keys", "options_of"]

PREFIX = "TICKERCAST_"
_KINDS: dict[Any, str] = {
    bool: "flag",
    int: "int",
    float: "float",
    str: "text",
    Path: "path",
    dt.date: "day",
    dt.datetime: "instant",
    dt.time: "clock",
}


@dataclass(frozen=True)
class Option:
    """One option, and the setting of the same name.

    Attributes:
        name: key in profile files and in `Settings`; the flag and the environment variable follow from it.
        kind: of `PARSERS`, or `choice` or `choices` (one or more of them, separated by commas).
        default: as text; None where there is nothing to take, and the help then says what happens.
        owner: the class that has it as a field, and what commands take it with.
        field: its name there.
        of: the type of one value there.
        several: the field holds several of them.
        said: all that the field says of it.
    """

    name: str
    kind: str
    default: str | None
    choices: tuple[str, ...]
    owner: type
    field: str
    of: Any
    several: bool
    said: Setting

    @property
    def flag(self) -> str:
        """The option on the command line.

        >>> OPTIONS["as_of"].flag
        '--as-of'
        """
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable of the setting.

        >>> OPTIONS["as_of"].variable
        'TICKERCAST_AS_OF'
        """
        return PREFIX + self.name.upper()

    def parse(self, text: str, called: str) -> Any:
        """The value that `text` means. `called` is how the user named the option, for the message.

        >>> OPTIONS["horizon"].parse("5", "--horizon")
        5

        Raises:
            UsageError: the text means nothing for this kind of option.
        """
        if self.kind == "choice":
            return one_of(text, called, self.choices)
        if self.kind == "choices":
            named = (one_of(name.strip(" "), called, self.choices) for name in text.split(","))
            return tuple(dict.fromkeys(named))
        return PARSERS[self.kind](text.strip(), called)


def _options(owner: type) -> Iterator[Option]:
    """Of the fields of a class that are settings."""
    for field in dataclasses.fields(owner):
        said, of = setting_of(field), field.type
        if not said.help:
            continue
        if get_origin(of) is UnionType:  # with None
            of = next(kind for kind in get_args(of) if kind is not NoneType)
        several = get_origin(of) is tuple
        of = get_args(of)[0] if several else of
        choices = said.choices or literals(of)
        kind = "choice" if choices else "name" if several else _KINDS.get(of, "text")
        yield Option(
            said.option or field.name,
            said.kind or kind + "s" * several,
            None if field.default in (None, ()) else as_text(field.default),
            choices,
            owner,
            field.name,
            of,
            several,
            said,
        )


OPTIONS: dict[str, Option] = {option.name: option for owner in CLASSES for option in _options(owner)}
"""Every option by name, in the order of the help."""


def options_of(command: Command) -> tuple[Option, ...]:
    """The options that a command takes, in the order of the help.

    >>> [option.flag for option in options_of(COMMANDS["restore"])]
    ['--workspace', '--profile', '--json', '--debug']
    """
    taken = (Everywhere, *command.takes)
    return tuple(option for option in OPTIONS.values() if (option.said.taken_with or option.owner) in taken)


def known_keys() -> tuple[str, ...]:
    """The keys that a profile file may set."""
    return tuple(name for name, option in OPTIONS.items() if option.said.in_profiles)
