"""The commands, and the settings that belong to them alone: those that no config of the library holds.

What a class of settings is to `forecast_lib.config` it is here: a field is all there is to say of a setting.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forecast_lib.config import (
    BacktestConfig,
    BesideConfig,
    ModelConfig,
    Policy,
    RunConfig,
    SourceConfig,
    TrainConfig,
)
from forecast_lib.domain import MAX_BACKFILL
from forecast_lib.setting import refuse_impossible, setting

__all__ = ["CLASSES", "COMMANDS", "Command", "Everywhere", "Plain", "Positional"]


class Checked:
    """Ranges are checked when it is built, as those of a config."""

    def __post_init__(self) -> None:
        refuse_impossible(self)


@dataclass(frozen=True)
class Everywhere:
    """What every command takes."""

    workspace: Path = setting(
        Path("workspace"), "Folder of the databases, models and reports; made when missing.", "DIR"
    )
    profile: str | None = setting(
        None,
        "Settings from a profile file of that name; see deployments/profiles. None when not given.",
        "NAME",
        form="Profile",
        in_profiles=False,
    )
    json: bool = setting(
        False, "Print a machine-readable summary as the last line of standard output.", in_profiles=False
    )
    debug: bool = setting(
        False,
        "Show the traceback of an unexpected error instead of writing it to the log only.",
        in_profiles=False,
    )


@dataclass(frozen=True)
class Names:
    """Who is asked for."""

    tickers: tuple[str, ...] | None = setting(
        None,
        "Tickers, for example AAPL,BTC-USD. The source's own list when neither this nor a universe is given.",
        "A,B",
        form="Tickers",
        most=5_000,
    )
    universe: str | None = setting(
        None,
        "File with the tickers: TOML, or plain text with one a line; or the name of a shipped one.",
        "FILE",
    )


@dataclass(frozen=True)
class When:
    """From when a run looks."""

    as_of: dt.date | None = setting(
        None,
        "The evening to look from: closed sessions dated up to it are known, none later. Today (UTC) when not"
        " given.",
        "DATE",
        form="As of",
    )
    known_at: dt.datetime | None = setting(
        None, "Price revisions stored up to this time count. Now when not given.", "TIME"
    )


@dataclass(frozen=True)
class Plain:
    """Of the runs that can do without Prefect."""

    plain: bool = setting(
        False, "The same run without Prefect: sooner, and with no record of it but the workspace's own."
    )


@dataclass(frozen=True)
class Night(Checked):
    """What a night does besides its own work."""

    backfill: int = setting(
        5,
        "Make up for at most so many missed nights, the newest ones, oldest first. A run by hand does so only"
        " where this is given; on a workspace without a night it then begins so many evenings ago.",
        "N",
        within=(0, MAX_BACKFILL),
        form="Missed nights",
    )


@dataclass(frozen=True)
class RecipeFiles:
    """What a recipe reads besides its series."""

    test_file: Path | None = setting(
        None,
        "File of the days to be forecast, for google-deep. Google_Stock_Price_Test.csv beside the training"
        " file when not given.",
        "FILE",
    )


@dataclass(frozen=True)
class Told:
    """Who is told how a run ended, and from when on a night is late."""

    notify: str | None = setting(
        None,
        "Who is told of a run that failed, is degraded, stale or late: addresses of Apprise, or"
        " prefect:TYPE/NAME of a notification block, separated by commas; better set as a variable, where no"
        " list of processes shows it.",
        "ADDRESSES",
        kind="addresses",
        secret=True,
    )
    deadline: dt.time | None = setting(
        None,
        "When a night is to be published at the latest, by the exchange's own clock, for example 20:00:"
        " status, metrics and notifications then know whether it is late.",
        "HH:MM",
    )


@dataclass(frozen=True)
class Metrics:
    """Where a run's metrics are written."""

    metrics_dir: Path | None = setting(
        None,
        "Folder for the metrics in Prometheus's text format, for example node exporter's; the file there has"
        " the name of the workspace's folder, so give each workspace its own. metrics.prom in the workspace"
        " when not given.",
        "DIR",
    )


