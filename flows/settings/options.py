"""The one table of options: the command line, the environment and the profile files are all read through it.

An option is text wherever it comes from; `Option.parse` makes the value, so that a wrong one is refused in
the same words whether it was typed, exported or written in a profile. Ranges are checked later, where the
configs are built.
"""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from forecast_lib.config import ARMS, VARIANTS, RunnerName, SourceName, Strategy
from forecast_lib.errors import UsageError

__all__ = [
    "COMMANDS",
    "FORMATS",
    "OPTIONS",
    "SECRET_KINDS",
    "Command",
    "Option",
    "Positional",
    "as_text",
    "is_secret",
    "known_keys",
    "options_of",
]

FORMATS = ("table", "csv", "json", "parquet")
PREFIX = "TICKERCAST_"


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
    """A command of `tickercast`: which groups of options it takes, and its one line of help."""

    name: str
    help: str
    groups: tuple[str, ...] = ()
    positional: Positional | None = None


_RUN = ("run", "model", "beside")
COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command(
            "nightly",
            "The whole nightly flow: prices, models, forecasts, publication, report.",
            (*_RUN, "plain", "nightly"),
        ),
        Command(
            "ingest",
            "Prices only, and what is known beside them: fetch, check and store what is new.",
            ("run", "plain", "beside"),
        ),
        Command(
            "backtest",
            "Rolling-origin backtest of one or more models against the baselines.",
            (*_RUN, "plain", "backtest"),
        ),
        Command(
            "recipe",
            "One of the named walkthrough recipes, with its report.",
            ("run", "model", "recipe"),
            Positional("name", "one", "Name of the recipe, for example tsla-stacked."),
        ),
        Command(
            "forecasts",
            "The latest published forecasts.",
            ("output", "tickers"),
            Positional("ticker", "many", "Only these tickers; all of them when none is given."),
        ),
        Command(
            "sql",
            "Read-only query of the published database.",
            ("output",),
            Positional(
                "query",
                "one",
                "One SQL query, in quotes; the name of a .sql file with one; or - to read it from standard"
                " input.",
            ),
        ),
        Command("risk", "Value at risk and expected shortfall of a table of holdings.", ("output", "risk")),
        Command(
            "tables",
            "The data dictionary: every table and column with its comment.",
            ("output",),
            Positional(
                "name", "many", "Only these tables, views and macros; all of them when none is given."
            ),
        ),
        Command(
            "report", "Where the latest report is; --serve serves all of them on this machine.", ("report",)
        ),
        Command(
            "status",
            "Last run, age of the data in sessions, degraded tickers. Exit code 0 fresh, 10 degraded, 1"
            " failed, stale, late or died.",
            ("status",),
        ),
        Command("doctor", "Checks environment, lock, workspace and source; says what to do.", ("source",)),
        Command(
            "serve",
            "Runs the deployments on this machine, with their schedules.",
            (*_RUN, "nightly", "backtest", "serve"),
        ),
        Command(
            "deploy", "Registers the deployments with a Prefect server, for a process work pool.", ("deploy",)
        ),
        Command(
            "quarantine",
            "Refused rows: list [TICKER…], show ID, release ID with --note (a new revision of the price). Odd"
            " moves, stored rows: release TICKER DATE says that the move was real, refuse TICKER DATE that"
            " the row is wrong.",
            ("output", "upkeep"),
            Positional(
                "action",
                "many",
                "list (the default), list TICKER…, show ID, release ID, release TICKER DATE, refuse TICKER"
                " DATE.",
            ),
        ),
        Command(
            "gaps",
            "Sessions without a price: list [TICKER…], or close TICKER DATE (or FIRST..LAST) with --note,"
            " when there is none to wait for.",
            ("output", "upkeep"),
            Positional(
                "action", "many", "list (the default), list TICKER…, close TICKER DATE (or FIRST..LAST)."
            ),
        ),
        Command(
            "restore",
            "Brings back a kept snapshot of the published database.",
            (),
            Positional("snapshot", "maybe", "Name of the snapshot; the newest when none is given."),
        ),
        Command(
            "verify",
            "Runs a past night again from what was known then and compares all it published. Exit code 0 the"
            " same, 1 differs, 10 cannot be compared. Stores nothing.",
            (),
            Positional("date", "one", "The night's evening, YYYY-MM-DD."),
        ),
        Command(
            "maintain",
            "Removes old models and reports that nothing needs, and compacts the working database.",
            ("maintain",),
        ),
    )
}
"""Every command, in the order of the help."""


