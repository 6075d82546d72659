"""Commands that start a run: `nightly`, `ingest`, `backtest`, `recipe`. The work is in the flows; here is
what the user sees.
"""

import json
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flows.commands import Outcome, Request
from flows.commands.advice import advised, command_line
from flows.commands.readers import LATEST_FORECASTS, latest_report, published_path
from flows.output import as_table
from flows.running.interruption import Terminated, noted, signal_of
from flows.settings.commands import COMMANDS, Plain
from flows.settings.layers import forget_prefect_address, prefect_address, prepare_process
from flows.settings.run_config import resolve
from flows.shown.told import ToldPage
from forecast_lib.config import RunConfig
from forecast_lib.errors import Interrupted, UsageError
from forecast_lib.rows import Rows

if TYPE_CHECKING:
    from forecast_lib.jobs.record.summary import RunSummary

__all__ = ["backtest", "ingest", "nightly", "recipe"]

_SHOWN = "ticker cutoff step target_session last_close point q025 q975 made_by source".split()
_ROWS_SHOWN = 60


def _say_beginning(kind: str, config: RunConfig, more: str = "") -> None:
    """The first line of progress: what is going to be done, before anything that takes its time is loaded."""
    tickers = f"{len(config.tickers)} ticker{'s' * (len(config.tickers) != 1)}"
    print(f"{kind} of {tickers} as of {config.as_of.day}{more}", file=sys.stderr, flush=True)


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


def _run(request: Request, config: RunConfig) -> "RunSummary":
    """The run's summary, also where a signal came when all was stored and published already.

    Raises:
        Interrupted: a signal came before; says what became of the run.
    """
    if config.also and request.command != "backtest":
        raise UsageError(
            f"{request.settings.given['model']} names {1 + len(config.also)} variants:"
            f" {request.command} takes one, backtest several"
        )
    try:
        with noted():
            return _done(request, config)
    except (KeyboardInterrupt, Terminated) as error:
        return _after(signal_of(error), request.command, config)


def _done(request: Request, config: RunConfig) -> "RunSummary":
    if request.settings["plain"] and Plain in COMMANDS[request.command].takes:
        _say_beginning(request.command, config)
        prepare_process(quiet=True)
        from flows.shown.by_hand import by_hand

        return by_hand(request.command, config, request.settings)
    _go_without_a_dead_server()
    _say_beginning(request.command, config, "; Prefect is starting")
    prepare_process(quiet=True)
    if request.command == "recipe":
        with ToldPage("recipe", f"recipe-{request.words[0]}") as page:
            from flows.recipe import recipe_by_hand

            return recipe_by_hand(config, request.settings, request.words[0], page)
    with ToldPage(request.command) as page:
        from flows.shown.by_hand import by_hand

        return by_hand(request.command, config, request.settings, page)


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
    from forecast_lib.store.published.reader import read_rows

    rows = read_rows(published_path(config.workspace), LATEST_FORECASTS, parameters={"tickers": []})
    print(
        "\nIt forecasts the risk, not the direction: how far each price may move, and how likely that is.\n"
    )
    print(as_table(rows.only(*_SHOWN).head(_ROWS_SHOWN)), end="")
    if len(rows) > _ROWS_SHOWN:
        print(f"… and {len(rows) - _ROWS_SHOWN} more rows: {command_line('forecasts', repeated)}")
    print(f"\nreport  {latest_report(config.workspace)}")
    print("SQL     " + command_line('sql "SELECT ticker, step, point FROM latest_forecasts"', repeated))


def _print_figures(summary: "RunSummary") -> None:
    columns = list(summary.figures[0]) if summary.figures else []
    print()
    print(as_table(Rows(columns, [[each[name] for name in columns] for each in summary.figures])), end="")
    print(f"\nreport  {summary.report}")


def nightly(request: Request) -> Outcome:
    """The whole flow; ends with the forecast table, the report's place and a query to try."""
    config = resolve(request.settings)
    summary = _run(request, config)
    _print_run(summary, request.settings.repeated)
    if summary.published:
        _print_forecasts(config, request.settings.repeated)
    return _outcome(config, summary)


def ingest(request: Request) -> Outcome:
    """Prices only."""
    config = resolve(request.settings)
    summary = _run(request, config)
    _print_run(summary, request.settings.repeated)
    return _outcome(config, summary)


def backtest(request: Request) -> Outcome:
    """Rolling-origin backtest, or a replay of the nights; ends with the models' scores as a table and the
    report's place.
    """
    config = resolve(request.settings)
    summary = _run(request, config)
    _print_run(summary, request.settings.repeated)
    if summary.figures:
        _print_figures(summary)
    return _outcome(config, summary)


def recipe(request: Request) -> Outcome:
    """One walkthrough recipe, by name; ends with its figures as a table and the report's place."""
    from flows.settings.recipe import recipe_config

    name = request.words[0]
    config = recipe_config(name, request.settings)
    summary = _run(request, config)
    _print_run(summary, request.settings.repeated)
    _print_figures(summary)
    return _outcome(config, summary)
