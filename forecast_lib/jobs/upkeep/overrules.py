"""What a person decides about prices: a refused row is released, a stored one refused, a gap declared closed.
Each is a small run.

Nothing is changed in place. A release appends the row as a new revision of its price, logs the line of the
quarantine again, with `released_at` and the note, and notes that the gap is filled, where there was one; a
closed gap is a new state of it. What a person says of a move is a new verdict on it, which no later judging
changes: `real`, or `bad_print` of a row that counts for nothing from then on. The run, its rows and the
ledger's line are one transaction, as for every run, and the publication shows them at once.
"""

import contextlib
import datetime as dt
import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from forecast_lib.domain import AsOf, Ticker, parse_ticker
from forecast_lib.errors import UsageError
from forecast_lib.jobs.record.status_rows import code_version, libraries
from forecast_lib.prices.rules import HARMLESS_RULES
from forecast_lib.prices.source import as_json
from forecast_lib.store.disk.files import LEDGER, PUBLISHED, WORKING
from forecast_lib.store.disk.lock import hold_workspace
from forecast_lib.store.working import reads, revisions
from forecast_lib.store.working.store import Store
from forecast_lib.tables import PRICE_VALUES, TABLES

__all__ = ["Done", "close_gap", "open_gaps", "quarantined", "refuse", "release", "release_move"]

_ID = re.compile(r"[0-9a-f]{10}", re.ASCII)
_LONGEST_NOTE = 500
_BY_PERSON = "refused_by_person"


@dataclass(frozen=True)
class Done:
    """What was done, as a run."""

    run_id: str
    ticker: str
    session: dt.date
    message: str
    published: str


def quarantined(workspace: Path, now: dt.datetime, tickers: Sequence[str] = ()) -> pd.DataFrame:
    """The lines of the view `quarantine`, released ones too; of all tickers where none is named."""
    with _held(workspace, "look", now) as store:
        return reads.read_quarantine(store.con, tickers)


def open_gaps(workspace: Path, now: dt.datetime, tickers: Sequence[str] = ()) -> pd.DataFrame:
    """The lines of the view `open_price_gaps`; of all tickers where none is named."""
    with _held(workspace, "look", now) as store:
        return reads.read_open_gaps(store.con, tickers)


def release(
    workspace: Path, quarantine_id: str, note: str, now: dt.datetime, *, keep_snapshots: int = 7
) -> Done:
    """Accept a refused row: it becomes the newest revision of its price, its gap is filled, and later fetches
    of the same row pass.

    Raises:
        UsageError: no such line, it was released before, or it holds no row that could be a price.
    """
    note = _checked_note(note)
    with _held(workspace, "release", now) as store:
        con = store.con
        line = _line(reads.read_quarantine(con), quarantine_id)
        ticker, session = parse_ticker(line["ticker"]), line["session"].date()
        stored = reads.read_prices(con, [ticker], _as_of(now))
        price = {**_figures(line), "ticker": ticker, "session": line["session"], **_provenance(stored, line)}
        revision = revisions.diff_prices(con, pd.DataFrame([price]), _as_of(now))
        what = f"released {line['rule']} of {ticker} {session}: {note}"
        run = _run("release", ticker, what, now, line["source"])
        logged = line[["ticker", "session", "row", "origin", "rule", "source"]].to_dict()
        logged |= {"reason": note, "known_at": _naive(now), "released_at": _naive(now), "field": None}
        gaps = reads.read_gaps(con, [ticker], _as_of(now))
        filled = gaps.loc[
            (gaps["session"] == line["session"]) & (gaps["state"] != "filled"), ["ticker", "session"]
        ]
        verdicts = reads.read_verdicts(con, [ticker], _as_of(now))
        judged = verdicts[(verdicts["session"] == line["session"]) & (verdicts["verdict"] != "real")]
        frames = {
            "prices": revision,
            "quarantined_prices": pd.DataFrame([logged]),
            "price_gaps": filled.assign(state="filled", note=None, known_at=_naive(now)),
        }
        if len(judged):
            frames["price_verdicts"] = _said(ticker, line["session"], "real", note, now)
        return _published(store, run, ticker, session, frames, keep_snapshots, len(revision))