@dataclass(frozen=True)
class Copies:
    """Where a run's publication is copied to."""

    publish_to: str | None = setting(
        None,
        "Where other machines read: a copy of published.duckdb and latest_forecasts.parquet are put there"
        " after each run that publishes. A folder, which must exist, or an address such as"
        " s3://bucket/folder; one for each workspace.",
        "FOLDER",
        kind="place",
    )


@dataclass(frozen=True)
class Linked:
    """How a run's page links its report."""

    reports_url: str | None = setting(
        None,
        "Address under which reports are served, for the links on Prefect's page; `tickercast serve` sets it"
        " to its own.",
        "URL",
        kind="url",
    )


@dataclass(frozen=True)
class Tell:
    """Of `status`."""

    tell: bool = setting(
        False,
        "Tell the notify addresses if it is not fresh: for a timer that does not depend on Prefect.",
        in_profiles=False,
    )


@dataclass(frozen=True)
class Removing:
    """Of `maintain`."""

    dry_run: bool = setting(False, "Only list what would be removed.", form="Dry run", in_profiles=False)


@dataclass(frozen=True)
class Output:
    """How rows are written."""

    format: Literal["table", "csv", "json", "parquet"] = setting(
        "table",
        "How rows are written; as the name of the --output file ends when not given, .csv, .json or"
        " .parquet.",
        "FORMAT",
    )
    output: Path | None = setting(
        None, "Write the rows to this file; to standard output when not given.", "FILE", in_profiles=False
    )


@dataclass(frozen=True)
class Risk:
    """Whose risk, and over how long."""

    holdings: Path | None = setting(
        None,
        "CSV, Parquet or JSON file with the columns ticker and shares (below 0: sold short).",
        "FILE",
        in_profiles=False,
    )
    step: int = setting(1, "Sessions over which the holdings are looked at, up to the horizon.", "N")


@dataclass(frozen=True)
class Note:
    """Of decisions by hand."""

    note: str | None = setting(
        None,
        "Who decided, and why; stored with what is released, refused or closed.",
        "TEXT",
        in_profiles=False,
    )


@dataclass(frozen=True)
class Show:
    """Of `report`."""

    open: bool = setting(False, "Open the report in the browser too.", in_profiles=False)
    serve: bool = setting(
        False,
        "Serve the workspace's reports on loopback until stopped; no Prefect is needed.",
        in_profiles=False,
    )


@dataclass(frozen=True)
class Reports(Checked):
    """Where reports are served."""

    reports_port: int = setting(
        4201, "Port on loopback under which reports are served.", "N", within=(0, 65_535)
    )


@dataclass(frozen=True)
class Serving(Checked):
    """Of `serve`."""

    port: int = setting(
        4200, "Port of the Prefect server on this machine, where none is configured.", "N", within=(1, 65_535)
    )
    limit: int = setting(
        1, "Flow runs at the same time; the workspace allows one each.", "N", within=(1, 1_000)
    )


@dataclass(frozen=True)
class Pool:
    """Of `deploy`."""

    pool: str = setting("tickercast", "Name of the process work pool; made when missing.", "NAME")


@dataclass(frozen=True)
class Positional:
    """What a command takes besides options. `count` is `one`, `maybe` (one or none) or `many` (any
    number).
    """

    name: str
    count: str
    help: str


@dataclass(frozen=True)
class Command:
    """A command of `tickercast`: the module of `flows.commands` that has a function of its name, its one line
    of help, and the classes whose settings it takes.
    """

    name: str
    module: str
    help: str
    takes: tuple[type, ...] = ()
    positional: Positional | None = None


