"""What may be asked of a flow through a Prefect server: names and numbers, no path, no address, no SQL, no
code.

Whoever reaches the server can start a deployment, so parameters are an input surface: those settings that
have a title for the form, with their own ranges. Everything else that a run needs comes from the settings of
the process that runs it.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from flows.settings.commands import COMMANDS
from flows.settings.files import NAME
from flows.settings.options import Option, options_of
from forecast_lib.domain import parse_tickers
from forecast_lib.errors import UsageError

__all__ = ["BacktestParameters", "MaintenanceParameters", "NightlyParameters"]


class _Form(BaseModel):
    """A form whose fields are all optional."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def overrides(self) -> dict[str, Any]:
        """What was given, as `gather` takes it.

        >>> NightlyParameters(profile="demo", horizon=3).overrides()
        {'profile': 'demo', 'horizon': 3}
        """
        return self.model_dump(exclude_none=True)


def _tickers(names: list[str]) -> list[str]:
    try:
        return list(parse_tickers(names))
    except UsageError as error:
        raise ValueError(str(error)) from None


def _field(option: Option) -> Any:
    """Type and description of one field; of `choices` that are one value in the config a form takes one."""
    kind: Any = Literal[option.choices] if option.choices else option.of
    if option.name == "profile":
        kind = Annotated[kind, Field(pattern=f"^{NAME}$")]
    elif option.several:
        several = Field(min_length=1, max_length=option.said.most)
        kind = Annotated[list[kind], several]
        kind = kind if option.choices else Annotated[kind, AfterValidator(_tickers)]
    elif option.said.within:
        kind = Annotated[kind, Field(ge=option.said.within[0], le=option.said.within[1])]
    return kind | None, Field(None, title=option.said.form, description=option.said.help)


def _form(command: str) -> type[_Form]:
    """Of the settings that the command takes."""
    fields = {option.name: _field(option) for option in options_of(COMMANDS[command]) if option.said.form}
    return create_model("Form", __base__=_Form, **fields)


class NightlyParameters(_form("nightly")):  # type: ignore[misc]
    """Parameters of a night. What is left out is taken from the settings: environment, profile file,
    default.
    """

    model_config = ConfigDict(title="What to forecast")


class BacktestParameters(_form("backtest")):  # type: ignore[misc]
    """Parameters of the backtest flow, as those of a night."""

    model_config = ConfigDict(title="What to backtest")


class MaintenanceParameters(_form("maintain")):  # type: ignore[misc]
    """Parameters of the maintenance flow; the policy itself is in the settings."""

    model_config = ConfigDict(title="What to maintain")
