"""The config of one run, from the settings."""

import datetime as dt
import secrets
from collections.abc import Callable, Iterable

from flows.settings.files import Universe, read_universe
from flows.settings.layers import Settings, utc_now
from flows.settings.options import OPTIONS
from forecast_lib.config import (
    BacktestConfig,
    BesideConfig,
    ModelConfig,
    RunConfig,
    SourceConfig,
    TrainConfig,
)
from forecast_lib.domain import AsOf, RunId, Ticker, parse_ticker
from forecast_lib.errors import FileRefused, UsageError, shown, some_of

__all__ = ["as_of_from", "new_run_id", "resolve", "source_tickers"]

TickerList = Callable[[SourceConfig, AsOf], Iterable[str]]


def _tickers(names: Iterable[str]) -> tuple[Ticker, ...]:
    """Checked, doubles merged; all the bad ones are named in one line, up to ten."""
    good: dict[Ticker, None] = {}
    bad: list[str] = []
    for name in names:
        try:
            good[parse_ticker(name)] = None
        except UsageError:
            bad.append(shown(name))
    if bad:
        raise UsageError(
            f"{len(bad)} of {len(good) + len(bad)} tickers are no ticker names: {some_of(bad, 10)}; "
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


def _beside(settings: Settings) -> BesideConfig:
    """What is known beside prices. A file that was named on the command line must be one; one of a schedule
    may be missing for a night.

    Raises:
        UsageError: says what is wrong with the file, or which name is no ticker.
    """
    for name in ("covariates", "events"):
        if settings[name] is not None and settings.asked(name):
            from forecast_lib.prices.sources.named_files import check_file
            from forecast_lib.store.parquet import ParquetFiles

            try:
                check_file(settings[name].absolute(), name, ParquetFiles())
            except FileRefused as error:
                raise UsageError(f"{OPTIONS[name].flag} {error}") from None
    return settings.made(BesideConfig, tickers=_tickers(settings["covariate_tickers"] or ()))


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


_OLDEST = dt.date(1927, 12, 30)
"""The first session of ^GSPC; no other series of Yahoo's begins earlier, nor, as far as is known here, one of
a source that is not asked below.
"""


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
    return [FIRST_SESSION if source.name == "simulated" else _OLDEST]


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
    settings: Settings, *, now: dt.datetime | None = None, default_tickers: TickerList = source_tickers
) -> RunConfig:
    """The config of one run.

    Args:
        now: the instant of the start, in UTC; the clock when None.
        default_tickers: asked for the universe when no ticker is named.

    Raises:
        UsageError: something that was asked for is unknown, malformed, out of range, or lies in the future.
    """
    from forecast_lib.prices.rules import severities_from

    as_of, source = as_of_from(settings, now or utc_now()), settings.made(SourceConfig)
    model, *also = (settings.made(ModelConfig, variant=variant) for variant in settings["model"])
    universe = _asked_for(settings, source, as_of, default_tickers)
    tickers = _tickers(universe.tickers)
    if "as_of" in settings.given:
        _refuse_before_the_first_price(source, as_of, tickers)
    severities_from(settings["rules"] or ())
    return settings.made(
        RunConfig,
        run_id=new_run_id(as_of.day),
        workspace=settings.workspace,
        tickers=tickers,
        as_of=as_of,
        source=source,
        model=model,
        also=tuple(also),
        train=settings.made(TrainConfig),
        backtest=settings.made(BacktestConfig),
        renames=universe.renames,
        beside=_beside(settings),
    )
