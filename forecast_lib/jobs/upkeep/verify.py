"""Whether a published night comes out the same when it is run again from what was known then.

Here are the copy that the night is run in and the comparison; the night itself is the flow's. Nothing in the
workspace is written, and its lock is not needed: a publication is swapped in whole, so whoever opens it
copies one state of the tables. It holds them all.
"""

import contextlib
import datetime as dt
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from forecast_lib.config import RunConfig
from forecast_lib.errors import StoreDamaged, UsageError
from forecast_lib.jobs.forecast.before import read_answered
from forecast_lib.jobs.ingest.beside import asked_names, read_beside
from forecast_lib.jobs.record.status_rows import code_version, libraries
from forecast_lib.jobs.record.takeover import ledger_loss
from forecast_lib.jobs.refresh.plan import read_lineages
from forecast_lib.jobs.workspace import models_folder
from forecast_lib.models.training import POOL
from forecast_lib.store.disk import ledger
from forecast_lib.store.disk.border import disk_errors
from forecast_lib.store.disk.files import LEDGER, PUBLISHED, WORKING
from forecast_lib.store.published import reader
from forecast_lib.store.working.store import Store

__all__ = [
    "Incomparable",
    "Published",
    "Rows",
    "config_of",
    "copied",
    "differences",
    "pruned",
    "read_published",
    "read_rows",
    "refuse_other",
]

Rows = Mapping[str, pd.DataFrame]
"""By table, what one run published: indexed by what names a row, without run ids, instants, durations and
counts of what was fetched.
"""

_OF_THE_RUN = "run_id = $run"
_OF_ITS_BACKTEST = "backtest_id IN (SELECT backtest_id FROM backtests WHERE run_id = $run)"
_COMPARED: dict[str, tuple[list[str], str]] = {
    "runs": (["kind"], _OF_THE_RUN),
    "run_tickers": (["ticker"], _OF_THE_RUN),
    "covariate_trials": (["name"], _OF_THE_RUN),
    "forecasts": (["ticker", "step"], _OF_THE_RUN),
    "forecast_weights": (["ticker", "step", "model"], _OF_THE_RUN),
    "forecast_drivers": (["ticker", "step", "driver"], _OF_THE_RUN),
    "portfolio_forecasts": (["portfolio", "step"], _OF_THE_RUN),
    "scenarios": (["ticker", "step"], _OF_THE_RUN),
    "backtest_forecasts": (["ticker", "model", "step", "cutoff"], _OF_ITS_BACKTEST),
    "backtest_scores": (["ticker", "model", "step"], _OF_ITS_BACKTEST),
}
"""By table what names a row of one run, and whose rows they are."""
_RUN_COLUMNS = ["kind", "status", "tickers", "degraded", "prices_hash", "forecasts_hash"]
_LEFT_OUT = {
    # The rows that came that evening come no second time.
    *("run_id", "backtest_id", "rows_new", "rows_refused", "flags"),
    *("train_seconds", "cost_seconds", "expected_seconds", "seconds", "cpu_seconds", "gain_per_cpu_second"),
}
_COMPUTED = ("trained_by", "answered_by")


class Incomparable(Exception):
    """The night cannot be held against a second run; says why in a sentence."""


@dataclass(frozen=True)
class Published:
    """The night as its row in `runs` tells of it."""

    run_id: str
    config: str
    known_at: dt.datetime
    code_version: str
    libraries: Mapping[str, str]


@contextlib.contextmanager
def copied(workspace: Path) -> Iterator[Path]:
    """A workspace of its own with the published tables, the ledger up to them and the models (as links), for
    the length of the block.

    It lies in the system's folder for temporary files (`TMPDIR`), and may be written.

    Raises:
        Incomparable: nothing is published, or this user may not read it.
        StoreDamaged: a line of the ledger was altered or taken out, or it lacks published runs.
        OutOfSpace: the copy does not fit.
    """
    if not (workspace / PUBLISHED).is_file():
        raise Incomparable(f"nothing is published in {workspace}")
    with tempfile.TemporaryDirectory(prefix="tickercast-verify-") as folder:
        aside = Path(folder)
        try:
            with disk_errors(aside):
                shutil.copyfile(workspace / PUBLISHED, aside / WORKING)
            _copy_ledger(workspace, aside)
        except PermissionError as error:
            raise Incomparable(f"{error.filename} cannot be read by this user") from None
        models_folder(aside).mkdir()
        for path in models_folder(workspace).glob("*.npz"):
            (models_folder(aside) / path.name).symlink_to(path.resolve())
        yield aside


