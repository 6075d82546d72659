"""Command line, environment and profile files, made into one frozen `RunConfig`.

The only reader of the environment and of the clock. The first that speaks wins: command line (or flow
parameters), environment, profile file, default. A flow that is called in this process gets its options by
`export`: they become settings of the process, so that paths never travel as flow parameters, where anybody
with the address of the server could set them.
"""

import contextlib
import datetime as dt
import difflib
import os
import re
import secrets
import tomllib
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flows.output import expected
from flows.settings.options import OPTIONS, PREFIX, SECRET_KINDS, as_text, is_secret, known_keys
from flows.settings.renames import renames_from
from forecast_lib.config import (
    BacktestConfig,
    BesideConfig,
    ModelConfig,
    Rename,
    RunConfig,
    SourceConfig,
    TrainConfig,
)
from forecast_lib.domain import AsOf, RunId, Ticker, parse_ticker
from forecast_lib.errors import FileRefused, TickercastError, UsageError

if TYPE_CHECKING:
    from forecast_lib.jobs.upkeep.maintenance import Policy

__all__ = [
    "DEPLOYMENTS",
    "Settings",
    "as_of_from",
    "beside_from",
    "environment",
    "export",
    "forget_prefect_address",
    "gather",
    "new_run_id",
    "policy_from",
    "prefect_address",
    "prepare_process",
    "profile_names",
    "read_profile",
    "read_universe",
    "resolve",
    "secret_texts",
    "source_from",
    "source_tickers",
    "unknown_variables",
    "utc_now",
    "without_secrets",
]

DEPLOYMENTS = Path(__file__).resolve().parents[2] / "deployments"
"""Profiles and universes lie here, in the repository and in the installed package alike."""

_PROFILES, _NOW, _RUN_ID = PREFIX + "PROFILES", PREFIX + "NOW", PREFIX + "RUN_ID"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}", re.ASCII)
_RUN_ID_PATTERN = re.compile(r"\d{8}-[0-9a-f]{8}", re.ASCII)
_MAX_TEXT_BYTES = 1_000_000
_RIVALS = {"tickers": "universe", "universe": "tickers"}
"""Two names for one question: who is asked for. The one that was said with more authority silences the other.
"""

_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_SERVER_API_HOST": "127.0.0.1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}
_QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""On the command line the run's log goes to the server's page, where there is one; the terminal shows
progress.
"""

TickerList = Callable[[SourceConfig, AsOf], Iterable[str]]


@dataclass(frozen=True)
class Settings:
    """Every option's value, and how the user named it where it was given.

    Attributes:
        values: option name to parsed value; None where nothing was given and there is no default.
        given: option name to what the user called it, for example `--horizon` or `TICKERCAST_HORIZON`;
            without the defaults.
    """

    values: Mapping[str, Any] = field(repr=False)  # some of them are secrets
    given: Mapping[str, str]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def workspace(self) -> Path:
        """The workspace as an absolute path."""
        return Path(self.values["workspace"]).expanduser().absolute()

    @property
    def repeated(self) -> dict[str, str]:
        """Profile and workspace where the user named them, for the commands that a message proposes."""
        names = ("profile", "workspace")
        return {
            name: self.values[name]
            for name in names
            if self.given.get(name, "").startswith((OPTIONS[name].flag, PREFIX))
        }


def utc_now() -> dt.datetime:
    """The clock, in UTC."""
    return dt.datetime.now(dt.UTC)


def environment() -> dict[str, str]:
    """The environment as it is now, for a child process."""
    return dict(os.environ)


def prefect_address(use: str | None = None) -> str | None:
    """The address of the Prefect server that the environment names, or None.

    Args:
        use: name this server in the environment from now on.
    """
    if use is not None:
        os.environ["PREFECT_API_URL"] = use
    return os.environ.get("PREFECT_API_URL") or None


def forget_prefect_address() -> None:
    """Name no server in the environment any more: a flow in this process starts one for its own length."""
    os.environ.pop("PREFECT_API_URL", None)


def prepare_process(*, quiet: bool, environ: MutableMapping[str, str] = os.environ) -> None:
    """Defaults of Prefect and TensorFlow for this process, before either is imported; what is set already
    stays.

    No telemetry, results as JSON and never pickled, a server that listens on this machine only, and time for
    it to start.
    """
    for name in _SECRET_VARIABLES:
        if not environ.get(name, "unset"):
            # An empty password is none: Prefect's server would ask for it, and its client would not give it.
            del environ[name]
    for name, value in {**_PREFECT, **(_QUIET if quiet else {})}.items():
        environ.setdefault(name, value)
    if "PREFECT_API_URL" not in environ:
        environ.setdefault("PREFECT_LOGGING_TO_API_ENABLED", "false" if quiet else "true")


# --- files


def _read_text(path: Path, what: str) -> str:
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise UsageError(
                f"{what} {path} is larger than {_MAX_TEXT_BYTES} bytes: expected a short text file"
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} {path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise UsageError(
            f"{what} {path} cannot be read: {error.strerror or error}; give the path of a readable file"
        ) from None


def _read_toml(path: Path, what: str) -> dict[str, Any]:
    try:
        return tomllib.loads(_read_text(path, what))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{what} {path} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(
            f"{what} {path} is nested too deeply: expected plain values and lists of them"
        ) from None


def _refuse_unknown(keys: Iterable[str], known: Iterable[str], where: str) -> None:
    unknown = [ascii(key) for key in keys if key not in known]
    if unknown:
        near = expected(unknown[0].strip("'"), known)
        raise UsageError(f"{where} sets {', '.join(unknown[:10])}, which is not known: {near}")


def _profiles_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ[_PROFILES]) if environ.get(_PROFILES) else DEPLOYMENTS / "profiles"


def profile_names(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The profiles that are there, by name."""
    return tuple(sorted(path.stem for path in _profiles_folder(environ).glob("*.toml")))


