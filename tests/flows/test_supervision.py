"""Deaths become visible: by the automations on a real server, and by whoever starts next."""

import dataclasses
import datetime as dt
import threading
import time
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Completed, Pending, Running

from flows.running import evenings
from flows.service import scheduled, supervision
from flows.service.supervision import TAG, crash_silent_runs, set_up, watching
from flows.settings.layers import gather
from forecast_lib.errors import UsageError
from forecast_lib.jobs.monitor.missed import Due
from forecast_lib.jobs.record.summary import EXIT_CODES, NOTHING_DONE, RunSummary

pytestmark = pytest.mark.prefect


@flow(name="watched")
def watched():
    """Never run: its runs are made and moved by hand."""


@pytest.fixture
def client(prefect_server):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_server}), get_client(sync_client=True) as client:
        yield client


def make_run(client, *states, tags=(TAG,)):
    run = client.create_flow_run(watched, tags=tags)
    for state in states:
        client.set_flow_run_state(run.id, state)
    return run.id


def states(client, *runs):
    return [client.read_flow_run(run).state.name for run in runs]


@pytest.fixture
def automations(client):
    """Whatever a test set up is taken away again: the server is shared."""
    yield lambda: {
        each.name: each for each in client.read_automations() if each.name.startswith("Tickercast")
    }
    for each in client.read_automations():
        client.delete_automation(each.id)


def test_setting_up_twice_makes_two_automations_and_leaves_one_off_that_was_switched_off(client, automations):
    names = set_up()
    first = automations()
    assert sorted(first) == sorted(names) and len(names) == 2
    client.pause_automation(first[names[0]].id)
    set_up()
    again = automations()
    assert {name: each.id for name, each in again.items()} == {name: each.id for name, each in first.items()}
    assert [again[name].enabled for name in names] == [False, True]


def test_setting_up_puts_back_what_was_changed(client, automations, monkeypatch):
    monkeypatch.setattr(
        supervision,
        "_DEATHS",
        tuple((*death[:2], dt.timedelta(hours=9), death[3]) for death in supervision._DEATHS),
    )
    names = set_up()
    assert {each.trigger.within for each in automations().values()} == {dt.timedelta(hours=9)}
    monkeypatch.undo()
    set_up()
    assert [automations()[name].trigger.within for name in names] == [
        supervision.SILENCE,
        supervision._STARTING,
    ]


def test_a_death_shows_within_three_minutes():
    """The server looks every 5 s; the last heartbeat may just have been sent."""
    slowest = max(supervision.SILENCE, supervision._STARTING) + dt.timedelta(seconds=10)
    assert slowest < dt.timedelta(minutes=3)
    assert (
        dt.timedelta(seconds=3 * int(supervision.heartbeats()[supervision.HEARTBEAT_VARIABLE]))
        < supervision.SILENCE
    )


def test_the_server_crashes_a_run_that_is_silent_and_no_other(client, automations, monkeypatch):
    """With 10 s, the shortest that Prefect allows, instead of 100. The state of the run that ended has a name
    of ours, not of Prefect's.
    """
    deaths = tuple((*death[:2], dt.timedelta(seconds=10), death[3]) for death in supervision._DEATHS)
    monkeypatch.setattr(supervision, "_DEATHS", deaths)
    set_up()
    time.sleep(2.0)  # the server loads its automations
    silent, never_began = make_run(client, Pending(), Running()), make_run(client, Pending())
    ended, others = make_run(client, Running(), Completed(name="Fresh")), make_run(client, Running(), tags=())
    deadline = time.monotonic() + 3000
    while states(client, silent, never_began) != ["Crashed", "Crashed"] and time.monotonic() < deadline:
        time.sleep(1.0)
    assert states(client, silent, never_began, ended, others) == ["Crashed", "Crashed", "Fresh", "Running"]
    assert "process is gone" in client.read_flow_run(silent).state.message


def test_whoever_starts_next_crashes_what_no_automation_saw(client, monkeypatch):
    old, mine, others = (
        make_run(client, Running()),
        make_run(client, Running()),
        make_run(client, Running(), tags=()),
    )
    assert crash_silent_runs() == []  # they were heard of a moment ago
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=120)
    monkeypatch.setattr(supervision, "utc_now", lambda: later)
    [crashed] = crash_silent_runs(but=mine)
    assert str(old) in crashed
    assert states(client, old, mine, others) == ["Crashed", "Running", "Running"]


