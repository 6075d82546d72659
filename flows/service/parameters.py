"""What may be asked of a flow through a Prefect server: names and numbers, no path, no address, no SQL, no
code.

Whoever reaches the server can start a deployment, so parameters are an input surface. Everything else that a
run needs comes from the settings of the process that runs it.
"""

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from forecast_lib.config import VARIANTS, Arm, Strategy
from forecast_lib.domain import MAX_BACKFILL, MAX_HORIZON, parse_tickers
from forecast_lib.errors import UsageError

__all__ = ["MAX_TICKERS", "BacktestParameters", "MaintenanceParameters", "NightlyParameters"]

MAX_TICKERS = 5_000


class NightlyParameters(BaseModel):
    """Parameters of the flows. What is left out is taken from the settings: environment, profile file,
    default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, title="What to forecast")

    profile: str | None = Field(
        None,
        title="Profile",
        description="Name of a profile file on the machine that runs the flow.",
        pattern="^[a-z0-9][a-z0-9_-]{0,40}$",
    )
    tickers: Annotated[list[str], Field(min_length=1, max_length=MAX_TICKERS)] | None = Field(
        None, title="Tickers", description="Instead of the profile's universe, for example AAPL or BTC-USD."
    )
    covariate_tickers: Annotated[list[str], Field(min_length=1, max_length=100)] | None = Field(
        None,
        title="Covariates",
        description="Tickers of the source that serve as covariates, for example ^VIX.",
    )
    as_of: dt.date | None = Field(
        None, title="As of", description="The evening to look from; today when left out."
    )
    horizon: int | None = Field(
        None, title="Horizon", description="Sessions ahead to forecast.", ge=1, le=MAX_HORIZON
    )
    model: Literal[VARIANTS] | None = Field(  # type: ignore[valid-type]
        None, title="Model", description="Network variant."
    )
    strategy: Strategy | None = Field(
        None, title="Strategy", description="What to do with yesterday's models."
    )
    backfill: int | None = Field(
        None,
        title="Missed nights",
        description="Make up for at most so many nights that were missed.",
        ge=0,
        le=MAX_BACKFILL,
    )
    seed: int | None = Field(
        None, title="Seed", description="Seed of everything random in a run.", ge=0, le=2**31 - 1
    )

    @field_validator("tickers", "covariate_tickers")
    @classmethod
    def _checked(cls, names: list[str] | None) -> list[str] | None:
        try:
            return names and list(parse_tickers(names))
        except UsageError as error:
            raise ValueError(str(error)) from None

    def overrides(self) -> dict[str, Any]:
        """What was given, as `settings.resolve` takes it.

        >>> NightlyParameters(profile="demo", horizon=3).overrides()
        {'profile': 'demo', 'horizon': 3}
        """
        return self.model_dump(exclude_none=True)


class BacktestParameters(NightlyParameters):
    """Parameters of the backtest flow."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="What to backtest")

    arms: Annotated[list[Arm], Field(min_length=1, max_length=3)] | None = Field(
        None,
        title="Arms",
        description="Replay the nights instead of folds, once for each of these schedules.",
    )


class MaintenanceParameters(BaseModel):
    """Parameters of the maintenance flow; the policy itself is in the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="What to maintain")

    profile: str | None = Field(
        None,
        title="Profile",
        description="Name of a profile file on the machine that runs the flow.",
        pattern="^[a-z0-9][a-z0-9_-]{0,40}$",
    )
    dry_run: bool | None = Field(None, title="Dry run", description="Only list what would be removed.")

    def overrides(self) -> dict[str, Any]:
        """As for `NightlyParameters`."""
        return self.model_dump(exclude_none=True)