_ASKED = (Names, SourceConfig, When, RunConfig)
_RUN = (*_ASKED, Told, Metrics, Copies, Linked)
_NETWORKS = (BesideConfig, ModelConfig, TrainConfig)
COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command(
            "nightly",
            "runs",
            "The whole nightly flow: prices, models, forecasts, publication, report.",
            (*_RUN, *_NETWORKS, Plain, Night),
        ),
        Command(
            "ingest",
            "runs",
            "Prices only, and what is known beside them: fetch, check and store what is new.",
            (*_RUN, BesideConfig, Plain),
        ),
        Command(
            "backtest",
            "runs",
            "Rolling-origin backtest of one or more models against the baselines.",
            (*_RUN, *_NETWORKS, Plain, BacktestConfig),
        ),
        Command(
            "recipe",
            "runs",
            "One of the named walkthrough recipes, with its report.",
            (*_ASKED, Linked, ModelConfig, TrainConfig, RecipeFiles),
            Positional("name", "one", "Name of the recipe, for example tsla-stacked."),
        ),
        Command(
            "forecasts",
            "readers",
            "The latest published forecasts.",
            (Output, Names),
            Positional("ticker", "many", "Only these tickers; all of them when none is given."),
        ),
        Command(
            "sql",
            "readers",
            "Read-only query of the published database.",
            (Output,),
            Positional(
                "query",
                "one",
                "One SQL query, in quotes; the name of a .sql file with one; or - to read it from standard"
                " input.",
            ),
        ),
        Command(
            "risk", "readers", "Value at risk and expected shortfall of a table of holdings.", (Output, Risk)
        ),
        Command(
            "tables",
            "readers",
            "The data dictionary: every table and column with its comment.",
            (Output,),
            Positional(
                "name", "many", "Only these tables, views and macros; all of them when none is given."
            ),
        ),
        Command(
            "report",
            "readers",
            "Where the latest report is; --serve serves all of them on this machine.",
            (Show, Reports),
        ),
        Command(
            "status",
            "status",
            "Last run, age of the data in sessions, degraded tickers. Exit code 0 fresh, 10 degraded, 1"
            " failed, stale, late or died.",
            (Told, Tell),
        ),
        Command(
            "doctor",
            "doctor",
            "Checks environment, lock, workspace and source; says what to do.",
            (SourceConfig,),
        ),
        Command(
            "serve",
            "serving",
            "Runs the deployments on this machine, with their schedules.",
            (*_RUN, *_NETWORKS, Night, BacktestConfig, Reports, Serving),
        ),
        Command(
            "deploy",
            "serving",
            "Registers the deployments with a Prefect server, for a process work pool.",
            (Pool,),
        ),
        Command(
            "quarantine",
            "prices",
            "Refused rows: list [TICKER…], show ID, release ID with --note (a new revision of the price). Odd"
            " moves, stored rows: release TICKER DATE says that the move was real, refuse TICKER DATE that"
            " the row is wrong.",
            (Output, Note),
            Positional(
                "action",
                "many",
                "list (the default), list TICKER…, show ID, release ID, release TICKER DATE, refuse TICKER"
                " DATE.",
            ),
        ),
        Command(
            "gaps",
            "prices",
            "Sessions without a price: list [TICKER…], or close TICKER DATE (or FIRST..LAST) with --note,"
            " when there is none to wait for.",
            (Output, Note),
            Positional(
                "action", "many", "list (the default), list TICKER…, close TICKER DATE (or FIRST..LAST)."
            ),
        ),
        Command(
            "restore",
            "upkeep",
            "Brings back a kept snapshot of the published database.",
            (),
            Positional("snapshot", "maybe", "Name of the snapshot; the newest when none is given."),
        ),
        Command(
            "verify",
            "verify",
            "Runs a past night again from what was known then and compares all it published. Exit code 0 the"
            " same, 1 differs, 10 cannot be compared. Stores nothing.",
            (),
            Positional("date", "one", "The night's evening, YYYY-MM-DD."),
        ),
        Command(
            "maintain",
            "upkeep",
            "Removes old models and reports that nothing needs, and compacts the working database.",
            (Told, Metrics, Policy, Removing),
        ),
    )
}
"""Every command, in the order of the help."""

CLASSES: tuple[type, ...] = (
    Everywhere,
    *dict.fromkeys(owner for command in COMMANDS.values() for owner in command.takes),
)
"""Every class of settings, in the order of the help."""
