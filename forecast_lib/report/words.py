"""Values as the words and figures that a page shows."""

import datetime as dt
import functools
import math
import re
from typing import Any

from forecast_lib.domain import STATUSES

__all__ = ["FILTERS", "MISSING", "clip", "page_name", "percent", "percent_of", "severity", "short_day"]

MISSING = "–"
_LONGEST_TEXT = 300  # a source's error text may be a whole web page

_STATUSES = {
    "fresh": ("fresh", "good"),
    "last_good": ("last good", "warn"),
    "naive": ("baselines only", "warn"),
    "ended": ("ended", "plain"),
    "none": ("no forecast", "bad"),
}
"""Every status of a ticker: the words and the tone of its badge."""
_TONES = {"degraded": "warn", "failed": "bad"} | {status: tone for status, (_, tone) in _STATUSES.items()}
_RESERVED = re.compile(r"index|glossary|con|prn|aux|nul|com[0-9]|lpt[0-9]", re.ASCII)


def severity(status: str) -> int:
    """The place of a status from good to bad; an unknown one comes last."""
    return STATUSES.index(status) if status in STATUSES else len(STATUSES)


@functools.lru_cache(maxsize=1 << 12)
def page_name(ticker: str) -> str:
    """The file of a ticker's page: a name that every file system and URL takes, and that no two tickers
    share.

    >>> [page_name(ticker) for ticker in ("BRK-B", "7203.T", "^GSPC", "EURUSD=X", "INDEX", "NUL.T")]
    ['BRK-B.html', '7203.T.html', '_5EGSPC.html', 'EURUSD_3DX.html', '_INDEX.html', '_NUL.T.html']
    """
    safe = re.sub(
        r"[^A-Za-z0-9.\-]",
        lambda found: "".join(f"_{byte:02X}" for byte in found[0].encode(errors="replace")),
        ticker,
    )
    taken = _RESERVED.fullmatch(safe.lower().partition(".")[0]) or safe.startswith(".")
    return f"{'_' if taken else ''}{safe}.html"


@functools.lru_cache(maxsize=1 << 12)
def clip(text: str | None) -> str:
    """Text of a bearable length on one line; a dash for none."""
    line = " ".join((text or "").split())
    return (line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…") or MISSING


def _whole(number: int) -> str:
    return f"{number:,}"


def _price(value: float | None) -> str:
    """A price with two decimals, or four significant digits below 1.

    >>> [_price(value) for value in (1234.5, 0.01234, None)]
    ['1,234.50', '0.01234', '–']
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"


def _fixed(value: float | None, decimals: int) -> str:
    return MISSING if value is None or not math.isfinite(value) else f"{value:,.{decimals}f}"


def percent(share: float | None, decimals: int = 1) -> str:
    """A share of 1 as per cent.

    >>> percent(0.8125)
    '81.2 %'
    """
    return MISSING if share is None or not math.isfinite(share) else f"{100 * share:.{decimals}f} %"


def _signed(share: float | None, decimals: int = 1) -> str:
    """A change as per cent, with its sign.

    >>> _signed(-0.0125), _signed(0.02)
    ('−1.2 %', '+2.0 %')
    """
    return (
        MISSING
        if share is None or not math.isfinite(share)
        else f"{100 * share:+.{decimals}f} %".replace("-", "−")
    )


def percent_of(share: float) -> str:
    """A change as per cent with its sign, with a decimal where it is below 1 %.

    >>> percent_of(-0.06), percent_of(0.1149), percent_of(0.0042)
    ('−6 %', '+11 %', '+0.4 %')
    """
    return _signed(share, 0 if abs(share) >= 0.00995 else 1)


def _seconds(value: float | None) -> str:
    """A duration in words that stay short.

    >>> [_seconds(value) for value in (0.04, 3.21, 75, 3723.0)]
    ['40 ms', '3.2 s', '1 min 15 s', '1 h 2 min']
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _figure(value: Any) -> str:
    """A recipe's figure: six significant digits, or the text as it is.

    >>> [_figure(value) for value in (0.00081234567, 1200, "no", None)]
    ['0.000812346', '1,200', 'no', '–']
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return clip(None if value is None else str(value))
    return f"{value:,.6g}" if math.isfinite(value) else MISSING


def _count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> _count(1, "ticker"), _count(1200, "ticker")
    ('1 ticker', '1,200 tickers')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _ahead(step: int) -> str:
    """How far ahead a step is.

    >>> _ahead(1), _ahead(5)
    ('one session ahead', '5 sessions ahead')
    """
    return "one session ahead" if step == 1 else f"{step} sessions ahead"


def _moment(value: dt.datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"


@functools.cache
def short_day(day: dt.date | None) -> str:
    """A day as people say it.

    >>> short_day(dt.date(2026, 9, 2))
    'Wed 2 Sep'
    """
    return f"{day:%a} {day.day} {day:%b}" if day else MISSING


@functools.cache
def _long_day(day: dt.date) -> str:
    return f"{day:%A} {day.day} {day:%B %Y}"


def _short_id(identifier: str | None) -> str:
    return identifier[:10] if identifier else MISSING


FILTERS = {
    "ahead": _ahead,
    "clip": clip,
    "count": _count,
    "figure": _figure,
    "fixed": _fixed,
    "long_day": _long_day,
    "moment": _moment,
    "page_name": page_name,
    "percent": percent,
    "price": _price,
    "seconds": _seconds,
    "short_day": short_day,
    "short_id": _short_id,
    "signed": _signed,
    "status_word": lambda status: _STATUSES.get(status, (status, ""))[0],
    "tone": lambda status: _TONES.get(status, "plain"),
    "whole": _whole,
}
"""By name, for the templates."""
