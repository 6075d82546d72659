"""Refused rows that a person releases, gaps that a person closes: in a workspace filled by real ingests from
a CSV file.
"""

import datetime as dt
import hashlib
import shutil
from pathlib import Path

import pandas as pd
import pytest

from flows import cli
from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.domain import AsOf
from forecast_lib.errors import UsageError
from forecast_lib.jobs.record.summary import RunSummary
from forecast_lib.jobs.upkeep import overrules
from forecast_lib.sessions import TickerCalendar
from forecast_lib.store.disk import ledger
from forecast_lib.store.working import database, reads
from tests import plain_runs, reading

pytestmark = pytest.mark.slow

TWO_MISSING = "2 sessions without a price in 1 tickers, see open_price_gaps"
BAD, MISSING = "2024-06-05", "2024-06-12"
LATER = dt.datetime(2024, 6, 20, 9, 0, tzinfo=dt.UTC)


def write_prices(
    path: Path, *, bad_close: float = 108.0, drop: str | None = MISSING, last: str = "2024-06-18"
) -> None:
    """Sessions from 2 January: open 100, high 102, low 98, close 100 or 101 in turn; a close above its high
    on 5 June.
    """
    sessions = TickerCalendar("XNYS").sessions(dt.date(2024, 1, 2), dt.date.fromisoformat(last))
    rows = {"Date": sessions.strftime("%Y-%m-%d"), "Open": 100.0, "High": 102.0, "Low": 98.0}
    frame = pd.DataFrame(rows).assign(Close=[100.0 + place % 2 for place in range(len(sessions))])
    frame["Volume"] = range(1000, 1000 + len(frame))
    frame.loc[frame["Date"] == BAD, "Close"] = bad_close
    frame[frame["Date"] != drop].to_csv(path, index=False)


@pytest.fixture(scope="module")
def _ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upkeep")
    write_prices(folder / "ACME.csv")
    ingest(folder, "2024-06-18T22:30:00")
    return folder


@pytest.fixture
def folder(_ingested: Path, tmp_path: Path) -> Path:
    """Prices of ACME were ingested on 18 June: 5 June was refused, and 12 June was not in the file."""
    return Path(shutil.copytree(_ingested, tmp_path / "folder"))


def ingest(folder: Path, now: str) -> RunSummary:
    given = {"files": str(folder / "ACME.csv"), "workspace": str(folder / "workspace"), "as_of": now[:10]}
    return plain_runs.ingest(
        resolve(gather(given, environ={}), now=dt.datetime.fromisoformat(now + "+00:00"))
    )


def rows(folder: Path, sql: str) -> list[tuple]:
    return reading.published(folder / "workspace", sql)


GAPS = "SELECT session::VARCHAR FROM open_price_gaps ORDER BY 1"


def test_a_refused_row_is_held_counted_and_a_gap(folder: Path) -> None:
    assert rows(folder, "SELECT rule, severity, rows, session::VARCHAR FROM quality_counts") == [
        ("close_contradicted", "drop_row", 1, BAD)
    ]
    assert rows(folder, GAPS) == [(BAD,), (MISSING,)]
    assert rows(folder, "SELECT message FROM runs") == [("1 of 1 tickers fresh; " + TWO_MISSING,)]


def test_a_release_is_a_revision_with_a_note_in_one_run(folder: Path) -> None:
    (line,) = overrules.quarantined(folder / "workspace", LATER).to_dict("records")
    done = overrules.release(
        folder / "workspace", line["quarantine_id"], "checked with the exchange, M. Mustermann", LATER
    )
    price = f"SELECT close, revision, run_id FROM current_prices WHERE session = DATE '{BAD}'"
    assert rows(folder, price) == [(108.0, 0, done.run_id)]
    assert rows(folder, "SELECT released_at IS NOT NULL, note FROM quarantine") == [
        (True, "checked with the exchange, M. Mustermann")
    ]
    assert rows(folder, "SELECT count(*), count(released_at) FROM quarantined_prices") == [(2, 1)], (
        "the refusal itself stays"
    )
    assert rows(folder, f"SELECT kind, tickers, message FROM runs WHERE run_id = '{done.run_id}'") == [
        ("upkeep", 1, f"released close_contradicted of ACME {BAD}: checked with the exchange, M. Mustermann")
    ]
    ((config, config_hash),) = rows(
        folder, f"SELECT config, config_hash FROM runs WHERE run_id = '{done.run_id}'"
    )
    assert config_hash == hashlib.sha256(config.encode()).hexdigest()[:16]  # as the column's comment says
    assert ledger.read(folder / "workspace").runs()[done.run_id]["rows"] == {
        "prices": 1, "quarantined_prices": 1, "price_gaps": 1, "runs": 1, "run_tickers": 1,
    }  # fmt: skip