def read_profile(name: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The settings of a profile file, as text. The folder is `TICKERCAST_PROFILES`, else the one shipped in
    deployments/.

    Raises:
        UsageError: no such profile, no TOML, or a key that is no setting.
    """
    path = _profiles_folder(environ) / f"{name}.toml"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise UsageError(
            f"profile {name!a} is not known: expected one of {', '.join(profile_names(environ)) or 'none'}"
        )
    content = _read_toml(path, "profile")
    _refuse_unknown(content, known_keys(), f"profile {name}")
    return {key: as_text(value) for key, value in content.items()}


@dataclass(frozen=True)
class Universe:
    """The names in a universe file, as written, and its renames."""

    tickers: tuple[str, ...]
    renames: tuple[Rename, ...] = ()


def read_universe(name: str) -> Universe:
    """A universe file: TOML with `tickers = [...]` and maybe `[renames]`, or plain text with one name a line
    and # comments.

    Args:
        name: a path, or the name of a universe in deployments/universes.
    """
    shipped = DEPLOYMENTS / "universes" / f"{name}.toml"
    path = (
        shipped
        if _NAME.fullmatch(name) and shipped.is_file() and not Path(name).is_file()
        else Path(name).expanduser()
    )
    if path.suffix != ".toml":
        lines = (line.partition("#")[0].strip() for line in _read_text(path, "universe").splitlines())
        return Universe(tuple(line for line in lines if line))
    content = _read_toml(path, "universe")
    _refuse_unknown(content, ("name", "market", "tickers", "renames"), f"universe {path}")
    tickers = content.get("tickers")
    if not isinstance(tickers, list) or not all(isinstance(ticker, str) for ticker in tickers):
        raise UsageError(f'universe {path} has no list of tickers: expected tickers = ["AAPL", "MSFT"]')
    return Universe(tuple(tickers), renames_from(content.get("renames", {}), tickers, f"universe {path}"))


# --- the layers


def _layers(overrides: Mapping[str, object], environ: Mapping[str, str]) -> list[dict[str, tuple[str, str]]]:
    """The settings that were given, strongest layer first: name to (text, how the user called it)."""
    spoken = {
        name: (as_text(value), OPTIONS[name].flag) for name, value in overrides.items() if value is not None
    }
    exported = {
        name: (environ[option.variable], option.variable)
        for name, option in OPTIONS.items()
        if environ.get(option.variable)
    }
    profile = spoken.get("profile") or exported.get("profile")
    written = read_profile(profile[0], environ) if profile else {}
    filed = (
        {name: (text, f"{name} in profile {profile[0]}") for name, text in written.items()} if profile else {}
    )
    return [spoken, exported, filed]


def _refuse_both(layer: Mapping[str, tuple[str, str]]) -> None:
    if "tickers" in layer and "universe" in layer:
        raise UsageError(
            f"{layer['tickers'][1]} and {layer['universe'][1]} were both given: give one of them"
        )
    if "files" in layer and layer.get("source", ("files", ""))[0] != "files":
        raise UsageError(
            f"{layer['files'][1]} was given, but {layer['source'][1]} is {layer['source'][0]!r}: it needs"
            " --source files"
        )
    if "dask_scheduler" in layer and layer.get("runner", ("dask", ""))[0] != "dask":
        runner = f"{layer['runner'][1]} is {layer['runner'][0]!r}"
        raise UsageError(f"{layer['dask_scheduler'][1]} was given, but {runner}: it needs --runner dask")


def _implied(name: str, layer: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """What a setting says about others: files imply their source, another source forgets the files, tickers
    silence the universe, and a scheduler implies its runner.
    """
    if name == "files" and "source" not in layer:
        return {"source": ("files", layer["files"][1])}
    if name == "dask_scheduler" and "runner" not in layer:
        return {"runner": ("dask", layer["dask_scheduler"][1])}
    if name == "source" and "files" not in layer and layer["source"][0] != "files":
        return {"files": ("", "")}
    return {_RIVALS[name]: ("", "")} if name in _RIVALS else {}


def _merge(layers: Iterable[dict[str, tuple[str, str]]]) -> dict[str, tuple[str, str]]:
    merged: dict[str, tuple[str, str]] = {}
    for layer in layers:
        _refuse_both(layer)
        implied = {key: said for name in layer for key, said in _implied(name, layer).items()}
        merged = {**implied, **layer, **merged}
    return {name: said for name, said in merged.items() if said != ("", "")}


def gather(overrides: Mapping[str, object], *, environ: Mapping[str, str] = os.environ) -> Settings:
    """Every setting, from the strongest layer that gives it.

    Args:
        overrides: option name to text or value: the command line, or a flow's parameters. None counts as not
            given.

    Raises:
        UsageError: an unknown name, a value of the wrong kind, an unknown profile.
    """
    _refuse_unknown(overrides, OPTIONS, "the call")
    said = _merge(_layers(overrides, environ))
    texts = {name: said.get(name, (option.default, option.flag)) for name, option in OPTIONS.items()}
    values = {
        name: None if text is None else OPTIONS[name].parse(text, called)
        for name, (text, called) in texts.items()
    }
    settings = Settings(values=values, given={name: called for name, (_, called) in said.items()})
    _refuse_a_file(settings.workspace, texts["workspace"][1])
    return settings


def _refuse_a_file(folder: Path, called: str) -> None:
    """A folder that cannot be made, because something on the way to it is a file."""
    found = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    if not found.is_dir():
        raise UsageError(f"{called} {folder} cannot be a folder: {found} is a file; name another")


_SECRET_VARIABLES = ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_KEY")
_SHORTEST_SECRET = 4
"""A shorter password would be replaced inside ordinary words."""


def secret_texts(
    overrides: Mapping[str, object] = MappingProxyType({}), *, environ: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """What must not be shown: the values of secret settings and of Prefect's, and the passwords in them; the
    longest first.

    >>> secret_texts({"proxy": "http://me:letmein@host:1"}, environ={})
    ('http://me:letmein@host:1', 'letmein')
    """
    whole = {environ[name] for name in _SECRET_VARIABLES if environ.get(name)}
    for option in OPTIONS.values():
        if option.kind in SECRET_KINDS:
            whole |= {
                str(value) for value in (overrides.get(option.name), environ.get(option.variable)) if value
            }
    places = {str(overrides.get("publish_to") or ""), environ.get(OPTIONS["publish_to"].variable, "")}
    with contextlib.suppress(TickercastError):
        settings = gather(overrides, environ=environ)
        whole |= {str(value) for name, value in settings.values.items() if value and is_secret(name)}
        places |= {str(settings["publish_to"] or "")}
    # The rest of it may be shown.
    whole |= {found[1] for place in places if (found := re.search(r"://([^/]*@)", place))}
    parts = {part for text in whole for part in re.split(r"[\s,]+", text)}
    passwords = {
        found[1]
        for text in parts
        if (found := re.search(r":([^:/@]+)@", text) or re.fullmatch(r"[^:/]+:([^/]+)", text))
    }
    shown = {each for text in whole | parts | passwords for each in (text, urllib.parse.unquote(text))}
    return tuple(
        sorted((text for text in shown if len(text) >= _SHORTEST_SECRET), key=lambda text: (-len(text), text))
    )


def without_secrets(text: str, hidden: Iterable[str]) -> str:
    """The text with every secret replaced by `***`: for messages that were made by others.

    >>> without_secrets("no answer from http://me:letmein@host:1", ("letmein",))
    'no answer from http://me:***@host:1'
    """
    for secret in hidden:
        text = text.replace(secret, "***")
    return text


def unknown_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables that start like ours but are none, and what was meant: spelling mistakes, most likely.

    >>> unknown_variables({"TICKERCAST_HORIZN": "5", "TICKERCAST_SEED": "1"})
    {'TICKERCAST_HORIZN': 'TICKERCAST_HORIZON'}
    """
    known = [*(option.variable for option in OPTIONS.values()), _PROFILES]
    unknown = sorted(
        name for name in environ if name.startswith(PREFIX) and name not in (*known, _NOW, _RUN_ID)
    )
    return {name: difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0] for name in unknown}