def _copy_ledger(workspace: Path, aside: Path) -> None:
    """The ledger's chain is checked as it is read; runs stored but not published yet stay out of the copy."""
    known = ledger.read(workspace)
    if lost := ledger_loss(workspace):
        raise StoreDamaged(lost)
    with reader.open_published(aside / WORKING) as con:
        there = {run for (run,) in con.execute("SELECT run_id FROM runs").fetchall()}
    count = len(known.entries)
    while ledger.Ledger(known.entries[:count]).runs().keys() - there:
        count -= 1
    lines = (workspace / LEDGER).read_bytes().splitlines(keepends=True) if count else []
    (aside / LEDGER).write_bytes(b"".join(lines[:count]))


def read_published(aside: Path, day: dt.date) -> Published:
    """The night of that evening that counts: the last one that was published.

    Raises:
        Incomparable: there is none; says which there are.
    """
    sql = "SELECT * FROM runs WHERE kind = 'nightly' AND status <> 'failed' ORDER BY finished_at, run_id"
    with reader.open_published(aside / WORKING) as con:
        nights = con.execute(sql).df()
    found = nights[nights["as_of"] == pd.Timestamp(day)]
    if found.empty:
        days = sorted({f"{each:%Y-%m-%d}" for each in nights["as_of"]})
        have = (
            "there are none"
            if not days
            else f"there is {days[0]}"
            if len(days) == 1
            else f"there are {days[0]} to {days[-1]}"
        )
        raise Incomparable(f"no night of {day} is published: {have}")
    run = found.iloc[-1]
    known_at = run["known_at"].to_pydatetime().replace(tzinfo=dt.UTC)
    return Published(
        run["run_id"], run["config"], known_at, run["code_version"], json.loads(run["libraries"])
    )


def config_of(published: Published) -> RunConfig:
    """What the night was asked to do, read back from its row.

    Raises:
        Incomparable: this version does not know such settings.
    """
    try:
        return TypeAdapter(RunConfig).validate_json(published.config)
    except (ValidationError, UsageError) as error:
        first = (
            ".".join(map(str, error.errors()[0]["loc"])) if isinstance(error, ValidationError) else str(error)
        )
        raise Incomparable(f"its settings are those of another version of Tickercast ({first})") from None


def refuse_other(published: Published, computed: Mapping[str, str] | None = None) -> None:
    """Make sure that it was made by this code and these libraries, or, once it has been run again, by the
    same kind of processor.

    Args:
        computed: `libraries` of the second run.

    Raises:
        Incomparable: names the first that differs.
    """
    if published.code_version != code_version():
        raise Incomparable(
            f"it was made by Tickercast {published.code_version}, and this is {code_version()}"
        )
    now = libraries() if computed is None else computed
    for name in now if computed is None else _COMPUTED:
        before, here = published.libraries.get(name, "none"), now.get(name, "none")
        if before != here:
            raise Incomparable(f"it was made with {name} {before}, and here is {here}")


def pruned(store: Store, config: RunConfig, rows: Rows) -> str | None:
    """The first model whose weights the night went on from that is no longer there.

    Args:
        store, config: of the second run, in the copy.
        rows: what the night published.
    """
    if missing := _pruned_of_before(store, config, rows["forecast_drivers"]):
        return missing
    answers = rows["run_tickers"]
    damaged = set(answers.index[answers["trigger"] == "model_damaged"])
    anew = bool((answers["decision"] == "retrain").any())
    asked = asked_names(read_beside(store, config), config)
    for ticker, lineage in read_lineages(store, config, asked).items():
        needed = anew if ticker == POOL else ticker not in damaged
        if (
            needed
            and lineage.last_good
            and not (models_folder(config.workspace) / f"{lineage.last_good.weights_sha256}.npz").exists()
        ):
            return f"the weights of model {lineage.last_good.model_id} of {ticker} were removed"
    return None