@dataclass(frozen=True)
class Option:
    """One option, and the setting of the same name.

    Attributes:
        name: key in profile files and in `Settings`; the flag and the environment variable follow from it.
        kind: `text`, `secret` and `addresses` (never shown), `scheduler` and `url` (an address), `place` (a
            folder or the address of a store), `int`, `float`, `flag`, `day`, `instant`, `clock` (a time of
            day), `names` (a comma-separated list), `choice` or `choices` (one or more of them, separated by
            commas).
        group: commands that name this group take the option; group `all` is taken by every command.
        default: as text; None where there is nothing to take, and `help` then says what happens.
        help: one sentence or two, without the default.
        metavar: what the help calls the value.
    """

    name: str
    kind: str
    group: str
    default: str | None
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()

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
            return _choice(text, called, self.choices)
        if self.kind == "choices":
            return tuple(
                dict.fromkeys(_choice(name.strip(" "), called, self.choices) for name in text.split(","))
            )
        return _PARSERS[self.kind](text.strip(), called)


def _choice(text: str, called: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise UsageError(f"{called} {_shown(text)} is not known: expected one of {', '.join(choices)}")
    return text


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:57] + "...")


def _text(text: str, called: str) -> str:
    if not text or not text.isprintable():
        raise UsageError(f"{called} {_shown(text)} is empty or not printable: expected a name or a path")
    return text


def _secret(text: str, called: str) -> str:
    """A proxy's address; whatever is wrong with it, it is not repeated."""
    if not re.fullmatch(r"(?:https?|socks5h?)://[!-~]+", text, re.ASCII):
        raise UsageError(
            f"{called} is not the address of a proxy: expected http://host:port or"
            " http://user:password@host:port"
        )
    return text


_ADDRESS = re.compile(r"prefect:[a-z0-9-]+/[a-z0-9-]+|[A-Za-z][A-Za-z0-9+.-]*://[!-~]+", re.ASCII)


def _notify(text: str, called: str) -> str:
    """Addresses of Apprise, or Prefect blocks; whatever is wrong with one, it is not repeated."""
    parts = re.split(r"[\s,]+", text)
    if not all(map(_ADDRESS.fullmatch, parts)):
        raise UsageError(
            f"{called} has a part that is no address: expected addresses of Apprise, for example"
            " mailto://user:password@host, or prefect:TYPE/NAME of a notification block"
        )
    return " ".join(parts)


def _scheduler(text: str, called: str) -> str:
    """The address of a Dask scheduler; a host by name, IPv4 or bracketed IPv6."""
    found = re.fullmatch(r"(?:tcp|tls)://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", text, re.ASCII)
    if not found or not 1 <= int(found[1]) <= 65535:
        raise UsageError(
            f"{called} {_shown(text)} is not the address of a Dask scheduler: expected tcp://host:port or"
            " tls://host:port"
        )
    return text


def _int(text: str, called: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,12}", text, re.ASCII):
        raise UsageError(f"{called} {_shown(text)} is not a whole number: expected for example 5")
    return int(text)


def _float(text: str, called: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{called} {_shown(text)} is not a number: expected for example 0.2")
    return value


def _place(text: str, called: str) -> str:
    """A folder, or an address that fsspec understands; that may hold a password, and is not repeated."""
    kind, address, rest = text.partition("://")
    if not address:
        return _text(text, called)
    from fsspec import available_protocols

    if kind not in available_protocols() or not re.fullmatch(r"[!-~]+", rest, re.ASCII):
        raise UsageError(
            f"{called} is neither a folder nor the address of a store that fsspec knows: expected for example"
            " /mnt/readers or s3://bucket/folder"
        )
    return text


def _clock(text: str, called: str) -> dt.time:
    if not re.fullmatch(r"(?:[01]\d|2[0-3]):[0-5]\d", text, re.ASCII):
        raise UsageError(f"{called} {_shown(text)} is not a time of day: expected HH:MM, for example 20:00")
    return dt.time.fromisoformat(text)


def _url(text: str, called: str) -> str:
    if not re.fullmatch(r"https?://[!-~]+", text, re.ASCII):
        raise UsageError(
            f"{called} {_shown(text)} is not an address: expected for example http://127.0.0.1:4201"
        )
    return text


_FLAGS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def _flag(text: str, called: str) -> bool:
    if text.lower() not in _FLAGS:
        raise UsageError(f"{called} {_shown(text)} is neither yes nor no: expected true or false")
    return _FLAGS[text.lower()]


def _day(text: str, called: str) -> dt.date:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return dt.date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(f"{called} {_shown(text)} is not a date: expected YYYY-MM-DD, for example 2024-05-30")


def _instant(text: str, called: str) -> dt.datetime:
    """An instant in UTC; one without an offset is taken as UTC, a bare date as its last microsecond."""
    try:
        if len(text) == len("YYYY-MM-DD"):
            return dt.datetime.combine(_day(text, called), dt.time.max, tzinfo=dt.UTC)
        value = dt.datetime.fromisoformat(text)
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{called} {_shown(text)} is not a time: expected for example 2024-05-30T22:00:00+00:00"
        ) from None


