"""Commands that start a run: `nightly`, `ingest`, `backtest`, `recipe`. The work is in the flows; here is
what the user sees.
"""

import atexit
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flows.commands import Outcome, Request
from flows.commands.advice import advised, command_line
from flows.commands.readers import latest_report, published_path
from flows.output import as_table
from flows.running.interruption import Terminated, signal_of
from flows.running.temporary_server import TemporaryServer
from flows.settings.layers import export, forget_prefect_address, prefect_address, prepare_process, resolve
from forecast_lib.config import RunConfig
from forecast_lib.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["backtest", "ingest", "nightly", "recipe"]

_SHOWN = [
    "ticker",
    "cutoff",
    "step",
    "target_session",
    "last_close",
    "point",
    "q025",
    "q975",
    "made_by",
    "source",
]
_ROWS_SHOWN = 60


def _mute() -> None:
    """The last words of the process: DuckDB's binding complains of references that Prefect's threads still
    hold, pages of them.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _go_without_a_dead_server() -> None:
    """A night must not be lost because the server that would show it is down."""
    from flows.service.deployments import is_up

    address = prefect_address()
    if address is not None and not is_up(address):
        print(
            f"tickercast: no Prefect server answers at {address}: the run goes on, but is not shown there",
            file=sys.stderr,
        )
        forget_prefect_address()


def _prepared(request: Request, config: RunConfig | None = None) -> tuple[RunConfig, TemporaryServer]:
    """The config; the same settings are exported, so that a flow in this process resolves this very run. And
    its server, starting.
    """
    config = config or resolve(request.overrides)
    if config.also and request.command != "backtest":
        raise UsageError(
            f"{request.settings.given['model']} names {1 + len(config.also)} variants:"
            f" {request.command} takes one, backtest several"
        )
    export(request.overrides, run=config)
    _go_without_a_dead_server()
    prepare_process(quiet=True)
    atexit.register(_mute)  # before Prefect registers anything, so that it runs after all of it
    return config, TemporaryServer()


def _done(
    kind: str, config: RunConfig, server: TemporaryServer, run: Callable[[], "RunSummary"]
) -> "RunSummary":
    """The run's summary, also where a signal came when all was stored and published already.

    Raises:
        Interrupted: a signal came before; says what became of the run.
    """
    try:
        with server.in_use():
            return run()
    except (KeyboardInterrupt, Terminated) as error:
        return _after(signal_of(error), kind, config)


def _after(came: signal.Signals, kind: str, config: RunConfig) -> "RunSummary":
    from forecast_lib.jobs.record.fate import fate_of
    from forecast_lib.jobs.record.summary import RunSummary

    fate = fate_of(config.workspace, config.run_id)
    if fate.published is None:
        what = "is stored, and will be published by the next run" if fate.stored else "stored nothing"
        raise Interrupted(
            f"interrupted by {came.name}: run {config.run_id} {what}; what was published before stays", came
        )
    status, message = fate.published
    said = f"{message}; {came.name} came when all of it was stored and published"
    return RunSummary(
        config.run_id, kind, status, config.as_of.day, said, published=str(published_path(config.workspace))
    )


def _outcome(config: RunConfig, summary: "RunSummary") -> Outcome:
    values: dict[str, Any] = json.loads(summary.as_json())
    return Outcome(summary.exit_code, {**values, "workspace": str(config.workspace)})


def _print_run(summary: "RunSummary", repeated: Mapping[str, str]) -> None:
    counts = ", ".join(f"{count} {status}" for status, count in summary.tickers.items() if count)
    print(
        f"run {summary.run_id}: {summary.status}, as of {summary.as_of}" + (f"; {counts}" if counts else "")
    )
    if summary.message:
        print(summary.message)
    if summary.simulated:
        print("simulated market: these are not real prices")
    for row in summary.degraded[:20]:
        print(advised(f"  {row['ticker']}: {row['status']}, {row['reason']}", repeated))
    if len(summary.degraded) > 20:
        print(f"  and {len(summary.degraded) - 20} more: {command_line('status', repeated)}")
    for row in summary.flags[:20]:
        print(f"  {row['ticker']}: {row['flags']}")
    for notice in summary.notices:
        print(f"  {notice}")


def _print_forecasts(config: RunConfig, repeated: Mapping[str, str]) -> None:
    from forecast_lib.jobs.monitor.standing import latest_forecasts

    frame = latest_forecasts(published_path(config.workspace))[_SHOWN]
    print(
        "\nIt forecasts the risk, not the direction: how far each price may move, and how likely that is.\n"
    )
    print(as_table(frame.head(_ROWS_SHOWN)), end="")
    if len(frame) > _ROWS_SHOWN:
        print(f"… and {len(frame) - _ROWS_SHOWN} more rows: {command_line('forecasts', repeated)}")
    print(f"\nreport  {latest_report(config.workspace)}")
    print("SQL     " + command_line('sql "SELECT ticker, step, point FROM latest_forecasts"', repeated))


def _print_figures(summary: "RunSummary") -> None:
    import pandas as pd

    print()
    print(as_table(pd.DataFrame(summary.figures, dtype=object)), end="")
    print(f"\nreport  {summary.report}")


def nightly(request: Request) -> Outcome:
    """The whole flow; ends with the forecast table, the report's place and a query to try."""
    config, server = _prepared(request)
    from flows.nightly import run_nightly

    summary = _done(request.command, config, server, lambda: run_nightly(config))
    _print_run(summary, request.settings.repeated)
    if summary.published:
        _print_forecasts(config, request.settings.repeated)
    return _outcome(config, summary)


def ingest(request: Request) -> Outcome:
    """Prices only."""
    config, server = _prepared(request)
    from flows.nightly import run_ingest

    summary = _done(request.command, config, server, lambda: run_ingest(config))
    _print_run(summary, request.settings.repeated)
    return _outcome(config, summary)


def backtest(request: Request) -> Outcome:
    """Rolling-origin backtest, or a replay of the nights; ends with the models' scores as a table and the
    report's place.
    """
    config, server = _prepared(request)
    from flows.backtest import run_backtest

    summary = _done(request.command, config, server, lambda: run_backtest(config))
    _print_run(summary, request.settings.repeated)
    if summary.figures:
        _print_figures(summary)
    return _outcome(config, summary)


def recipe(request: Request) -> Outcome:
    """One walkthrough recipe, by name; ends with its figures as a table and the report's place."""
    from flows.settings.recipe import recipe_config

    config, server = _prepared(request, recipe_config(request.words[0], request.overrides))
    from flows.recipe import run_recipe

    summary = _done(request.command, config, server, lambda: run_recipe(request.words[0], config))
    _print_run(summary, request.settings.repeated)
    _print_figures(summary)
    return _outcome(config, summary)
