"""What a field of a config is to the people who set it, said once, beside its default: the options of the
command line, the variables, the profile files, the forms of Prefect's pages and the table of settings follow
from it.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from forecast_lib.errors import UsageError

__all__ = ["Setting", "literals", "refuse_impossible", "setting", "setting_of"]


@dataclass(frozen=True)
class Setting:
    """What is known of a field besides its type and its default.

    Attributes:
        help: one sentence or two, without default and range; empty where there is no option, only a range.
        metavar: what the help calls the value.
        within: the least and the greatest value.
        option: its name, where that is not the field's.
        kind: how its text is read, where the type does not say it.
        choices: what it may be, where the type does not say it.
        form: its title in the forms of Prefect's page; empty where nobody may set it there.
        most: entries that a list may have there.
        secret: neither shown nor stored.
        in_profiles: False for what belongs to one call.
        taken_with: the class with which commands take it, where that is not its own.
        implies: another option's name and value: who gives this one means that one, and who gives another
            value there, with more authority, means this one no more.
    """

    help: str = ""
    metavar: str = ""
    within: tuple[float, float] | None = None
    option: str = ""
    kind: str = ""
    choices: tuple[str, ...] = ()
    form: str = ""
    most: int | None = None
    secret: bool = False
    in_profiles: bool = True
    taken_with: type | None = None
    implies: tuple[str, str] | None = None


def setting(default: Any, help: str = "", metavar: str = "", **said: Any) -> Any:
    """A field of a frozen config: its default, and what a `Setting` says of it."""
    said = {"setting": Setting(help, metavar, **said)}
    return dataclasses.field(default=default, repr=not said["setting"].secret, metadata=said)


def setting_of(field: "dataclasses.Field[Any]") -> Setting:
    """What was said of a field; of most fields nothing."""
    said: Setting = field.metadata.get("setting", Setting())
    return said


def refuse_impossible(config: Any) -> None:
    """Look at every field of a config.

    Raises:
        UsageError: names the first value that is out of its range or none of its choices, by its option.
    """
    for field in dataclasses.fields(config):
        said, value = setting_of(field), getattr(config, field.name)
        called, choices = said.option or field.name, said.choices or literals(field.type)
        for each in (value if isinstance(value, tuple) else (value,)) if choices else ():
            if each not in choices:
                raise UsageError(f"{called} {each!r} is not known: expected one of {', '.join(choices)}")
        if said.within and value is not None and not said.within[0] <= value <= said.within[1]:
            raise UsageError(
                f"{called} {value} is out of range: expected {said.within[0]} to {said.within[1]}"
            )


def literals(kind: Any) -> tuple[str, ...]:
    """What a `Literal` may be; nothing for other types.

    >>> literals(Literal["auto", "retrain"]), literals(int)
    (('auto', 'retrain'), ())
    """
    return get_args(kind) if get_origin(kind) is Literal else ()