# --- the config


def _tickers(names: Iterable[str]) -> tuple[Ticker, ...]:
    """Checked, doubles merged; all the bad ones are named in one line, up to ten."""
    good: dict[Ticker, None] = {}
    bad: list[str] = []
    for name in names:
        try:
            good[parse_ticker(name)] = None
        except UsageError:
            bad.append(ascii(name if len(name) <= 40 else name[:37] + "..."))
    if bad:
        more = f" and {len(bad) - 10} more" if len(bad) > 10 else ""
        raise UsageError(
            f"{len(bad)} of {len(good) + len(bad)} tickers are no ticker names: {', '.join(bad[:10])}{more}; "
            "expected 1 to 15 of A-Z 0-9 . - = ^, for example AAPL or BTC-USD"
        )
    return tuple(good)


def source_tickers(source: SourceConfig, as_of: AsOf) -> Iterable[str]:
    """The source's own list of tickers: what is taken when the user names none. Yahoo has none, and is not
    asked.
    """
    if source.name == "yahoo":
        return ()
    from forecast_lib.prices import open_source
    from forecast_lib.store.parquet import ParquetFiles

    return open_source(source, as_of, parquet=ParquetFiles()).default_tickers()


def source_from(settings: Settings) -> SourceConfig:
    """Where prices come from."""
    files = settings["files"]
    path = Path(files).expanduser().absolute() if files else None
    return SourceConfig(
        name=settings["source"],
        path=path,
        market_seed=settings["market_seed"],
        mixed_dates=settings["mixed_dates"],
        currency=settings["currency"],
        proxy=settings["proxy"],
        requests_at_once=settings["requests_at_once"],
        pause_s=settings["pause"],
    )