def release_move(
    workspace: Path, ticker: str, session: dt.date, note: str, now: dt.datetime, *, keep_snapshots: int = 7
) -> Done:
    """Say that a move was real whatever it was judged to be, a missing split above all; the next run takes
    back what was inferred from it.

    Raises:
        UsageError: nothing was judged on that session, it is real already, or its rows wait in the
            quarantine, to be released by name.
    """
    note, name = _checked_note(note), parse_ticker(ticker)
    with _held(workspace, "release", now) as store:
        con = store.con
        verdicts, day = reads.read_verdicts(con, [name], _as_of(now)), pd.Timestamp(session)
        mine = verdicts[verdicts["session"] == day]
        if mine.empty or mine["verdict"].iloc[0] == "real":
            there = verdicts.loc[verdicts["verdict"] != "real", "session"]
            those = ", ".join(str(each.date()) for each in there[-10:]) or "none"
            raise UsageError(
                f"{name} {session}: no move to release: expected one of {those}; see the table price_verdicts"
            )
        lines = reads.read_quarantine(con, [name])
        held = lines[(lines["session"] == day) & lines["released_at"].isna()]
        if len(held):
            those = ", ".join(held["quarantine_id"])
            raise UsageError(
                f"{name} {session} waits in the quarantine: release it by its name there, {those}"
            )
        what = f"released the move of {name} {session}, judged {mine['verdict'].iloc[0]}: {note}"
        run = _run("release", name, what, now, mine["source"].iloc[0])
        frames = {"price_verdicts": _said(name, day, "real", note, now)}
        return _published(store, run, name, session, frames, keep_snapshots)


def refuse(
    workspace: Path, ticker: str, session: dt.date, note: str, now: dt.datetime, *, keep_snapshots: int = 7
) -> Done:
    """Set a stored row aside: it stays in `prices`, and counts for nothing in forecasts and adjusted prices
    from now on.

    Its line in the quarantine can be released again.

    Raises:
        UsageError: there is no such row, or it is set aside already.
    """
    note, name = _checked_note(note), parse_ticker(ticker)
    with _held(workspace, "refuse", now) as store:
        con = store.con
        stored, day = reads.read_prices(con, [name], _as_of(now)), pd.Timestamp(session)
        row = stored[stored["session"] == day]
        if row.empty:
            raise UsageError(
                f"{name} {session} is no stored price: expected a session of `SELECT * FROM current_prices`"
            )
        if _waits(reads.read_verdicts(con, [name], _as_of(now)), session):
            raise UsageError(
                f"{name} {session} is set aside already: see `tickercast quarantine list {name}`"
            )
        run = _run("refuse", name, f"refused {name} {session}: {note}", now, row["source"].iloc[0])
        text = as_json({"session": day, **row[list(PRICE_VALUES)].astype(float).iloc[0].to_dict()})
        origin, source = f"stored by run {row['run_id'].iloc[0]}", row["source"].iloc[0]
        line = {"ticker": name, "session": day, "row": text, "origin": origin, "rule": _BY_PERSON}
        line |= {"reason": note, "field": None, "source": source, "known_at": _naive(now)}
        line |= {"released_at": pd.NaT}
        frames = {
            "quarantined_prices": pd.DataFrame([line]),
            "price_verdicts": _said(name, day, "bad_print", note, now),
        }
        return _published(store, run, name, session, frames, keep_snapshots)


def _said(ticker: Ticker, session: pd.Timestamp, verdict: str, note: str, now: dt.datetime) -> pd.DataFrame:
    """A person's verdict: columns of `price_verdicts` without run_id; the row waits where the print
    is bad.
    """
    rows = [str(session.date())] if verdict == "bad_print" else []
    evidence = json.dumps({"by": "person", "note": note, "ratio": 1.0, "rows": rows})
    row = {"ticker": ticker, "session": session, "verdict": verdict, "evidence": evidence}
    return pd.DataFrame([row | {"known_at": _naive(now)}])


def _waits(verdicts: pd.DataFrame, session: dt.date) -> bool:
    return any(str(session) in json.loads(evidence).get("rows", []) for evidence in verdicts["evidence"])


def close_gap(
    workspace: Path,
    ticker: str,
    session: dt.date,
    note: str,
    now: dt.datetime,
    *,
    last: dt.date | None = None,
    keep_snapshots: int = 7,
) -> Done:
    """Declare that no price will come for a session: it is neither asked for nor reported any more, and holds
    nobody back.

    Args:
        last: close every open gap from `session` to this day.

    Raises:
        UsageError: none of the sessions is an open gap of the ticker.
    """
    note, name = _checked_note(note), parse_ticker(ticker)
    with _held(workspace, "close", now) as store:
        con = store.con
        gaps = reads.read_open_gaps(con, [name])
        mine = gaps[gaps["session"].between(pd.Timestamp(session), pd.Timestamp(last or session))]
        days = f"{session} to {last}" if last else str(session)
        if mine.empty:
            those = ", ".join(str(day.date()) for day in gaps["session"][:10]) or "none"
            raise UsageError(
                f"{name} {days} is no open gap: expected one of {those}; see `tickercast gaps list`"
            )
        what = f"the {len(mine)} gaps of {name} from {days}" if last else f"the gap of {name} {days}"
        run = _run("close", name, f"closed {what}: {note}", now, mine["source"].iloc[0])
        closed = mine[["ticker", "session"]].assign(state="closed", note=note, known_at=_naive(now))
        return _published(store, run, name, session, {"price_gaps": closed}, keep_snapshots)