def _names(text: str, called: str) -> tuple[str, ...]:
    """The names between the commas, as typed; which of them are tickers is for the settings to say."""
    return tuple(name.strip(" ") for name in text.split(",") if name.strip(" "))


_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "text": _text,
    "secret": _secret,
    "addresses": _notify,
    "scheduler": _scheduler,
    "int": _int,
    "float": _float,
    "flag": _flag,
    "day": _day,
    "instant": _instant,
    "names": _names,
    "url": _url,
    "place": _place,
    "clock": _clock,
}


_TABLE = (
    Option(
        "workspace",
        "text",
        "all",
        "workspace",
        "Folder of the databases, models and reports; made when missing.",
        "DIR",
    ),
    Option(
        "profile",
        "text",
        "all",
        None,
        "Settings from a profile file of that name; see deployments/profiles. None when not given.",
        "NAME",
    ),
    Option(
        "json",
        "flag",
        "all",
        "false",
        "Print a machine-readable summary as the last line of standard output.",
    ),
    Option(
        "debug",
        "flag",
        "all",
        "false",
        "Show the traceback of an unexpected error instead of writing it to the log only.",
    ),
    Option(
        "tickers",
        "names",
        "tickers",
        None,
        "Tickers, separated by commas. The source's own list when neither this nor --universe is given.",
        "A,B",
    ),
    Option(
        "universe",
        "text",
        "tickers",
        None,
        "File with the tickers: TOML, or plain text with one a line; or the name of a shipped one.",
        "FILE",
    ),
    Option(
        "source", "choice", "source", "simulated", "Where prices come from.", "NAME", get_args(SourceName)
    ),
    Option(
        "files",
        "text",
        "source",
        None,
        "CSV or Parquet file, or a folder of TICKER.csv; implies --source files.",
        "PATH",
    ),
    Option(
        "mixed_dates",
        "flag",
        "source",
        "false",
        "Read a date column that mixes two styles, if one order of day and month fits all of it; else such a"
        " file is refused by line.",
    ),
    Option(
        "currency",
        "text",
        "source",
        None,
        "Currency of prices in files that have no currency column, for example EUR.",
        "CODE",
    ),
    Option(
        "proxy",
        "secret",
        "source",
        None,
        "HTTP proxy for Yahoo, for example http://user:password@host:3128; better set as a variable, where no"
        " list of processes shows it.",
        "URL",
    ),
    Option(
        "requests_at_once",
        "int",
        "source",
        "2",
        "Tickers that Yahoo is asked for at the same time, 1 or 2.",
        "N",
    ),
    Option(
        "pause",
        "float",
        "source",
        "0.25",
        "Seconds to wait after each ticker that Yahoo was asked for.",
        "SECONDS",
    ),
    Option(
        "market_seed",
        "int",
        "source",
        "0",
        "Which simulated market: the same number gives the same series.",
        "N",
    ),
    Option(
        "as_of",
        "day",
        "run",
        None,
        "The evening to look from: closed sessions dated up to it are known, none later. Today (UTC) when not"
        " given.",
        "DATE",
    ),
    Option(
        "known_at",
        "instant",
        "run",
        None,
        "Price revisions stored up to this time count. Now when not given.",
        "TIME",
    ),
    Option(
        "rules",
        "names",
        "run",
        None,
        "Severities of quality rules that differ from the usual ones, RULE=SEVERITY with commas between; see"
        " the table of rules.",
        "RULES",
    ),
    Option("seed", "int", "run", "0", "Seed of everything random in a run.", "N"),
    Option(
        "runner",
        "choice",
        "run",
        "threads",
        "What trains shards of tickers side by side.",
        "NAME",
        get_args(RunnerName),
    ),
    Option("workers", "int", "run", "2", "How many shards are worked on at once.", "N"),
    Option(
        "dask_scheduler",
        "scheduler",
        "run",
        None,
        "Scheduler whose workers --runner dask uses, for example tcp://10.0.0.5:8786; implies that runner."
        " When not given, that runner starts --workers processes of its own.",
        "ADDRESS",
    ),
    Option(
        "plain",
        "flag",
        "plain",
        "false",
        "The same run without Prefect: sooner, and with no record of it but the workspace's own.",
    ),
    Option("shard_size", "int", "run", "8", "Tickers trained together in one task.", "N"),
    Option("keep_snapshots", "int", "run", "7", "Published files that are kept.", "N"),
    Option(
        "covariates",
        "text",
        "beside",
        None,
        "CSV or Parquet file of series that are known beside prices: name, session, value, and maybe ticker"
        " and known_at. Each enters the models only where it pays.",
        "FILE",
    ),
    Option(
        "covariate_tickers",
        "names",
        "beside",
        None,
        "Tickers of the source that serve as covariates, for example ^VIX,^GSPC: stored as prices are, not"
        " forecast.",
        "A,B",
    ),
    Option(
        "events",
        "text",
        "beside",
        None,
        "CSV or Parquet file of events, past and to come: session, kind, and maybe ticker, known_at and value"
        " (of ex_dividend and split). The exchange's own calendar is known without it.",
        "FILE",
    ),
    Option(
        "calendars",
        "flag",
        "beside",
        "false",
        "Ask the source each night when companies report and which splits are to come; the dates become"
        " events.",
    ),
    Option("horizon", "int", "model", "5", "Sessions ahead to forecast.", "N"),
    Option(
        "model",
        "choices",
        "model",
        "stacked",
        "Network variant; a backtest compares several, separated by commas.",
        "VARIANT",
        VARIANTS,
    ),
    Option(
        "layers",
        "int",
        "model",
        None,
        "Recurrent layers; 2 for stacked and 1 for the others when not given.",
        "N",
    ),
    Option("units", "int", "model", "50", "Width of each recurrent layer.", "N"),
    Option("lookback", "int", "model", "60", "Sessions that a window sees.", "N"),
    Option("dropout", "float", "model", "0", "Share of each layer's outputs dropped in training.", "SHARE"),
    Option("epochs", "int", "model", "30", "At most so many training epochs of the pooled networks.", "N"),
    Option(
        "strategy",
        "choice",
        "model",
        "auto",
        "What to do with yesterday's models; auto decides for each ticker.",
        "NAME",
        get_args(Strategy),
    ),
    Option(
        "backfill",
        "int",
        "nightly",
        "5",
        "Make up for at most so many missed nights, the newest ones, oldest first. A run by hand does so only"
        " where this is given; on a workspace without a night it then begins so many evenings ago.",
        "N",
    ),
    Option("folds", "int", "backtest", "1", "How often the model is fitted anew along the test part.", "N"),
    Option(
        "test_share",
        "float",
        "backtest",
        "0.2",
        "Share of the sessions, at the end, that is scored.",
        "SHARE",
    ),
    Option(
        "arms",
        "choices",
        "backtest",
        None,
        "Replay the nights of the test part instead of folds, once for each of these, separated by commas:"
        " fine-tune as the nights are, retrain without their fine-tunes, none trains once. Shows what keeping"
        " models fresh gains, and what it costs.",
        "ARM",
        ARMS,
    ),
    Option(
        "embargo",
        "int",
        "backtest",
        "0",
        "Sessions held back before each test cutoff; 0 as at night, where none is needed.",
        "N",
    ),
    Option(
        "window",
        "int",
        "backtest",
        None,
        "Learn from so many of the newest sessions; from all when not given.",
        "N",
    ),
    Option(
        "test_file",
        "text",
        "recipe",
        None,
        "File of the days to be forecast, for google-deep. Google_Stock_Price_Test.csv beside the training"
        " file when not given.",
        "FILE",
    ),
    Option(
        "notify",
        "addresses",
        "after",
        None,
        "Who is told of a run that failed, is degraded, stale or late: addresses of Apprise, or"
        " prefect:TYPE/NAME of a notification block, separated by commas; better set as a variable, where no"
        " list of processes shows it.",
        "ADDRESSES",
    ),
    Option(
        "metrics_dir",
        "text",
        "after",
        None,
        "Folder for the metrics in Prometheus's text format, for example node exporter's; metrics.prom in the"
        " workspace when not given.",
        "DIR",
    ),
    Option(
        "publish_to",
        "place",
        "after",
        None,
        "Where other machines read: a copy of published.duckdb and latest_forecasts.parquet are put there"
        " after each run that publishes. A folder, which must exist, or an address such as"
        " s3://bucket/folder; one for each workspace.",
        "FOLDER",
    ),
    Option(
        "deadline",
        "clock",
        "after",
        None,
        "When a night is to be published at the latest, by the exchange's own clock, for example 20:00:"
        " status, metrics and notifications then know whether it is late.",
        "HH:MM",
    ),
    Option(
        "tell",
        "flag",
        "status",
        "false",
        "Tell the notify addresses if it is not fresh: for a timer that does not depend on Prefect.",
    ),
    Option(
        "keep_reports",
        "int",
        "maintain",
        "60",
        "Reports that are kept, besides those of the kept snapshots.",
        "N",
    ),
    Option(
        "keep_models_days",
        "int",
        "maintain",
        "90",
        "Days within which no model is removed; an evening since then can be run again with the models of its"
        " time.",
        "DAYS",
    ),
    Option("dry_run", "flag", "maintain", "false", "Only list what would be removed."),
    Option(
        "format",
        "choice",
        "output",
        "table",
        "How rows are written; as the name of the --output file ends when not given, .csv, .json or"
        " .parquet.",
        "FORMAT",
        FORMATS,
    ),
    Option(
        "output",
        "text",
        "output",
        None,
        "Write the rows to this file; to standard output when not given.",
        "FILE",
    ),
    Option(
        "holdings",
        "text",
        "risk",
        None,
        "CSV, Parquet or JSON file with the columns ticker and shares (below 0: sold short).",
        "FILE",
    ),
    Option(
        "step", "int", "risk", "1", "Sessions over which the holdings are looked at, up to the horizon.", "N"
    ),
    Option(
        "note",
        "text",
        "upkeep",
        None,
        "Who decided, and why; stored with what is released, refused or closed.",
        "TEXT",
    ),
    Option("open", "flag", "report", "false", "Open the report in the browser too."),
    Option(
        "serve",
        "flag",
        "report",
        "false",
        "Serve the workspace's reports on loopback until stopped; no Prefect is needed.",
    ),
    Option("reports_port", "int", "reports", "4201", "Port on loopback under which reports are served.", "N"),
    Option(
        "reports_url",
        "url",
        "after",
        None,
        "Address under which reports are served, for the links on Prefect's page; `tickercast serve` sets it"
        " to its own.",
        "URL",
    ),
    Option(
        "port",
        "int",
        "serve",
        "4200",
        "Port of the Prefect server on this machine, where none is configured.",
        "N",
    ),
    Option("limit", "int", "serve", "1", "Flow runs at the same time; the workspace allows one each.", "N"),
    Option(
        "pool", "text", "deploy", "tickercast", "Name of the process work pool; made when missing.", "NAME"
    ),
)