def beside_from(settings: Settings) -> BesideConfig:
    """What is known beside prices. A file that was named on the command line must be one; one of a schedule
    may be missing for a night.

    Raises:
        UsageError: says what is wrong with the file, or which name is no ticker.
    """
    paths = {
        name: Path(settings[name]).expanduser().absolute() if settings[name] else None
        for name in ("covariates", "events")
    }
    for name, path in paths.items():
        if path is not None and settings.given.get(name) == OPTIONS[name].flag:
            from forecast_lib.prices.sources.named_files import check_file
            from forecast_lib.store.parquet import ParquetFiles

            try:
                check_file(path, name, ParquetFiles())
            except FileRefused as error:
                raise UsageError(f"{OPTIONS[name].flag} {error}") from None
    return BesideConfig(
        paths["covariates"],
        _tickers(settings["covariate_tickers"] or ()),
        paths["events"],
        settings["calendars"],
    )


def policy_from(settings: Settings) -> "Policy":
    """What maintenance keeps."""
    from forecast_lib.jobs.upkeep.maintenance import Policy

    return Policy(reports=settings["keep_reports"], models_days=settings["keep_models_days"])


def as_of_from(settings: Settings, now: dt.datetime) -> AsOf:
    """The evening to look from: today in UTC and everything known now, unless told otherwise."""
    known_at = settings["known_at"] or now
    if known_at > now and known_at.date() > now.date():
        raise UsageError(
            f"known-at {known_at.isoformat()} lies in the future: now is {now.isoformat(timespec='seconds')}"
        )
    return AsOf(day=settings["as_of"] or now.date(), now=now, known_at=min(known_at, now))


def new_run_id(day: dt.date) -> RunId:
    """A run id for that evening that nobody had before."""
    return RunId(f"{day:%Y%m%d}-{secrets.token_hex(4)}")


def _run_id(day: dt.date, environ: Mapping[str, str]) -> RunId:
    exported = environ.get(_RUN_ID, "")
    return RunId(exported) if _RUN_ID_PATTERN.fullmatch(exported) else new_run_id(day)


def _rules(settings: Settings) -> tuple[str, ...]:
    """The severities as given, each of them possible."""
    from forecast_lib.prices.rules import severities_from

    rules = tuple(settings["rules"] or ())
    severities_from(rules)
    return rules


_OLDEST_OF_YAHOO = dt.date(1927, 12, 30)
"""The first session of ^GSPC; no other series of Yahoo's begins earlier."""