def test_serve_crashes_what_no_automation_saw_once_the_server_has_been_heard_long_enough(
    client, monkeypatch, capsys
):
    """There is no automation here: as when the server's memory of the run's events died with the run."""
    monkeypatch.setattr(supervision, "_LOOK_S", 0.2)
    monkeypatch.setattr(supervision, "SILENCE", dt.timedelta(seconds=3))
    dead, others = make_run(client, Running()), make_run(client, Running(), tags=())
    time.sleep(3.0)  # long silent when the watch begins; the server was just asked for the first time
    with watching():
        time.sleep(1.5)
        early = states(client, dead)
        deadline = time.monotonic() + 300
        said = ""
        while "marked as crashed" not in said and time.monotonic() < deadline:  # said once it is done
            time.sleep(0.2)
            said += capsys.readouterr().err
    assert early == ["Running"]
    assert states(client, dead, others) == ["Crashed", "Running"]
    assert f"marked as crashed: {client.read_flow_run(dead).name}" in said


def test_the_watch_goes_on_after_a_server_that_did_not_answer(monkeypatch):
    """And counts the silence from when it answers again."""
    monkeypatch.setattr(supervision, "_LOOK_S", 0.01)
    asked, back = [], threading.Event()

    def look(audible_since):
        asked.append(audible_since)
        if len(asked) < 3:
            raise ConnectionError("no server")
        back.set()
        return []

    monkeypatch.setattr(supervision, "crash_silent_runs", look)
    with watching():
        assert back.wait(100)
    assert asked[0] < asked[1] < asked[2]


# --- what a scheduled run does before its own work


@pytest.fixture
def config(tmp_path):
    from flows.settings.layers import gather
    from flows.settings.run_config import resolve

    return resolve(
        gather(
            {"tickers": "AAPL", "as_of": "2024-05-28"}, environ={"TICKERCAST_WORKSPACE": str(tmp_path / "w")}
        )
    )


@pytest.fixture
def evening(monkeypatch, config):
    """Calls `evenings.evening` as one of a schedule, with what is due given; returns the summary and the
    nights that were run.
    """
    monkeypatch.setattr(evenings, "say", print)

    def call(found: Due, overrides=(), scheduled_run=True, config=config):
        ran = []

        def night(asked):
            ran.append(asked)
            return RunSummary(asked.run_id, "nightly", "fresh", asked.as_of.day, "1 of 1 tickers fresh")

        monkeypatch.setattr(evenings, "due", lambda *given, from_nothing: found)
        return evenings.evening(config, gather(dict(overrides)), night, scheduled=scheduled_run), ran

    return call


MISSED = (dt.date(2024, 5, 23), dt.date(2024, 5, 24))


def test_without_a_new_session_a_scheduled_run_ends_at_once_well_and_writes_one_line(evening, config):
    from forecast_lib.store.disk import ledger

    summary, ran = evening(Due(new=False, stands="run-1"))
    assert (summary.status, summary.exit_code, ran) == ("no_new_session", 0, [])
    assert summary.message == "no new session for any of 1 tickers; the forecasts of run run-1 stand"
    [line] = ledger.read(config.workspace).entries
    assert (line["kind"], line["as_of"], line["stands"]) == ("no_new_session", "2024-05-28", "run-1")
    assert sorted(path.name for path in config.workspace.iterdir()) == [".lock", "ledger.jsonl"]
    assert ledger.read(config.workspace).runs() == {}


@pytest.mark.parametrize(
    ("overrides", "scheduled_run"),
    [({"strategy": "retrain"}, True), ({"as_of": "2024-05-28"}, False), ({}, False)],
)
def test_a_run_by_hand_and_one_with_a_strategy_are_done_on_a_holiday_too(
    evening, config, overrides, scheduled_run
):
    summary, ran = evening(Due(new=False, stands="run-1"), overrides, scheduled_run)
    assert (summary.status, ran) == ("fresh", [config])


def test_missed_nights_are_done_before_tonight_in_order_and_marked(evening, config):
    summary, ran = evening(Due(True, MISSED, 3, "run-1"), {"strategy": "retrain"})
    assert [(night.as_of.day, night.backfilled, night.strategy) for night in ran[:-1]] == [
        (day, True, "auto") for day in MISSED
    ]
    assert (ran[-1].run_id, ran[-1].as_of.day) == (config.run_id, config.as_of.day) and len(
        {night.run_id for night in ran}
    ) == 3
    # Else it would not know the prices that the nights before it stored.
    assert ran[-1].as_of.known_at >= ran[-2].as_of.known_at
    # Prices as they are known now, dated up to the evening.
    assert all(night.as_of.known_at == night.as_of.now for night in ran)
    assert (
        summary.message
        == "1 of 1 tickers fresh; 3 missed nights before that were not made up for; 2024-05-23 back-filled;"
        " 2024-05-24 back-filled"
    )


