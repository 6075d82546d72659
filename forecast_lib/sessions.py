"""The sessions of a ticker's own exchange: which days it trades, when a session is over, which one comes
next.

The dates come from `forecast_lib.schedules`. Loads pandas only for answers that are pandas' own. Three things
are odd about the subject:

- A session is a date, its close an instant: Tokyo closes the session of date D before New York opens its own.
- Nobody knows the holidays of all years (Shanghai's end with the last published one). Outside them every
  weekday counts as a session that closes at the usual time.
- Some exchanges have no usable calendar. Their tickers get Monday to Friday, and the calendar says so in
  `recorded_fallback`.
"""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecast_lib.domain import AsOf
from forecast_lib.schedules import WEEKDAYS, Schedule, Times, schedule

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EARLIEST_SESSION",
    "SETTLING_TIME",
    "WEEKDAYS",
    "Plan",
    "TickerCalendar",
    "calendar_for",
    "calendar_used",
]

EARLIEST_SESSION = dt.date(1800, 1, 1)
"""Rows dated before it are slips of a file; no calendar has sessions before it, or after 2199."""

SETTLING_TIME = dt.timedelta(minutes=30)
"""After the close, until the closing auction and late prints are in; only then is a session known."""

Day: TypeAlias = dt.date  # a pd.Timestamp is one too

# Building takes 0.2 to 0.4 s however long the span (measured, XNYS), so the spans are few and wide. 1885 is
# the library's first year for New York; few histories need it, and Seoul (lunar holidays) takes 3 s from
# 1956.
_USUAL_YEARS = (1990, 2035)
_EARLIEST_YEAR = 1885
_LATEST_YEAR = 2199

_MIC_OF_SUFFIX = {
    # Yahoo's suffix -> the name that exchange_calendars has for it. Venues without a calendar of their own
    # (Cboe, regional floors) keep the days of the country's main exchange. Athens (AT) and Bucharest (RO) are
    # missing on purpose: exchange-calendars 4.13 cannot compute Orthodox Easter with pandas 3.1.
    "A": "XNYS", "B": "XNYS",  # share classes written with a point (BRK.B), no exchanges
    "BA": "XBUE", "SA": "BVMF", "SN": "XSGO", "CL": "XBOG", "MX": "XMEX",
    "TO": "XTSE", "V": "XTSE", "CN": "XTSE", "NE": "XTSE",
    "L": "XLON", "IL": "XLON", "XC": "XLON", "AQ": "XLON", "IR": "XDUB",
    "DE": "XETR", "F": "XFRA", "BE": "XFRA", "HA": "XFRA", "MU": "XFRA", "DU": "XDUS", "HM": "XHAM",
    "SG": "XSTU",
    "PA": "XPAR", "NX": "XPAR", "AS": "XAMS", "BR": "XBRU", "LS": "XLIS", "MC": "XMAD", "MI": "XMIL",
    "TI": "XMIL", "SW": "XSWX",
    "VI": "XWBO", "PR": "XPRA", "WA": "XWAR", "BD": "XBUD", "IS": "XIST",
    "ST": "XSTO", "CO": "XCSE", "HE": "XHEL", "OL": "XOSL", "IC": "XICE", "TL": "XTAL", "RG": "XRIS",
    "VS": "XLIT",
    "T": "XTKS", "HK": "XHKG", "SS": "XSHG", "SZ": "XSHG", "TW": "XTAI", "TWO": "XTAI", "KS": "XKRX",
    "KQ": "XKRX",
    "BO": "XBOM", "NS": "XBOM", "SI": "XSES", "JK": "XIDX", "KL": "XKLS", "BK": "XBKK", "PS": "XPHS",
    "AX": "XASX", "XA": "XASX", "NZ": "XNZE", "TA": "XTAE", "SR": "XSAU", "JO": "XJSE",
    "CBT": "us_futures", "CME": "us_futures", "NYB": "us_futures", "CMX": "us_futures", "NYM": "us_futures",
}  # fmt: skip