def _first_sessions(source: SourceConfig, as_of: AsOf, tickers: tuple[Ticker, ...]) -> Iterable[dt.date]:
    """Of the whole source where it is known, else of one ticker after another as their files are read."""
    from forecast_lib.prices import open_source
    from forecast_lib.prices.sources.files import FilesSource
    from forecast_lib.prices.sources.simulated import FIRST_SESSION
    from forecast_lib.store.parquet import ParquetFiles

    if source.name == "files":
        files = open_source(source, as_of, tickers=tickers, parquet=ParquetFiles())
        assert isinstance(files, FilesSource)
        return files.first_sessions(tickers)
    return [FIRST_SESSION if source.name == "simulated" else _OLDEST_OF_YAHOO]


def _refuse_before_the_first_price(source: SourceConfig, as_of: AsOf, tickers: tuple[Ticker, ...]) -> None:
    """Where the source has nothing yet, of any ticker; files are read no further than to the first
    that has.
    """
    first = dt.date.max
    for day in _first_sessions(source, as_of, tickers):
        first = min(first, day)
        if first <= as_of.day:
            return
    if first < dt.date.max:
        raise UsageError(
            f"as-of {as_of.day} is before the first price of source {source.name!r}, of {first}: give a later"
            " --as-of"
        )


def _asked_for(
    settings: Settings, source: SourceConfig, as_of: AsOf, default_tickers: TickerList
) -> Universe:
    if settings["tickers"] is not None:
        return Universe(settings["tickers"])
    if settings["universe"] is not None:
        return read_universe(settings["universe"])
    return Universe(tuple(default_tickers(source, as_of)))


def resolve(
    overrides: Mapping[str, object],
    *,
    environ: Mapping[str, str] = os.environ,
    now: dt.datetime | None = None,
    default_tickers: TickerList = source_tickers,
) -> RunConfig:
    """The config of one run.

    Args:
        overrides: as for `gather`.
        now: the instant of the start, in UTC; the clock when None.
        default_tickers: asked for the universe when no ticker is named.

    Raises:
        UsageError: something that was asked for is unknown, malformed, out of range, or lies in the future.
    """
    settings = gather(overrides, environ=environ)
    started = now or (dt.datetime.fromisoformat(environ[_NOW]) if environ.get(_NOW) else utc_now())
    as_of, source = as_of_from(settings, started), source_from(settings)
    shape = {name: settings[name] for name in ("layers", "units", "lookback", "horizon", "dropout")}
    model, *also = (ModelConfig(variant=variant, **shape) for variant in settings["model"])
    universe = _asked_for(settings, source, as_of, default_tickers)
    tickers = _tickers(universe.tickers)
    if "as_of" in settings.given and not environ.get(_RUN_ID):  # a run that was exported has been looked at
        _refuse_before_the_first_price(source, as_of, tickers)
    names = ("strategy", "seed", "runner", "workers", "dask_scheduler", "shard_size", "keep_snapshots")
    return RunConfig(
        run_id=_run_id(as_of.day, environ),
        workspace=settings.workspace,
        source=source,
        as_of=as_of,
        model=model,
        also=tuple(also),
        train=TrainConfig(epochs=settings["epochs"]),
        backtest=BacktestConfig(
            test_share=settings["test_share"],
            folds=settings["folds"],
            arms=settings["arms"] or (),
            embargo=settings["embargo"],
            window_sessions=settings["window"],
        ),
        tickers=tickers,
        renames=universe.renames,
        rules=_rules(settings),
        beside=beside_from(settings),
        **{name: settings[name] for name in names},
    )


def export(
    overrides: Mapping[str, object],
    *,
    environ: MutableMapping[str, str] = os.environ,
    run: RunConfig | None = None,
) -> None:
    """Make the command line's options settings of this process and its children; `resolve({})` then gives the
    same config.

    Paths are made absolute, because a child may work in another folder.

    Args:
        run: where given, its run id and its start are exported too, so that the flow is that very run.
    """
    given = {name: as_text(value) for name, value in overrides.items() if value is not None}
    for name in ("workspace", "files", "test_file", "metrics_dir", "publish_to", "covariates", "events"):
        if name in given and "://" not in given[name]:
            given[name] = str(Path(given[name]).expanduser().absolute())
    if "universe" in given and not _NAME.fullmatch(given["universe"]):
        given["universe"] = str(Path(given["universe"]).expanduser().absolute())
    said = {name: (text, OPTIONS[name].flag) for name, text in given.items()}
    implied = {key: text for name in said for key, (text, _) in _implied(name, said).items()}
    for name, text in {**implied, **given}.items():
        environ[OPTIONS[name].variable] = text
    if run is not None:
        environ[_RUN_ID], environ[_NOW] = run.run_id, run.as_of.now.isoformat()
