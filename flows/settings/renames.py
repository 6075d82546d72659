"""The table `[renames]` of a universe file: which tickers are old names of others, and from which day on.

[renames]
FB = { now = "META", on = 2022-06-09 }
"""

import datetime as dt
from collections.abc import Collection, Sequence

from forecast_lib.config import Rename
from forecast_lib.domain import Ticker, parse_ticker
from forecast_lib.errors import UsageError

__all__ = ["renames_from"]

_FORM = 'expected FB = { now = "META", on = 2022-06-09 }'


def renames_from(table: object, tickers: Collection[str], where: str) -> tuple[Rename, ...]:
    """The renames of a universe, in the order of their days.

    Args:
        table: as TOML gives it: old name to a table with `now` and `on`.
        tickers: of the universe, as written.
        where: how to name the file in an error.

    Raises:
        UsageError: a rename of another form, of a ticker that is not in the universe, or that contradicts
            another one.
    """
    if not isinstance(table, dict):
        raise UsageError(f"{where}: renames is no table: {_FORM} under [renames]")
    renames = sorted(
        (_rename(was, entry, where) for was, entry in table.items()), key=lambda each: (each.on, each.was)
    )
    listed = {parse_ticker(ticker) for ticker in tickers}
    for each in renames:
        _refuse_contradiction(each, renames, listed, where)
    return tuple(renames)


def _rename(was: str, entry: object, where: str) -> Rename:
    day = entry.get("on") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or set(entry) != {"now", "on"} or not isinstance(entry["now"], str):
        raise UsageError(f"{where}: rename of {was[:20]!a} has another form: {_FORM}")
    if not isinstance(day, dt.date) or isinstance(day, dt.datetime):
        raise UsageError(
            f"{where}: rename of {was[:20]!a} has no day: {_FORM}, the first session under the new name"
        )
    return Rename(parse_ticker(was), parse_ticker(entry["now"]), day)


def _refuse_contradiction(
    rename: Rename, renames: Sequence[Rename], listed: Collection[Ticker], where: str
) -> None:
    was, now = rename.was, rename.now
    if was == now or _comes_back(rename, renames):
        raise UsageError(
            f"{where}: the renames of {was} lead back to {was}: expected one new name after the other"
        )
    if was in listed:
        raise UsageError(
            f"{where}: {was} is in tickers and is renamed {now} too: take {was} off the list, its rows are"
            f" {now}'s past"
        )
    twice = next((each for each in renames if each.now == now and each is not rename), None)
    if twice is not None:
        raise UsageError(
            f"{where}: {now} was both {was} and {twice.was}: expected one old name; remove the other"
        )
    later = next((each for each in renames if each.was == now), None)
    if later is None and now not in listed:
        raise UsageError(f"{where}: {was} is renamed {now}, which is not in tickers: add {now}")
    if later is not None and later.on <= rename.on:
        raise UsageError(
            f"{where}: {was} becomes {now} on {rename.on}, but {now} {later.now} on {later.on}: expected"
            " rising days"
        )


def _comes_back(rename: Rename, renames: Sequence[Rename]) -> bool:
    names, seen = {each.was: each.now for each in renames}, {rename.was}
    name: Ticker | None = rename.now
    while name is not None and name not in seen:
        seen.add(name)
        name = names.get(name)
    return name == rename.was