_MIC_OF_INDEX = {
    "GSPC": "XNYS", "DJI": "XNYS", "DJT": "XNYS", "DJU": "XNYS", "IXIC": "XNYS", "NDX": "XNYS", "NYA": "XNYS",
    "OEX": "XNYS",
    "RUT": "XNYS", "RUI": "XNYS", "RUA": "XNYS", "MID": "XNYS", "SP600": "XNYS", "XAX": "XNYS", "SOX": "XNYS",
    "VIX": "XNYS",
    "TNX": "XNYS", "TYX": "XNYS", "FVX": "XNYS", "IRX": "XNYS",
    "GSPTSE": "XTSE", "BVSP": "BVMF", "MXX": "XMEX", "MERV": "XBUE", "IPSA": "XSGO",
    "FTSE": "XLON", "FTMC": "XLON", "GDAXI": "XFRA", "MDAXI": "XFRA", "SDAXI": "XFRA", "TECDAX": "XFRA",
    "STOXX50E": "XFRA",
    "STOXX": "XFRA", "FCHI": "XPAR", "N100": "XPAR", "AEX": "XAMS", "BFX": "XBRU", "IBEX": "XMAD",
    "SSMI": "XSWX", "ATX": "XWBO",
    "OMX": "XSTO", "OMXSPI": "XSTO", "OMXC25": "XCSE", "OMXH25": "XHEL",
    "N225": "XTKS", "HSI": "XHKG", "HSCE": "XHKG", "SSEC": "XSHG", "TWII": "XTAI", "KS11": "XKRX",
    "KQ11": "XKRX",
    "BSESN": "XBOM", "NSEI": "XBOM", "NSEBANK": "XBOM", "STI": "XSES", "JKSE": "XIDX", "KLSE": "XKLS",
    "AXJO": "XASX", "AORD": "XASX", "NZ50": "XNZE",
}  # fmt: skip

_MIC_OF_TIMEZONE = {
    "America/New_York": "XNYS", "America/Chicago": "XNYS", "America/Toronto": "XTSE",
    "America/Sao_Paulo": "BVMF",
    "America/Mexico_City": "XMEX", "America/Buenos_Aires": "XBUE", "America/Argentina/Buenos_Aires": "XBUE",
    "America/Santiago": "XSGO", "America/Bogota": "XBOG", "America/Lima": "XLIM",
    "Europe/London": "XLON", "Europe/Dublin": "XDUB", "Europe/Berlin": "XETR", "Europe/Paris": "XPAR",
    "Europe/Amsterdam": "XAMS",
    "Europe/Brussels": "XBRU", "Europe/Lisbon": "XLIS", "Europe/Madrid": "XMAD", "Europe/Rome": "XMIL",
    "Europe/Zurich": "XSWX",
    "Europe/Vienna": "XWBO", "Europe/Prague": "XPRA", "Europe/Warsaw": "XWAR", "Europe/Budapest": "XBUD",
    "Europe/Istanbul": "XIST", "Europe/Stockholm": "XSTO", "Europe/Copenhagen": "XCSE",
    "Europe/Helsinki": "XHEL",
    "Europe/Oslo": "XOSL", "Europe/Tallinn": "XTAL", "Europe/Riga": "XRIS", "Europe/Vilnius": "XLIT",
    "Atlantic/Reykjavik": "XICE",
    "Asia/Tokyo": "XTKS", "Asia/Hong_Kong": "XHKG", "Asia/Shanghai": "XSHG", "Asia/Taipei": "XTAI",
    "Asia/Seoul": "XKRX",
    "Asia/Kolkata": "XBOM", "Asia/Calcutta": "XBOM", "Asia/Singapore": "XSES", "Asia/Jakarta": "XIDX",
    "Asia/Kuala_Lumpur": "XKLS", "Asia/Bangkok": "XBKK", "Asia/Manila": "XPHS", "Asia/Karachi": "XKAR",
    "Asia/Jerusalem": "XTAE", "Asia/Riyadh": "XSAU", "Australia/Sydney": "XASX", "Pacific/Auckland": "XNZE",
    "Africa/Johannesburg": "XJSE",
}  # fmt: skip