def _pruned_of_before(store: Store, config: RunConfig, drivers: pd.DataFrame) -> str | None:
    """The same of the models that widths were held against."""
    compared = drivers.index[drivers["change"].notna()].get_level_values("ticker").unique()
    if not len(compared):
        return None
    answered = read_answered(store, config)
    for ticker in compared.intersection(list(answered)):
        model_id, sha256 = answered[ticker]
        if not (models_folder(config.workspace) / f"{sha256}.npz").exists():
            return f"the weights of model {model_id} of {ticker}, which answered before, were removed"
    return None


def read_rows(aside: Path, run_id: str) -> Rows:
    """What the run published, as the copy has it."""
    rows = {}
    with reader.open_published(aside / WORKING) as con:
        for table, (keys, where) in _COMPARED.items():
            frame = con.execute(f"SELECT * FROM {table} WHERE {where}", {"run": run_id}).df()
            frame = (
                frame[_RUN_COLUMNS] if table == "runs" else frame.drop(columns=_LEFT_OUT & set(frame.columns))
            )
            rows[table] = frame.set_index(keys).sort_index()
    return rows


def differences(published: Rows, again: Rows) -> list[str]:
    """Where the two differ, a phrase for each row: the first column of it that does, with both values.

    >>> steps = pd.MultiIndex.from_tuples([("ACME", 1), ("ACME", 2)])
    >>> one = {"forecasts": pd.DataFrame({"point": [1.0, 2.0]}, index=steps)}
    >>> other = {"forecasts": one["forecasts"].replace(2.0, 3.0)}
    >>> differences(one, one), differences(one, other)
    ([], ['forecasts ACME 2 point: 2.0, now 3.0'])
    """
    return [
        phrase for table, before in published.items() for phrase in _differences(table, before, again[table])
    ]


def _differences(table: str, before: pd.DataFrame, now: pd.DataFrame) -> list[str]:
    if table == "scenarios" and before.empty:
        return []  # those of the newest night only are kept
    only = [
        (before.index.difference(now.index), "published, but not made again"),
        (now.index.difference(before.index), "not published"),
    ]
    phrases = [f"{table} {_named(key)}: {what}" for keys, what in only for key in keys]
    both = before.index.intersection(now.index)
    before, now = before.loc[both], now.loc[both]
    columns = {name: _unequal(before[name], now[name]) for name in before.columns}
    for row in np.flatnonzero(np.logical_or.reduce([*columns.values(), np.zeros(len(both), dtype=bool)])):
        name = next(name for name, unequal in columns.items() if unequal[row])
        values = [frame[name].iloc[row] for frame in (before, now)]
        shown = "" if isinstance(values[0], np.ndarray) else f": {values[0]}, now {values[1]}"
        phrases.append(f"{table} {_named(both[row])} {name}{shown}")
    return phrases


def _named(key: object) -> str:
    return " ".join(
        f"{part:%Y-%m-%d}" if isinstance(part, dt.date) else str(part)
        for part in (key if isinstance(key, tuple) else (key,))
    )


def _unequal(before: pd.Series, now: pd.Series) -> np.ndarray:
    """Where two columns differ in any bit; what is missing in both is the same."""
    if object not in (before.dtype, now.dtype):
        return ((before != now) & ~(before.isna() & now.isna())).to_numpy(bool)
    return np.array(
        [not _same(one, other) for one, other in zip(before.tolist(), now.tolist(), strict=True)], dtype=bool
    )


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray | list):
        return bool(np.array_equal(np.asarray(one), np.asarray(other)))
    return bool(one == other) or bool(pd.isna(one) and pd.isna(other))