def test_nights_that_are_made_up_for_know_no_more_than_was_asked_for(evening, config):
    """`--known-at`: price revisions that were stored later do not count, for any of them."""
    asked = dt.datetime(2024, 5, 27, 12, tzinfo=dt.UTC)
    known_then = dataclasses.replace(config, as_of=dataclasses.replace(config.as_of, known_at=asked))
    _, ran = evening(Due(True, MISSED), {"backfill": 5}, scheduled_run=False, config=known_then)
    assert [night.as_of.known_at for night in ran] == [asked] * 3


def test_a_run_by_hand_makes_up_for_missed_nights_only_where_it_is_told_to(evening):
    assert len(evening(Due(True, MISSED), scheduled_run=False)[1]) == 1
    assert len(evening(Due(True, MISSED), {"backfill": 5}, scheduled_run=False)[1]) == 3


def test_the_demo_makes_up_for_two_weeks_though_it_is_run_by_hand(evening):
    """So its report has forecasts to hold against what came."""
    assert gather({"profile": "demo"}, environ={})["backfill"] == 10
    assert len(evening(Due(True, MISSED), {"profile": "demo"}, scheduled_run=False)[1]) == len(MISSED) + 1


def test_many_nights_that_were_made_up_for_are_said_in_a_few_words(evening):
    missed = tuple(dt.date(2024, 5, day) for day in range(20, 25))
    assert (
        evening(Due(True, missed), {"backfill": 5})[0].message
        == "1 of 1 tickers fresh; 5 nights back-filled, 2024-05-20 to 2024-05-24"
    )


def test_a_back_filled_night_has_the_same_settings_as_any_other(config):
    import dataclasses

    from forecast_lib.config import config_hash, to_json

    marked = dataclasses.replace(config, backfilled=True)
    assert config_hash(marked) == config_hash(config)
    assert '"backfilled": true' in to_json(marked)


def test_too_many_nights_are_refused(config):
    with pytest.raises(UsageError, match="backfill 251 is out of range: expected 0 to 250"):
        evenings.evening(config, gather({"backfill": 251}), lambda asked: pytest.fail("it ran"))


def test_of_several_late_runs_of_a_schedule_only_the_newest_does_the_work(client, config, monkeypatch):
    """Three were due while nothing ran; another schedule of the same deployment has other parameters and is
    not counted.
    """
    flow_id = client.create_flow(watched)
    deployment = client.create_deployment(flow_id, "late", tags=[TAG])
    now = dt.datetime.now(dt.UTC)

    def late(hours, **parameters):
        from prefect.states import Scheduled

        when = now - dt.timedelta(hours=hours)
        return client.create_flow_run_from_deployment(
            deployment, state=Scheduled(scheduled_time=when), parameters=parameters
        )

    oldest, newest, _ = late(48, profile="tokyo"), late(24, profile="tokyo"), late(1, profile="london")
    monkeypatch.setattr(scheduled, "say", print)
    ends = []
    for run in (oldest, newest):
        mine = client.read_flow_run(run.id)
        monkeypatch.setattr(scheduled, "_scheduled_run", lambda mine=mine: mine)
        ends.append(
            scheduled.once(
                "backtest",
                config,
                lambda asked: RunSummary(asked.run_id, "backtest", "fresh", asked.as_of.day, "done"),
            )
        )
    assert [end.status for end in ends] == ["superseded", "fresh"]
    assert f"{now - dt.timedelta(hours=24):%Y-%m-%d %H:%M} UTC is due as well" in ends[0].message


def test_a_server_that_does_not_answer_keeps_no_scheduled_run_from_its_work(config, monkeypatch):
    def refuse(**options):
        raise ConnectionError("refused")

    said = []
    monkeypatch.setattr(scheduled, "get_client", refuse)
    monkeypatch.setattr(scheduled, "say", said.append)
    mine = SimpleNamespace(
        id=uuid4(),
        deployment_id=uuid4(),
        expected_start_time=dt.datetime(2024, 5, 28, tzinfo=dt.UTC),
        parameters={},
    )
    monkeypatch.setattr(scheduled, "_scheduled_run", lambda: mine)
    assert scheduled.once("nightly", config, lambda asked: "done") == "done"
    assert said == ["whether a later run is due is not known: ConnectionError"]


def test_ends_without_work_are_good_ends():
    assert [EXIT_CODES[status] for status in NOTHING_DONE] == [0, 0]