def test_a_release_fills_the_gap_that_the_refusal_left_and_no_other(folder: Path) -> None:
    (line,) = overrules.quarantined(folder / "workspace", LATER).to_dict("records")
    done = overrules.release(folder / "workspace", line["quarantine_id"], "right", LATER)
    assert rows(folder, GAPS) == [(MISSING,)]
    assert overrules.open_gaps(folder / "workspace", LATER)["session"].astype(str).tolist() == [MISSING]
    state = (
        "SELECT state, note, known_at, run_id, source FROM price_gaps WHERE session = DATE '{}' ORDER BY"
        " known_at DESC LIMIT 1"
    )
    assert rows(folder, state.format(BAD)) == [
        ("filled", None, LATER.replace(tzinfo=None), done.run_id, "files")
    ]
    with pytest.raises(UsageError, match=f"ACME {BAD} is no open gap: expected one of {MISSING};"):
        overrules.close_gap(
            folder / "workspace", "ACME", dt.date.fromisoformat(BAD), "note", LATER + dt.timedelta(hours=1)
        )


def test_a_release_fills_a_gap_that_was_closed_and_none_that_was_filled(folder: Path) -> None:
    (line,) = overrules.quarantined(folder / "workspace", LATER).to_dict("records")
    closed = Path(shutil.copytree(folder, folder.with_name("closed")))
    overrules.close_gap(
        closed / "workspace",
        "ACME",
        dt.date.fromisoformat(BAD),
        "nothing to wait for",
        LATER - dt.timedelta(hours=1),
    )
    done = overrules.release(closed / "workspace", line["quarantine_id"], "right after all", LATER)
    assert rows(closed, f"SELECT state FROM price_gaps WHERE run_id = '{done.run_id}'") == [("filled",)]
    write_prices(folder / "ACME.csv", bad_close=101.5)
    ingest(folder, "2024-06-20T08:30:00")
    done = overrules.release(folder / "workspace", line["quarantine_id"], "the first one was right", LATER)
    assert rows(folder, f"SELECT state FROM price_gaps WHERE run_id = '{done.run_id}'") == []


def test_the_next_fetch_of_a_released_row_passes_and_finds_the_gap_filled(folder: Path) -> None:
    (line,) = overrules.quarantined(folder / "workspace", LATER).to_dict("records")
    overrules.release(folder / "workspace", line["quarantine_id"], "right", LATER)
    before = rows(folder, "SELECT (SELECT count(*) FROM prices), (SELECT count(*) FROM price_gaps)")
    summary = ingest(folder, "2024-06-20T22:30:00")
    after = rows(folder, "SELECT (SELECT count(*) FROM prices), (SELECT count(*) FROM price_gaps)")
    assert after == before, "what is there already adds nothing"
    assert rows(folder, f"SELECT count(*) FROM quality_counts WHERE run_id = '{summary.run_id}'") == [(0,)]
    assert rows(folder, GAPS) == [(MISSING,)]


def test_a_gap_is_asked_for_again_until_it_is_filled(folder: Path) -> None:
    write_prices(folder / "ACME.csv", bad_close=101.5, drop=None, last="2024-06-20")
    summary = ingest(folder, "2024-06-20T22:30:00")
    assert rows(folder, GAPS) == []
    filled = f"SELECT session::VARCHAR, state FROM price_gaps WHERE run_id = '{summary.run_id}' ORDER BY 1"
    assert rows(folder, filled) == [(BAD, "filled"), (MISSING, "filled")]
    assert "without a price" not in summary.message


def test_a_closed_gap_is_reported_no_more_and_a_price_for_it_still_counts(folder: Path) -> None:
    overrules.close_gap(folder / "workspace", "ACME", dt.date(2024, 6, 12), "trading was halted", LATER)
    assert rows(folder, GAPS) == [(BAD,)]
    assert rows(folder, "SELECT state, note FROM price_gaps WHERE note IS NOT NULL") == [
        ("closed", "trading was halted")
    ]
    summary = ingest(folder, "2024-06-20T22:30:00")
    assert "1 sessions without a price" in summary.message
    write_prices(folder / "ACME.csv", drop=None)
    ingest(folder, "2024-06-20T23:30:00")
    states = f"SELECT state FROM price_gaps WHERE session = DATE '{MISSING}' ORDER BY known_at"
    assert rows(folder, states) == [("missing",), ("closed",), ("filled",)]


