"""What a text means, wherever it was typed, exported or written; and how a value is written as one.

Each parser takes the text and how the user named the option, for the message of the `UsageError` that it
raises where the text means nothing.
"""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from forecast_lib.errors import UsageError

__all__ = ["PARSERS", "as_text", "one_of", "path_of"]


def one_of(text: str, called: str, choices: tuple[str, ...]) -> str:
    """The text, where it is one of the choices."""
    if text not in choices:
        raise UsageError(f"{called} {_shown(text)} is not known: expected one of {', '.join(choices)}")
    return text


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:57] + "...")


def _text(text: str, called: str) -> str:
    if not text or not text.isprintable():
        raise UsageError(f"{called} {_shown(text)} is empty or not printable: expected a name or a path")
    return text


def _proxy(text: str, called: str) -> str:
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


def path_of(text: str, called: str) -> Path:
    """The path, with the home folder that a `~` stands for.

    Raises:
        UsageError: it is empty or not printable, or there is no such user.
    """
    path = Path(_text(text, called))
    try:
        return path.expanduser()
    except RuntimeError:
        raise UsageError(
            f"{called} {_shown(text)}: the home folder of {path.parts[0]} is not known: give the whole path"
        ) from None


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


PARSERS: dict[str, Callable[[str, str], Any]] = {
    "text": _text,
    "path": path_of,
    "proxy": _proxy,
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
"""Of each kind of option."""


def as_text(value: object) -> str:
    """A value as the text that `PARSERS` read back: what a profile file or a flow parameter gives.

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
