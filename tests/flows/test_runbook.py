"""The runbook knows every state, and each state of it is really produced by a test that looks for the words
that the runbook quotes.
"""

import ast
import re
from pathlib import Path

import pytest

from flows.settings.commands import COMMANDS
from flows.settings.options import OPTIONS

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "deployments" / "RUNBOOK.md").read_text(encoding="utf-8")

_FAULTS = ("tests/flows/test_doctor_faults.py", "test_a_planted_fault_is_found_with_its_cure", "FAULTS")
_GUARDED = "tests/flows/test_guarded_server.py"
PRODUCED_BY: dict[str, tuple[str, ...]] = {
    "no Dask scheduler": ("tests/flows/test_dask.py", "test_a_scheduler_that_does_not_answer_is_named"),
    "Dask worker differs": ("tests/flows/test_dask.py", "test_workers_with_another_installation_are_refused"),
    "Dask scheduler lost": (
        "tests/flows/test_dask.py",
        "test_a_scheduler_that_is_lost_ends_the_run_with_a_sentence",
    ),
    "fresh": ("tests/jobs/test_standing.py", "test_a_night_that_has_just_ended_is_fresh"),
    "degraded": (
        "tests/jobs/test_standing.py",
        "test_one_ticker_that_is_not_traded_any_more_makes_nothing_stale",
    ),
    "stale": ("tests/flows/test_notify.py", "test_status_tells_of_stale_data_where_it_is_asked_to"),
    "late": ("tests/jobs/test_standing.py", "test_a_night_that_is_not_published_by_its_deadline_is_late"),
    "crashed in Prefect": (
        "tests/flows/test_supervision.py",
        "test_the_server_crashes_a_run_that_is_silent_and_no_other",
    ),
    "dead run taken over": (
        "tests/jobs/test_takeover.py",
        "test_the_dead_run_is_named_and_written_down_and_its_half_built_files_go",
    ),
    "no new session": (
        "tests/flows/test_supervision.py",
        "test_without_a_new_session_a_scheduled_run_ends_at_once_well_and_writes_one_line",
    ),
    "superseded": (
        "tests/flows/test_supervision.py",
        "test_of_several_late_runs_of_a_schedule_only_the_newest_does_the_work",
    ),
    "night made up for": (
        "tests/flows/test_supervision.py",
        "test_missed_nights_are_done_before_tonight_in_order_and_marked",
    ),
    "dead": ("tests/jobs/test_standing.py", "test_a_run_that_died_shows"),
    "failed": (
        "tests/jobs/test_standing.py",
        "test_a_night_that_failed_after_the_published_one_shows_until_the_next_succeeds",
    ),
    "nothing published": (
        "tests/flows/test_cli.py",
        "test_before_the_first_publication_readers_say_what_to_do",
    ),
    "no prices": (_GUARDED, "test_a_run_without_any_prices_is_told_and_shown_as_failed"),
    "source down for some": _FAULTS,
    "ticker unknown": (_GUARDED, "test_a_degraded_night_is_told_to_every_address_with_its_summary"),
    "ended": (
        "tests/jobs/test_ends.py",
        "test_a_file_that_was_mislaid_is_waited_for_and_ends_the_ticker_on_the_third_session",
    ),
    "file refused": (
        "tests/flows/test_nightly.py",
        "test_each_bad_file_of_a_folder_is_one_status_row_and_the_good_one_is_forecast",
    ),
    "model damaged": (
        "tests/flows/test_nightly.py",
        "test_a_damaged_model_file_is_found_and_the_ticker_trained_anew",
    ),
    "busy": ("tests/store/test_lock.py", "test_a_second_process_is_told_who_holds_the_workspace"),
    "wrong usage": ("tests/flows/test_cli.py", "test_wrong_usage_is_one_line_and_exit_code_2", "BAD"),
    "interrupted": ("tests/flows/test_cli.py", "test_an_interrupt_is_exit_code_130"),
    "disk full": (
        "tests/store/test_disk_full.py",
        "test_a_night_that_does_not_fit_fails_cleanly_and_fits_later",
    ),
    "working file missing": (
        "tests/store/test_damage.py",
        "test_a_missing_file_is_damage_when_the_ledger_knows_runs",
    ),
    "rows lost": (
        "tests/store/test_damage.py",
        "test_an_older_copy_of_the_file_lacks_what_the_ledger_records",
    ),
    "runs lost": (
        "tests/store/test_restoration.py",
        "test_runs_beyond_the_newest_copy_are_named_as_lost_and_not_asked_for_again",
    ),
    "publication damaged": _FAULTS,
    "schema too new": _FAULTS,
    "audit failed": ("tests/flows/test_runbook.py", "test_an_audit_that_fails_says_that_nothing_was_stored"),
    "unexpected error": (
        "tests/flows/test_cli.py",
        "test_an_unexpected_error_is_one_line_and_its_traceback_is_in_the_log",
    ),
    "nobody told": (_GUARDED, "test_an_address_that_does_not_answer_is_a_notice_and_nothing_else"),
    "server away": (
        "tests/flows/test_server.py",
        "test_a_run_from_the_command_line_goes_on_without_the_server_it_was_told_to_use",
    ),
    "password refused": (
        _GUARDED,
        "test_without_the_password_nobody_gets_in_and_what_stays_open_is_what_the_runbook_says",
    ),
    "schedules stand still": (
        "tests/flows/test_server.py",
        "test_a_scheduled_run_completes_and_its_schedule_survives_the_end_of_serve",
    ),
    "server dies": _FAULTS,
    "weights missing": _FAULTS,
    "rights wrong": _FAULTS,
    "clock off": _FAULTS,
    "nothing to maintain": (
        "tests/jobs/test_maintenance.py",
        "test_a_workspace_at_work_or_without_a_database_is_refused",
    ),
}
"""State to the test that produces it: its file, its name, and where the words are in a table of cases, that
table.
"""