def test_all_gaps_from_one_day_to_another_are_closed_at_once(folder: Path) -> None:
    done = overrules.close_gap(
        folder / "workspace", "ACME", dt.date(2024, 6, 1), "a halt", LATER, last=dt.date(2024, 6, 30)
    )
    assert done.message == "closed the 2 gaps of ACME from 2024-06-01 to 2024-06-30: a halt"
    assert rows(folder, GAPS) == []
    halted = "SELECT session::VARCHAR, state FROM price_gaps WHERE note = 'a halt' ORDER BY 1"
    assert rows(folder, halted) == [(BAD, "closed"), (MISSING, "closed")]
    with pytest.raises(
        UsageError, match="ACME 2024-06-01 to 2024-06-30 is no open gap: expected one of none;"
    ):
        overrules.close_gap(
            folder / "workspace", "ACME", dt.date(2024, 6, 1), "again", LATER, last=dt.date(2024, 6, 30)
        )


@pytest.mark.parametrize(
    "name", ["", "0123456789", "'; DROP TABLE prices; --", "../../etc/passwd", "a" * 5000]
)
def test_what_is_no_line_of_the_quarantine_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no line of the quarantine"):
        overrules.release(folder / "workspace", name, "note", LATER)


def test_no_release_and_no_closing_without_a_note_or_twice(folder: Path) -> None:
    (line,) = overrules.quarantined(folder / "workspace", LATER).to_dict("records")
    with pytest.raises(UsageError, match="a note of 1 to 500 printable characters"):
        overrules.release(folder / "workspace", line["quarantine_id"], " \n", LATER)
    overrules.release(folder / "workspace", line["quarantine_id"], "right", LATER)
    with pytest.raises(UsageError, match="was released before, on 2024-06-20 09:00 UTC: right"):
        overrules.release(folder / "workspace", line["quarantine_id"], "again", LATER + dt.timedelta(hours=1))
    with pytest.raises(UsageError, match=f"ACME 2024-06-13 is no open gap: expected one of {MISSING};"):
        overrules.close_gap(folder / "workspace", "ACME", dt.date(2024, 6, 13), "note", LATER)


def test_a_row_that_can_be_no_price_cannot_be_released(folder: Path) -> None:
    write_prices(folder / "ACME.csv", bad_close=-3.0)
    ingest(folder, "2024-06-20T22:30:00")
    lines = overrules.quarantined(folder / "workspace", LATER)
    (negative,) = lines.loc[lines["rule"] == "not_positive", "quarantine_id"]
    with pytest.raises(UsageError, match="holds no row that could be stored"):
        overrules.release(folder / "workspace", negative, "note", LATER)


GOOD = "2024-06-10"
_SAID = ", ".join(f"evidence ->> '{name}'" for name in ("by", "note", "rows"))
VERDICTS = f"SELECT ticker, session::VARCHAR, verdict, {_SAID} FROM price_verdicts ORDER BY known_at"


def test_a_stored_row_that_a_person_refuses_stays_and_counts_for_nothing_until_it_is_released(
    folder: Path,
) -> None:
    done = overrules.refuse(
        folder / "workspace", "ACME", dt.date.fromisoformat(GOOD), "a misprint, M. Mustermann", LATER
    )
    assert done.message == f"refused ACME {GOOD}: a misprint, M. Mustermann"
    assert rows(folder, f"SELECT count(*) FROM prices WHERE session = DATE '{GOOD}'") == [(1,)], (
        "nothing is removed"
    )
    counts = f"SELECT count(*) FROM adjusted_prices WHERE session = DATE '{GOOD}'"
    assert rows(folder, counts) == [(0,)]
    assert rows(folder, VERDICTS) == [
        ("ACME", GOOD, "bad_print", "person", "a misprint, M. Mustermann", f'["{GOOD}"]')
    ]
    (line,) = (
        line
        for line in overrules.quarantined(folder / "workspace", LATER).to_dict("records")
        if line["rule"] == "refused_by_person"
    )
    assert (str(line["session"].date()), line["reason"], pd.isna(line["field"])) == (
        GOOD,
        "a misprint, M. Mustermann",
        True,
    )
    later = LATER + dt.timedelta(hours=1)
    with pytest.raises(
        UsageError, match=f"ACME {GOOD} is set aside already: see `tickercast quarantine list ACME`"
    ):
        overrules.refuse(folder / "workspace", "ACME", dt.date.fromisoformat(GOOD), "again", later)
    overrules.release(folder / "workspace", line["quarantine_id"], "it was right", later)
    assert rows(folder, counts) == [(1,)]
    assert rows(folder, VERDICTS)[1:] == [("ACME", GOOD, "real", "person", "it was right", "[]")]
    assert rows(folder, f"SELECT count(*) FROM prices WHERE session = DATE '{GOOD}'") == [(1,)], (
        "the row was there"
    )
    overrules.refuse(
        folder / "workspace",
        "ACME",
        dt.date.fromisoformat(GOOD),
        "wrong after all",
        later + dt.timedelta(hours=1),
    )
    assert rows(folder, counts) == [(0,)]


