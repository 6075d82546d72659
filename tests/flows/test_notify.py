"""People are told over a real connection; what cannot be sent is a sentence without the address, and never an
error.
"""

import datetime as dt
import json
import logging
import sys

import pytest

from flows import cli
from flows.service.notify import message_of_run, tell
from flows.settings import layers
from forecast_lib.errors import UsageError
from forecast_lib.jobs.monitor.standing import standing
from forecast_lib.jobs.record.endings import Ending
from forecast_lib.jobs.record.summary import RunSummary
from tests.conftest import free_port
from tests.loopback import receiver
from tests.store import nights

SECRET = "pl4nted-token"  # a made-up one, looked for in what must not repeat it


def test_every_address_gets_the_message():
    with receiver() as one, receiver() as two:
        assert (
            tell(
                f"json://127.0.0.1:{one.port}/{SECRET} json://127.0.0.1:{two.port}",
                "Night failed",
                "no room\nrun r",
            )
            == ""
        )
    for got in (one, two):
        assert [(body["title"], body["message"]) for body in got.bodies] == [
            ("Night failed", "no room\nrun r")
        ]
    assert one.paths == [f"/{SECRET}"] or one.paths == [f"/{SECRET}/"]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (f"json://127.0.0.1:{{closed}}/{SECRET}", "address 1 of 1 refused or did not answer"),
        (f"json://127.0.0.1:{{refusing}}/{SECRET}", "address 1 of 1 refused or did not answer"),
        (f"nosuchservice://{SECRET}@127.0.0.1", "address 1 of 1 is none that Apprise understands"),
    ],
)
def test_what_cannot_be_sent_is_said_without_the_address(address, problem, caplog, capfd):
    with receiver() as refusing, caplog.at_level(logging.DEBUG):
        refusing.status = 500
        said = tell(address.format(closed=free_port(), refusing=refusing.port), "t", "b")
    captured = capfd.readouterr()
    assert said == problem
    assert SECRET not in said + caplog.text + captured.out + captured.err


@pytest.mark.parametrize(
    ("address", "module", "said"),
    [
        ("json://127.0.0.1:1", "apprise", "failed"),
        ("prefect:slack-webhook/x", "prefect", "is a block of Prefect"),
    ],
)
def test_a_library_that_cannot_be_loaded_tells_nobody_and_that_is_said(address, module, said, monkeypatch):
    """Prefect, for example, where one of its own settings is no value."""
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    assert tell(address, "t", "b").startswith(f"address 1 of 1 {said}")


def test_an_address_that_never_answers_is_not_waited_for():
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert (
            tell(f"json://127.0.0.1:{silent.getsockname()[1]}", "t", "b", timeout_s=0.5)
            == "an address did not answer within 0 s"
        )


@pytest.mark.parametrize(
    "text", ["mail me", f"{SECRET}", f"json://ok, {SECRET}", "prefect:../x", "prefect:Slack/x"]
)
def test_what_is_no_address_is_refused_and_not_repeated(text):
    with pytest.raises(UsageError, match="TICKERCAST_NOTIFY has a part that is no address") as caught:
        layers.gather({}, environ={"TICKERCAST_NOTIFY": text})
    assert text not in str(caught.value)


def test_addresses_may_be_separated_as_people_do():
    gathered = layers.gather({}, environ={"TICKERCAST_NOTIFY": "json://a/b,  prefect:slack-webhook/on-call"})
    assert gathered["notify"] == "json://a/b prefect:slack-webhook/on-call"
    assert "json://a/b" not in repr(gathered)


def test_a_message_has_the_summary_and_says_where_to_look(tmp_path):
    workspace = tmp_path / "new-york"
    degraded = tuple({"ticker": f"T{n}", "status": "naive", "reason": "gate"} for n in range(12))
    summary = RunSummary(
        "r1",
        "nightly",
        "degraded",
        dt.date(2024, 5, 3),
        "3 of 15 tickers fresh",
        tickers={"fresh": 3, "naive": 12},
        degraded=degraded,
    )
    ending = Ending("nightly", "degraded", 10, summary.message, "2024-05-03T22:00:00+00:00", "r1")
    title, body = message_of_run(ending, workspace, summary)
    assert title == "Tickercast new-york: nightly degraded"
    assert body.splitlines() == [
        "3 of 15 tickers fresh",
        "as of 2024-05-03: 3 fresh, 12 naive",
        *(f"  T{n}: naive, gate" for n in range(10)),
        "  and 2 more",
        "run r1, exit code 10",
        f"look with: tickercast status --workspace {workspace}",
    ]
    nights.store_and_publish(workspace, 0)
    stands = standing(workspace, dt.datetime(2024, 5, 3, 22, tzinfo=dt.UTC), dt.time(20))
    title, body = message_of_run(ending, workspace, summary, stands)
    assert title == "Tickercast new-york: nightly stale"
    assert "the next night was due by 2024-01-04 01:00 UTC" in body.splitlines()


@pytest.mark.slow
def test_status_tells_that_nothing_was_ever_published_and_that_it_cannot_be_read(
    tmp_path, monkeypatch, capsys
):
    """Of a first night that never came no run tells anybody."""
    workspace = tmp_path / "far east" / "tokyo"
    with receiver() as told:
        monkeypatch.setenv("TICKERCAST_NOTIFY", f"json://127.0.0.1:{told.port}/{SECRET}")
        assert cli.main(["status", "--tell", "--workspace", str(workspace)]) == 1
        assert capsys.readouterr().out == "told          the notify addresses\n"
        workspace.mkdir(parents=True)
        (workspace / "published.duckdb").write_bytes(b"no database")
        assert cli.main(["status", "--tell", "--workspace", str(workspace)]) == 1
    assert [body["title"] for body in told.bodies] == ["Tickercast tokyo: failed"] * 2
    never, damaged = (body["message"].splitlines() for body in told.bodies)
    assert never[0].startswith(f"{workspace}/published.duckdb does not exist: nothing was published yet; run")
    assert "is damaged" in damaged[0]
    assert never[1] == damaged[1] == f"look with: tickercast status --workspace '{workspace}'"


def test_status_tells_of_stale_data_where_it_is_asked_to(tmp_path, monkeypatch, capsys):
    """For a timer: a night that never came sends no message itself."""
    nights.store_and_publish(tmp_path / "tokyo", 0)
    with receiver() as got:
        monkeypatch.setenv("TICKERCAST_NOTIFY", f"json://127.0.0.1:{got.port}/{SECRET}")
        assert cli.main(["status", "--workspace", str(tmp_path / "tokyo")]) == 1
        assert got.bodies == []
        assert cli.main(["status", "--tell", "--json", "--workspace", str(tmp_path / "tokyo")]) == 1
    [body] = got.bodies
    assert body["title"] == "Tickercast tokyo: stale" and "sessions behind" in body["message"]
    out = capsys.readouterr().out
    assert "told          the notify addresses" in out and SECRET not in out
    assert json.loads(out.splitlines()[-1])["verdict"] == "stale"
    monkeypatch.delenv("TICKERCAST_NOTIFY")
    assert cli.main(["status", "--tell", "--workspace", str(tmp_path / "tokyo")]) == 2