OPTIONS: dict[str, Option] = {option.name: option for option in _TABLE}
"""Every option by name, in the order of the help."""

_NOT_IN_PROFILES = (
    "profile",
    "json",
    "debug",
    "open",
    "serve",
    "output",
    "holdings",
    "note",
    "dry_run",
    "tell",
)
_WITHIN = {
    "source": ("source", "run"),
    "tickers": ("tickers", "run"),
    "after": ("run", "maintain", "status"),
    "reports": ("report", "serve"),
}
"""Option group to the groups of the commands that take it, where these are others than itself."""

SECRET_KINDS = ("secret", "addresses")


def is_secret(name: str) -> bool:
    """Whether the option's value is never shown.

    >>> is_secret("proxy"), is_secret("horizon")
    (True, False)
    """
    return OPTIONS[name].kind in SECRET_KINDS


def options_of(command: Command) -> tuple[Option, ...]:
    """The options that a command takes, in the order of the table.

    >>> [option.flag for option in options_of(COMMANDS["restore"])]
    ['--workspace', '--profile', '--json', '--debug']
    """
    return tuple(
        option
        for option in OPTIONS.values()
        if option.group == "all"
        or any(group in command.groups for group in _WITHIN.get(option.group, (option.group,)))
    )


def known_keys() -> tuple[str, ...]:
    """The keys that a profile file may set."""
    return tuple(name for name in OPTIONS if name not in _NOT_IN_PROFILES)


def as_text(value: object) -> str:
    """A value as the text that `Option.parse` reads back: what a profile file or a flow parameter gives.

    >>> as_text(["AAPL", "MSFT"]), as_text(True), as_text(dt.date(2024, 5, 30)), as_text(5)
    ('AAPL,MSFT', 'true', '2024-05-30', '5')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.time):
        return value.isoformat("minutes")
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ",".join(as_text(part) for part in value)
    if isinstance(value, Mapping):
        raise UsageError(f"a table of {len(value)} entries came where one value was expected")
    return str(value)
