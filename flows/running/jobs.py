"""What a run of each kind does, whoever shows it: the library's job, for a night the missed ones too."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from flows.running.evenings import evening
from flows.settings.layers import Settings
from forecast_lib.config import RunConfig
from forecast_lib.jobs.night import run_backtest, run_ingest, run_night
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.stages import Stages

__all__ = ["StagesOf", "done"]

StagesOf = Callable[[RunConfig], AbstractContextManager[Stages]]

_JOBS = {"nightly": run_night, "ingest": run_ingest, "backtest": run_backtest}


def done(kind: str, config: RunConfig, settings: Settings, stages_of: StagesOf) -> RunSummary:
    """Do a run that somebody asked for by hand.

    Args:
        kind: nightly, ingest or backtest.
        settings: those that `config` was resolved from.
        stages_of: a night's, and of each one that is made up for.
    """

    def run(config: RunConfig) -> RunSummary:
        with stages_of(config) as stages:
            return _JOBS[kind](config, stages)

    return evening(config, settings, run) if kind == "nightly" else run(config)