@contextlib.contextmanager
def _held(workspace: Path, what: str, now: dt.datetime) -> Iterator[Store]:
    if not workspace.is_dir():
        raise UsageError(f"workspace {workspace} does not exist: give --workspace DIR")
    if not any((workspace / name).exists() for name in (WORKING, PUBLISHED, LEDGER)):
        raise UsageError(f"nothing was ever stored in {workspace}: give --workspace DIR")
    with hold_workspace(workspace, f"upkeep {what}", started=now), Store(workspace, now) as store:
        yield store


def _checked_note(note: str) -> str:
    text = note.strip()
    if not text or not text.isprintable() or len(text) > _LONGEST_NOTE:
        raise UsageError(
            f'a note of 1 to {_LONGEST_NOTE} printable characters is needed: give --note "who decided, and'
            ' why"'
        )
    return text


def _line(lines: pd.DataFrame, quarantine_id: str) -> pd.Series:
    found = lines[lines["quarantine_id"] == quarantine_id] if _ID.fullmatch(quarantine_id) else lines.iloc[:0]
    if found.empty:
        raise UsageError(
            f"{quarantine_id[:40]!a} is no line of the quarantine: expected ten hex digits from `tickercast"
            " quarantine list`"
        )
    line = found.iloc[0]
    if pd.notna(line["released_at"]):
        raise UsageError(
            f"{quarantine_id} was released before, on {line['released_at']:%Y-%m-%d %H:%M} UTC:"
            f" {line['note']}"
        )
    if line["rule"] in HARMLESS_RULES:
        raise UsageError(
            f"{quarantine_id} was only early or a repetition ({line['rule']}): there is nothing to release"
        )
    return line


def _figures(line: pd.Series) -> dict[str, float | None]:
    """The row's prices and volume.

    Raises:
        UsageError: the row was no price, or its close cannot be stored.
    """
    try:
        row = json.loads(line["row"])
        figures = {name: None if row.get(name) is None else float(row[name]) for name in PRICE_VALUES}
    except (ValueError, TypeError, AttributeError):
        figures = {}
    prices = [value for name, value in figures.items() if name != "volume" and value is not None]
    fits = all(0 < value < float("inf") for value in prices) and figures.get("close") is not None
    volume = figures.get("volume")
    if not fits or pd.isna(line["session"]) or (volume is not None and not 0 <= volume < float("inf")):
        raise UsageError(
            f"{line['quarantine_id']} holds no row that could be stored ({line['rule']}:"
            f" {line['reason'][:100]}): mend it in the source"
        )
    return figures


def _provenance(stored: pd.DataFrame, line: pd.Series) -> dict[str, object]:
    return {"currency": None if stored.empty else stored["currency"].iloc[-1], "source": line["source"]}


def _naive(now: dt.datetime) -> pd.Timestamp:
    return pd.Timestamp(now).tz_localize(None).as_unit("us")


def _as_of(now: dt.datetime) -> AsOf:
    return AsOf(now.date(), now, now)


def _run(what: str, ticker: Ticker, message: str, now: dt.datetime, source: str) -> dict[str, object]:
    asked = json.dumps({"upkeep": what, "ticker": ticker}, sort_keys=True)
    return {
        "run_id": f"{now:%Y%m%d}-{secrets.token_hex(4)}",
        "kind": "upkeep",
        "as_of": pd.Timestamp(now.date()),
        "known_at": _naive(now),
        "started_at": _naive(now),
        "finished_at": _naive(now),
        "status": "fresh",
        "message": message,
        "source": source,
        "config": asked,
        # nothing in it tells one evening from another
        "config_hash": hashlib.sha256(asked.encode()).hexdigest()[:16],
        "code_version": code_version(),
        "libraries": json.dumps(libraries(), sort_keys=True),
        "tickers": 1,
        "degraded": 0,
        "prices_hash": None,
        "forecasts_hash": None,
        "seconds_per_stage": "{}",
    }


def _frames(
    run: dict[str, object], ticker: Ticker, rows_new: int, more: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    nothing = dict.fromkeys(TABLES["run_tickers"].columns)
    said = {"run_id": run["run_id"], "ticker": ticker, "status": "fresh"}
    status = {**nothing, **said, "rows_new": rows_new, "rows_refused": 0}
    own = {table: frame.assign(run_id=run["run_id"]) for table, frame in more.items()}
    return {**own, "runs": pd.DataFrame([run]), "run_tickers": pd.DataFrame([status])}


def _published(
    store: Store,
    run: dict[str, object],
    ticker: Ticker,
    session: dt.date,
    frames: dict[str, pd.DataFrame],
    keep_snapshots: int,
    rows_new: int = 0,
) -> Done:
    store.record(_frames(run, ticker, rows_new, frames))
    path = store.publish(str(run["run_id"]), keep_snapshots)
    return Done(str(run["run_id"]), ticker, session, str(run["message"]), str(path))
