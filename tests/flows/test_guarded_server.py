"""A server with a password, and runs with secrets in every secret setting: who gets in, what the page shows,
and what is never repeated.

One server and three runs serve all the tests here: a night that goes well, a night whose source cannot be
reached, and maintenance.
"""

import base64
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import CommandLine, Ended, command_line, free_port, server
from tests.loopback import Receiver, receiver

pytestmark = pytest.mark.prefect

PASSWORD, PROXY, TOKEN, WEBHOOK = "pl4nted-server", "pl4nted-proxy", "pl4nted-token", "pl4nted-webhook"
SECRETS = (PASSWORD, PROXY, TOKEN, WEBHOOK)
AUTH = f"tickercast:{PASSWORD}"

BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock
block = CustomWebhookNotificationBlock(
    name="hook", url=sys.argv[1], method="POST", allow_private_urls=True,
    json_data={"title": "{{subject}}", "message": "{{body}}"},
)
block.save("on-call")
"""

MAINTENANCE = """
from flows.settings.layers import prepare_process
prepare_process(quiet=True)
from flows.maintenance import maintenance
state = maintenance(return_state=True)
print(state.name, state.message)
"""


@dataclass
class Guarded:
    """What the runs left behind."""

    address: str
    home: Path
    workspace: Path
    told: Receiver
    hooked: Receiver
    ended: dict[str, Ended] = field(default_factory=dict)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The server's answer to somebody who knows the password."""
        request = urllib.request.Request(
            f"{self.address}/{path}", None if body is None else json.dumps(body).encode()
        )
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", "Basic " + base64.b64encode(AUTH.encode()).decode())
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def artifacts(self, run: str) -> dict[str, list[dict[str, Any]]]:
        """Those of a flow, by key, oldest first."""
        [flow_run] = self.ask("flow_runs/filter", {"flows": {"name": {"any_": [run]}}})
        found = self.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [flow_run["id"]]}}})
        by_key: dict[str, list[dict[str, Any]]] = {}
        for artifact in sorted(found, key=lambda artifact: artifact["created"]):
            by_key.setdefault(artifact["key"], []).append(artifact)
        return by_key

    def logs(self) -> list[str]:
        return [
            entry["message"] for entry in self.ask("logs/filter", {"limit": 200, "sort": "TIMESTAMP_ASC"})
        ]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    root = tmp_path_factory.mktemp("guarded")
    home, workspace = root / "prefect", root / "new-york"
    auth = {"PREFECT_SERVER_API_AUTH_STRING": AUTH, "PREFECT_API_AUTH_STRING": AUTH}
    with server(home, **auth) as address, receiver() as told, receiver() as hooked:
        left = Guarded(address, home, workspace, told, hooked)
        with command_line(root, PREFECT_API_URL=address, **auth) as commands:
            _runs(left, commands)
        yield left


def _runs(left: Guarded, commands: CommandLine) -> None:
    hook = f"http://127.0.0.1:{left.hooked.port}/{WEBHOOK}"
    saved = subprocess.run(
        [sys.executable, "-c", BLOCK, hook], env=commands.env, capture_output=True, text=True
    )
    assert saved.returncode == 0, saved.stderr
    secrets = {
        "TICKERCAST_NOTIFY": f"json://127.0.0.1:{left.told.port}/{TOKEN} prefect:custom-webhook/on-call",
        "TICKERCAST_PROXY": f"http://me:{PROXY}@127.0.0.1:{free_port()}",
    }
    words = ("--as-of", "2024-05-02", "--tickers", "SIM1,SIM2,NOSUCH")
    left.ended["night"] = commands.night(left.workspace, *words, **secrets)
    secrets["TICKERCAST_NOTIFY"] += f" json://127.0.0.1:{free_port()}/{TOKEN}"
    words = (
        "--workspace",
        str(left.workspace),
        "--source",
        "yahoo",
        "--tickers",
        "AAPL",
        "--as-of",
        "2024-05-02",
        "--json",
    )
    left.ended["outage"] = commands("ingest", *words, **secrets)
    nobodys = left.workspace / "models" / f"{'f' * 64}.npz"
    nobodys.write_bytes(b"four")
    os.utime(nobodys, (0, 0))
    kept = {"TICKERCAST_WORKSPACE": str(left.workspace), "TICKERCAST_KEEP_REPORTS": "1"}
    flow = subprocess.run(
        [sys.executable, "-c", MAINTENANCE], env=commands.env | secrets | kept, capture_output=True, text=True
    )
    left.ended["maintenance"] = Ended(flow.returncode, flow.stdout, flow.stderr)


def test_without_the_password_nobody_gets_in_and_what_stays_open_is_what_the_runbook_says(guarded):
    def status(path: str) -> int:
        try:
            with urllib.request.urlopen(f"{guarded.address.removesuffix('/api')}{path}", timeout=30) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert guarded.ask("admin/version")
    assert {
        path: status(path)
        for path in ("/api/admin/version", "/api/flows/00000000-0000-0000-0000-000000000000")
    } == {"/api/admin/version": 401, "/api/flows/00000000-0000-0000-0000-000000000000": 401}
    runbook = (Path(__file__).parents[2] / "deployments" / "RUNBOOK.md").read_text()
    for path in ("/api/health", "/api/ready", "/docs", "/openapi.json"):
        assert status(path) == 200 and f"`{path}`" in runbook


def test_the_server_listens_on_loopback_only(guarded):
    """All of 127.0.0.0/8 and every interface is this machine's: what listens on 0.0.0.0 answers on 127.0.0.2
    too.
    """
    port = int(guarded.address.rpartition(":")[2].partition("/")[0])
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=5):
        pass