@pytest.mark.parametrize(
    ("ticker", "session", "message"),
    [
        ("ACME", MISSING, f"ACME {MISSING} is no stored price"),
        ("NOSUCH", GOOD, f"NOSUCH {GOOD} is no stored price"),
    ],
)
def test_what_is_not_stored_cannot_be_refused(folder: Path, ticker: str, session: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        overrules.refuse(folder / "workspace", ticker, dt.date.fromisoformat(session), "note", LATER)


def judged(folder: Path, verdict: str, evidence: str) -> None:
    """What a run said of the move into GOOD."""
    with database.open_working(folder / "workspace", LATER) as con:
        values = {"verdict": verdict, "evidence": evidence, "known": LATER.replace(tzinfo=None)}
        con.execute(
            f"INSERT INTO price_verdicts VALUES ('ACME', '{GOOD}', $verdict, $evidence, $known, 'a run',"
            " 'files')",
            values,
        )


def test_an_inferred_split_is_overruled_by_ticker_and_day(folder: Path) -> None:
    judged(folder, "split", '{"ratio": 2.0, "rows": []}')
    later = LATER + dt.timedelta(hours=1)
    done = overrules.release_move(
        folder / "workspace", "ACME", dt.date.fromisoformat(GOOD), "the shares did fall", later
    )
    assert done.message == f"released the move of ACME {GOOD}, judged split: the shares did fall"
    with database.open_working(folder / "workspace", later) as con:
        (newest,) = reads.read_verdicts(con, ["ACME"], AsOf(later.date(), later, later)).to_dict("records")
    assert newest["verdict"] == "real" and '"by": "person"' in newest["evidence"]
    with pytest.raises(
        UsageError,
        match=f"ACME {GOOD}: no move to release: expected one of none; see the table price_verdicts",
    ):
        overrules.release_move(folder / "workspace", "ACME", dt.date.fromisoformat(GOOD), "again", later)


def test_a_move_whose_row_waits_is_released_by_the_name_of_its_line(folder: Path) -> None:
    overrules.refuse(folder / "workspace", "ACME", dt.date.fromisoformat(GOOD), "a misprint", LATER)
    later = LATER + dt.timedelta(hours=1)
    lines = overrules.quarantined(folder / "workspace", later)
    named = lines.loc[lines["rule"] == "refused_by_person", "quarantine_id"].iloc[0]
    with pytest.raises(
        UsageError, match=f"ACME {GOOD} waits in the quarantine: release it by its name there, {named}"
    ):
        overrules.release_move(folder / "workspace", "ACME", dt.date.fromisoformat(GOOD), "right", later)


def test_the_command_line_refuses_and_releases_in_one_line_each(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--workspace", str(folder / "workspace"))
    assert cli.main(["quarantine", "refuse", "acme", GOOD, "--note", "a misprint", *where]) == 0
    assert capsys.readouterr().out.startswith(f"refused ACME {GOOD}: a misprint")
    for words, message in (
        (("refuse", "ACME", "June"), "the session 'June' is not a date: expected YYYY-MM-DD"),
        (("refuse", "ACME"), "quarantine refuse takes 2 words, 1 came"),
        (("release", "ACME", GOOD, "x"), "quarantine release takes 1 words, 3 came"),
        (("refuse", "ACME", GOOD), "a note of 1 to 500 printable characters is needed"),
    ):
        assert (
            cli.main(
                [
                    "quarantine",
                    *words,
                    *(where if len(words) == 3 and words[2] == GOOD else ("--note", "n", *where)),
                ]
            )
            == 2
        )
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["quarantine", "gaps"])
def test_a_look_into_a_folder_that_is_no_workspace_leaves_nothing_there(command, tmp_path, capsys) -> None:
    assert cli.main([command, "--workspace", str(tmp_path)]) == 2
    said = f"tickercast: nothing was ever stored in {tmp_path}: give --workspace DIR\n"
    assert capsys.readouterr().err == said and list(tmp_path.iterdir()) == []