def states() -> dict[str, list[str]]:
    """The rows of the runbook's table: state to its other cells."""
    table = RUNBOOK.partition("<!-- states -->\n")[2].partition("<!-- end of states -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]
    return {row[0].strip("| "): row[1:] for row in rows}


def source(file: str, test: str, cases: str | None = None) -> str:
    """The text of a test, and of its table of cases."""
    text = (ROOT / file).read_text(encoding="utf-8")
    named: dict[str, ast.stmt] = {}
    for each in ast.parse(text).body:
        match each:
            case ast.FunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                named[name] = each
    found = [named[name] for name in (test, cases) if name]
    return "\n".join(ast.get_source_segment(text, each) or "" for each in found)


def test_every_state_of_the_runbook_is_produced_by_a_test_and_the_other_way_round():
    assert set(states()) == set(PRODUCED_BY)
    assert all(len(cells) == 4 and all(cells) for cells in states().values())


@pytest.mark.parametrize("state", PRODUCED_BY)
def test_the_words_that_the_runbook_quotes_are_looked_for_by_the_test_of_the_state(state):
    words = re.findall(r'"([^"]+)"', states()[state][1])
    text = source(*PRODUCED_BY[state])
    assert words and [word for word in words if word not in text] == []


def test_every_command_and_setting_that_the_runbook_names_exists():
    commands = set(re.findall(r"`tickercast ([a-z]+)", RUNBOOK))
    flags = set(
        re.findall(r"(--[a-z][a-z-]+)", " ".join(re.findall(r"`(tickercast [^`]*|--[^`]*)`", RUNBOOK)))
    )
    variables = set(re.findall(r"TICKERCAST_[A-Z_]+", RUNBOOK))
    assert commands <= set(COMMANDS)
    assert flags <= {option.flag for option in OPTIONS.values()}
    assert variables <= {option.variable for option in OPTIONS.values()} | {"TICKERCAST_PROFILES"}


def test_an_audit_that_fails_says_that_nothing_was_stored(tmp_path):
    from forecast_lib.errors import AuditFailed
    from tests.store import nights

    made = nights.night(0)
    made["run_tickers"]["status"] = "splendid"
    with pytest.raises(AuditFailed, match="nothing was stored: run_tickers.status breaks") as caught:
        nights.store_night(tmp_path, 0, made)
    assert caught.value.exit_code == 1