def test_a_degraded_night_is_told_to_every_address_with_its_summary(guarded):
    assert guarded.ended["night"].code == 10, guarded.ended["night"].err
    for got in (guarded.told, guarded.hooked):
        body = got.bodies[0]
        # 2024 is long ago: what was published is older than one session.
        assert body["title"] == "Tickercast new-york: nightly stale"
        assert (
            "NOSUCH: none, unknown_ticker" in body["message"]
            and f"status --workspace {guarded.workspace}" in body["message"]
        )
        assert guarded.ended["night"].summary["run_id"] in body["message"]


def test_a_run_without_any_prices_is_told_and_shown_as_failed(guarded):
    assert guarded.ended["outage"].code == 1, guarded.ended["outage"].err
    assert guarded.told.bodies[1]["title"] == "Tickercast new-york: ingest failed"
    assert "AAPL: none, SourceOutage" in guarded.told.bodies[1]["message"]


def test_an_address_that_does_not_answer_is_a_notice_and_nothing_else(guarded):
    [notice] = guarded.ended["outage"].summary["notices"]
    assert notice == "not everybody was told: address 3 of 3 refused or did not answer"
    assert guarded.ended["night"].summary["notices"] == []
    assert guarded.ended["outage"].err.count(notice) == 1 and notice in " ".join(guarded.logs())
    assert notice in guarded.artifacts("ingest")["ingest-summary"][0]["data"]


def test_the_page_shows_progress_tickers_and_the_report(guarded):
    found = guarded.artifacts("nightly")
    assert [artifact["data"] for artifact in found["progress-ingest"]] == [100.0]
    assert (
        found["progress-ingest"][0]["type"] == "progress"
        and "3 of 3" in found["progress-ingest"][0]["description"]
    )
    assert json.loads(found["nightly-tickers"][0]["data"])[-1] == {"status": "none", "tickers": 1}
    assert "NOSUCH" in found["nightly-degraded"][0]["data"]
    assert guarded.ended["night"].summary["report"] in found["nightly-report"][0]["data"]
    assert found["nightly-summary"][0]["data"].startswith("**degraded** as of 2024-05-02")
    assert "**failed**" in guarded.artifacts("ingest")["ingest-summary"][0]["data"]


def test_maintenance_runs_as_a_flow_and_shows_what_it_removed(guarded):
    """Both pages are those of kept runs; weights that no run of the tables made, and that are years old, are
    nobody's.
    """
    ended = guarded.ended["maintenance"]
    assert ended.out.startswith("Fresh removed 1 files and folders"), ended.err
    found = guarded.artifacts("maintenance")
    [removed] = json.loads(found["maintenance-removed"][0]["data"])
    assert removed == {
        "path": f"models/{'f' * 64}.npz",
        "bytes": 4,
        "why": "weights of a run that was never stored",
    }
    assert "working.duckdb" in found["maintenance-summary"][0]["data"]


def test_the_log_has_a_line_a_ticker_a_stage(guarded):
    run = guarded.ended["night"].summary["run_id"]
    lines = [line for line in guarded.logs() if line.startswith(f"run_id={run} ")]
    found = {
        (fields["stage"], fields["ticker"])
        for fields in (dict(part.split("=", 1) for part in line.split()[:4]) for line in lines)
    }
    assert {
        ("ingest", "SIM1"),
        ("ingest", "NOSUCH"),
        ("models", "SIM1"),
        ("models", "SIM2"),
        ("outcome", "NOSUCH"),
    } <= found
    [line] = [line for line in lines if "stage=ingest ticker=NOSUCH" in line]
    assert (
        "status=unknown_ticker rows=0 refused=0" in line
        and 'reason="no ticker of the simulated market' in line
    )


def test_the_metrics_are_those_of_the_last_run_of_each_kind_also_where_it_failed(guarded):
    families = text_string_to_metric_families((guarded.workspace / "metrics.prom").read_text())
    codes = {
        sample.labels["kind"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "tickercast_last_run_exit_code"
    }
    assert codes == {"nightly": 10, "ingest": 1, "maintenance": 0}


def test_nothing_of_a_run_is_kept_by_prefect_as_a_result(guarded):
    assert not [path for path in (guarded.home / "storage").rglob("*") if path.is_file()]


def test_planted_secrets_appear_in_no_file_log_artifact_parameter_or_table(guarded):
    places = {
        f"{name} {part}": getattr(ended, part)
        for name, ended in guarded.ended.items()
        for part in ("out", "err")
    }
    places |= {
        str(path): path.read_bytes().decode(errors="replace")
        for path in guarded.workspace.rglob("*")
        if path.is_file()
    }
    for kind in ("logs", "artifacts", "flow_runs", "task_runs", "deployments", "flows"):
        places[kind] = json.dumps(guarded.ask(f"{kind}/filter", {"limit": 200}))
    with duckdb.connect(str(guarded.workspace / "working.duckdb"), read_only=True) as con:
        for (table,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            places[table] = str(con.execute(f"FROM {table}").fetchall())
    assert len(places) > 25 and "pl4nted" not in "".join(name for name in places)
    assert {name: secret for name, text in places.items() for secret in SECRETS if secret in text} == {}
    # They were really there to be repeated: the receivers were reached through them, and the server asks for
    # its own.
    assert TOKEN in guarded.told.paths[0] and WEBHOOK in guarded.hooked.paths[0]