_CURRENCIES = frozenset(
    "USD EUR GBP JPY CHF CAD AUD NZD CNY HKD SGD KRW INR BRL MXN ZAR TRY SEK NOK DKK PLN CZK HUF ILS THB IDR"
    " PHP TWD RUB BTC ETH USDT USDC".split()
)


@dataclass(frozen=True)
class Plan:
    """Sessions of an exchange as its calendar has them.

    Attributes:
        sessions: (n,) datetime64[D], ascending.
        short: (n,) whether it ends an hour before the usual time, or earlier.
        unplanned: days without a session that no calendar knew long before, a state funeral or a storm.
    """

    sessions: NDArray[np.datetime64]
    short: NDArray[np.bool_]
    unplanned: NDArray[np.datetime64]


@dataclass(frozen=True)
class TickerCalendar:
    """The trading days of one exchange.

    Days may be given as dates or naive timestamps; sessions come back as `datetime64[us]` at midnight without
    a zone.

    Attributes:
        name: the exchange's MIC as `exchange_calendars` spells it, `24/7`, `24/5`, `us_futures`, or
            `weekdays`.
        recorded_fallback: no calendar is known for the ticker, Monday to Friday stands in: holidays look like
            missing sessions.
    """

    name: str
    recorded_fallback: bool = False

    def sessions(self, first: Day, last: Day) -> "pd.DatetimeIndex":
        """Every session from `first` to `last`, both inclusive; empty if there is none.

        >>> found = TickerCalendar("XNYS").sessions(dt.date(2024, 7, 3), dt.date(2024, 7, 8))
        >>> found.strftime("%a %d").tolist()
        ['Wed 03', 'Fri 05', 'Mon 08']
        """
        low, high = _day(first), _day(last)
        days = self._covering(low, high).sessions
        return _index(days[np.searchsorted(days, low) : np.searchsorted(days, high, side="right")])

    def is_session(self, day: Day) -> bool:
        """Whether the exchange trades on this date, half days included."""
        return len(self.sessions(day, day)) == 1

    def close(self, session: Day) -> "pd.Timestamp":
        """When the session ends, UTC without a zone.

        Raises:
            ValueError: `session` is no session of this exchange.

        >>> TickerCalendar("XNYS").close(dt.date(2026, 11, 27))  # the half day after Thanksgiving
        Timestamp('2026-11-27 18:00:00')
        """
        return _stamp(self._close(_day(session)))

    def evenings(self, days: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        """(n,) datetime64[us] UTC, when the session of each day is known; of a day without one at the time of
        day of the session before it.

        >>> day_and_saturday = np.array(["2026-11-27", "2026-11-28"], "M8[D]")
        >>> TickerCalendar("XNYS").evenings(day_and_saturday).astype("M8[m]").astype(str).tolist()
        ['2026-11-27T18:30', '2026-11-28T18:30']
        """
        if not len(days):
            return np.empty(0, "datetime64[us]")
        wanted = days.astype("datetime64[us]")
        schedule = self._covering(wanted.min(), wanted.max())
        place = np.maximum(np.searchsorted(schedule.sessions, wanted, side="right") - 1, 0)
        lengths = (schedule.closes - schedule.sessions)[place]
        return np.asarray(wanted + lengths + np.timedelta64(SETTLING_TIME))

    def plan(self, first: Day, last: Day) -> "Plan":
        """What the calendar says of its days from `first` to `last`, both inclusive."""
        low, high = _day(first), _day(last)
        schedule = self._covering(low, high)
        chosen = slice(
            int(np.searchsorted(schedule.sessions, low)),
            int(np.searchsorted(schedule.sessions, high, side="right")),
        )
        import pandas as pd

        sessions = schedule.sessions[chosen]
        local = pd.DatetimeIndex(schedule.closes[chosen], tz="UTC").tz_convert(schedule.zone)
        minutes = (local.hour * 60 + local.minute).to_numpy()
        # The usual hour has changed over the decades: of the sessions around it.
        usual = pd.Series(minutes).rolling(11, center=True, min_periods=1).median().to_numpy()
        return Plan(
            sessions.astype("datetime64[D]"),
            minutes <= usual - 60,
            schedule.unplanned.astype("datetime64[D]"),
        )

    def clock_after(self, session: Day, time: dt.time) -> dt.datetime:
        """When the exchange's clock first shows `time` after the session is known, UTC.

        >>> TickerCalendar("XNYS").clock_after(dt.date(2024, 7, 3), dt.time(20)).isoformat()
        '2024-07-04T00:00:00+00:00'
        """
        day = _day(session)
        known = self._close(day).astype(dt.datetime).replace(tzinfo=dt.UTC) + SETTLING_TIME
        local = known.astimezone(self._covering(day, day).zone)
        shown = dt.datetime.combine(local.date(), time, local.tzinfo)
        if shown < local:
            shown = dt.datetime.combine(local.date() + dt.timedelta(days=1), time, local.tzinfo)
        return shown.astimezone(dt.UTC)

    def last_closed(self, now_utc: dt.datetime) -> "pd.Timestamp":
        """The latest session whose close lies at least `SETTLING_TIME` before `now_utc`."""
        return _stamp(self._closed(now_utc))

    def last_known(self, as_of: AsOf) -> "pd.Timestamp":
        """The newest session that may be known at `as_of`: dated up to its day, and closed `SETTLING_TIME`
        before its now.
        """
        return _stamp(self._known(as_of))

    def following(self, cutoff: Day, count: int) -> "pd.DatetimeIndex":
        """The `count` sessions after `cutoff`, which is itself not among them and need not be a session.

        >>> TickerCalendar("XNYS").following(dt.date(2024, 12, 31), 2).strftime("%Y-%m-%d").tolist()
        ['2025-01-02', '2025-01-03']
        """
        return _index(self._following(_day(cutoff), count))

    def behind(self, session: Day, now: dt.datetime) -> int:
        """How many sessions have closed after `session`; `now` is in UTC.

        >>> TickerCalendar("XNYS").behind(dt.date(2024, 7, 3), dt.datetime(2024, 7, 8, 22, tzinfo=dt.UTC))
        2
        """
        # The day may be tomorrow already where the exchange is; what has not closed by `now` does not count.
        newest = self._known(AsOf(day=now.date() + dt.timedelta(days=1), now=now, known_at=now))
        return self._between(_day(session), newest)

    def next_clock(self, as_of: AsOf, time: dt.time) -> dt.datetime:
        """`clock_after` the first session that is not known at `as_of`."""
        return self.clock_after(self._following(self._known(as_of), 1)[0].astype(dt.datetime), time)

    def count_between(self, a: Day, b: Day) -> int:
        """How many sessions lie in (a, b]: after `a`, up to and including `b`; 0 if `b` is not later than
        `a`.

        >>> TickerCalendar("XNYS").count_between(dt.date(2024, 7, 3), dt.date(2024, 7, 8))
        2
        """
        return self._between(_day(a), _day(b))

    def _close(self, day: np.datetime64) -> np.datetime64:
        schedule = self._covering(day, day)
        at = int(np.searchsorted(schedule.sessions, day))
        if at == len(schedule.sessions) or schedule.sessions[at] != day:
            raise ValueError(f"{day.astype('M8[D]')} is no session of {self.name}: expected a trading day")
        return schedule.closes[at]

    def _closed(self, now_utc: dt.datetime) -> np.datetime64:
        settled = _instant(now_utc - SETTLING_TIME)
        schedule = self._covering(settled, settled)
        return schedule.sessions[int(np.searchsorted(schedule.closes, settled, side="right")) - 1]

    def _known(self, as_of: AsOf) -> np.datetime64:
        day = _day(as_of.day)
        sessions = self._covering(day, day).sessions
        dated = sessions[int(np.searchsorted(sessions, day, side="right")) - 1]
        return min(dated, self._closed(as_of.now))

    def _following(self, day: np.datetime64, count: int) -> Times:
        # 4 days a session and 30 more: the longest closures of the last decades (Lunar New Year, 2001) lasted
        # under two weeks.
        sessions = self._covering(day, day + np.timedelta64(4 * count + 30, "D")).sessions
        start = int(np.searchsorted(sessions, day, side="right"))
        return sessions[start : start + count]

    def _between(self, low: np.datetime64, high: np.datetime64) -> int:
        sessions = self._covering(min(low, high), max(low, high)).sessions
        before, until = np.searchsorted(sessions, [low, high], side="right")
        return max(int(until - before), 0)

    def _covering(self, low: np.datetime64, high: np.datetime64) -> Schedule:
        """A schedule that begins a year before `low` and ends a year after `high`, from few, wide, cached
        spans.
        """
        first_year = min(max(_year(low) - 1, EARLIEST_SESSION.year), _LATEST_YEAR)
        last_year = min(max(_year(high) + 1, EARLIEST_SESSION.year), _LATEST_YEAR)
        return schedule(
            self.name,
            _USUAL_YEARS[0] if first_year >= _USUAL_YEARS[0] else min(first_year, _EARLIEST_YEAR),
            _USUAL_YEARS[1] if last_year <= _USUAL_YEARS[1] else last_year // 10 * 10 + 9,
        )


def calendar_for(ticker: str, exchange_timezone: str | None = None) -> TickerCalendar:
    """The calendar of the exchange that a ticker's name, in Yahoo's spelling, points to.

    Args:
        ticker: `AAPL`, `SIM1` (New York), `7203.T` (suffix), `BTC-USD` (24/7), `EURUSD=X` (24/5), `ES=F` (US
            futures), `^GSPC`.
        exchange_timezone: IANA name as the source says; decides where the name does not.

    >>> [calendar_for(t).name for t in ("AAPL", "BRK-B", "7203.T", "BTC-USD", "EURUSD=X", "ES=F", "^FTSE")]
    ['XNYS', 'XNYS', 'XTKS', '24/7', '24/5', 'us_futures', 'XLON']
    >>> calendar_for("OTE.AT")
    TickerCalendar(name='weekdays', recorded_fallback=True)
    """
    name = _name_from_ticker(ticker) or _MIC_OF_TIMEZONE.get(exchange_timezone or "")
    return TickerCalendar(name) if name else TickerCalendar(WEEKDAYS, recorded_fallback=True)


def calendar_used(ticker: str, recorded: object) -> TickerCalendar:
    """The calendar that a run used for the ticker, its source's time zone considered; the one that its name
    points to where none is recorded.

    Args:
        recorded: `run_tickers.calendar`, maybe missing.

    >>> calendar_used("^OSEAX", "XOSL").name, calendar_used("^OSEAX", None).name
    ('XOSL', 'weekdays')
    """
    usual = calendar_for(ticker)
    if not isinstance(recorded, str) or recorded == usual.name:
        return usual
    return TickerCalendar(recorded, recorded_fallback=recorded == WEEKDAYS)


def _name_from_ticker(ticker: str) -> str | None:
    if ticker.startswith("^"):
        return _MIC_OF_INDEX.get(ticker[1:])
    if ticker.endswith("=X"):
        return "24/5"
    if ticker.endswith("=F"):
        return "us_futures"
    if "." in ticker:
        return _MIC_OF_SUFFIX.get(ticker.rpartition(".")[2])
    base, _, quote = ticker.rpartition("-")
    return "24/7" if base and quote in _CURRENCIES else "XNYS"


def _day(value: Day) -> np.datetime64:
    day = value.astype("M8[D]") if isinstance(value, np.datetime64) else value
    return np.datetime64(day.date() if isinstance(day, dt.datetime) else day, "us")


def _instant(value: dt.datetime) -> np.datetime64:
    naive = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    return np.datetime64(naive, "us")


def _year(value: np.datetime64) -> int:
    return int(value.astype("M8[Y]").astype(int)) + 1970


def _stamp(value: np.datetime64) -> "pd.Timestamp":
    import pandas as pd

    return pd.Timestamp(value)


def _index(sessions: Times) -> "pd.DatetimeIndex":
    import pandas as pd

    return pd.DatetimeIndex(sessions)
