"""The alert rules and the dashboard: Prometheus takes the rules, and both name only metrics, with labels,
that a run writes.
"""

import datetime as dt
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from forecast_lib.jobs.monitor.metrics import exposition
from forecast_lib.jobs.record.endings import Ending
from forecast_lib.store.published import reader
from tests.jobs.monitored import NOW, figures, two_nights

pytestmark = pytest.mark.slow

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"
RULES = DEPLOYMENTS / "prometheus" / "tickercast.rules.yml"
ENDING = Ending("nightly", "fresh", 0, "", NOW.isoformat(), "run-1", {"ingest": 0.5})
DASHBOARDS = {
    path.name: json.loads(path.read_text()) for path in sorted((DEPLOYMENTS / "grafana").glob("*.json"))
}


PROMTOOL = shutil.which("promtool")
NEEDED = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is missing: it comes with Debian's package prometheus"
)

# An hour of a workspace whose next night is due after 30 minutes, and which ran an hour ago, degraded.
ALERTS = f"""
rule_files: [{RULES}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: tickercast_deadline_timestamp_seconds{{workspace="tokyo"}}
        values: 1800x60
      - series: tickercast_last_run_exit_code{{workspace="tokyo", kind="nightly"}}
        values: 10x30 1x30
    alert_rule_test:
      - {{eval_time: 30m, alertname: TickercastNightLate, exp_alerts: []}}
      - eval_time: 31m
        alertname: TickercastNightLate
        exp_alerts:
          - exp_labels: {{severity: page, workspace: tokyo}}
            exp_annotations: {{summary: "tokyo: no night was published by its deadline"}}
      - {{eval_time: 30m, alertname: TickercastRunFailed, exp_alerts: []}}
      - eval_time: 31m
        alertname: TickercastRunFailed
        exp_alerts:
          - exp_labels: {{severity: page, workspace: tokyo, kind: nightly}}
            exp_annotations: {{summary: "tokyo: the last nightly run failed with exit code 1"}}
      - {{eval_time: 31m, alertname: TickercastNightMissing, exp_alerts: []}}
"""


# Two workspaces after the Thursday before Easter; the deadline of one of them is that of Tuesday's night.
MISSING = "'count(ALERTS{alertname=\"TickercastNightMissing\"}) by (workspace)'"
EASTER = f"""
rule_files: [{RULES}]
evaluation_interval: 1h
tests:
  - interval: 1h
    input_series:
      - series: tickercast_last_success_timestamp_seconds{{workspace="london", kind="nightly"}}
        values: 0x140
      - series: tickercast_deadline_timestamp_seconds{{workspace="london"}}
        values: {121 * 3600}x140
      - series: tickercast_last_success_timestamp_seconds{{workspace="without", kind="nightly"}}
        values: 0x140
    promql_expr_test:
      - {{expr: {MISSING}, eval_time: 96h, exp_samples: []}}
      - expr: {MISSING}
        eval_time: 120h
        exp_samples: [{{labels: '{{workspace="without"}}', value: 1}}]
      - expr: {MISSING}
        eval_time: 122h
        exp_samples:
          - {{labels: '{{workspace="london"}}', value: 1}}
          - {{labels: '{{workspace="without"}}', value: 1}}
"""


@NEEDED
def test_prometheus_takes_the_rules():
    checked = subprocess.run([PROMTOOL, "check", "rules", str(RULES)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@NEEDED
@pytest.mark.parametrize("alerts", [ALERTS, EASTER], ids=["late and failed", "missing, but not over Easter"])
def test_nights_raise_their_alarms_when_they_are_due(alerts, tmp_path):
    (tmp_path / "alerts.yml").write_text(alerts)
    tested = subprocess.run(
        [PROMTOOL, "test", "rules", str(tmp_path / "alerts.yml")], capture_output=True, text=True
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return two_nights(tmp_path_factory.mktemp("monitored") / "new-york")


def test_rules_and_dashboard_ask_for_what_a_run_writes(workspace):
    panels = DASHBOARDS["tickercast.json"]["panels"]
    asked = {
        RULES.name: RULES.read_text(),
        **{each["title"]: " ".join(to["expr"] for to in each["targets"]) for each in panels},
    }
    written = figures(exposition(workspace, {"nightly": ENDING}, NOW, dt.time(20)))
    names = {name for name, _ in written}
    labels = {pair for _, pairs in written for pair in pairs}
    for where, text in asked.items():
        found = set(re.findall(r"\btickercast_([a-z_]+)", text))
        assert found and found <= names, where
        assert set(re.findall(r'(\w+)="(\w+)"', text)) <= labels, where


def _asked(sql):
    """The query as Grafana's plugin for DuckDB sends it: variables as quoted text, macros as conditions on
    the time.
    """
    shown = r"(\1 >= '2023-12-01T00:00:00Z' AND \1 <= '2024-12-01T00:00:00Z')"
    return re.sub(r"\$__timeFilter\((\w+)\)", shown, sql.replace("${ticker:sqlstring}", "'AAA'"))


FILE = DASHBOARDS["forecasts.json"]
QUERIES = {panel["title"]: panel["targets"][0]["rawSql"] for panel in FILE["panels"]}


@pytest.mark.parametrize("title", QUERIES)
def test_the_dashboard_of_the_published_file_asks_what_it_can_answer(workspace, title):
    answer = reader.query(workspace, _asked(QUERIES[title]))
    [panel] = [each for each in FILE["panels"] if each["title"] == title]
    assert "$" not in _asked(QUERIES[title])
    assert (answer.columns[0] == "time") == (panel["type"] == "timeseries")
    named = {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]}
    assert named <= set(answer.columns)
    # Two nights: nobody is degraded, nothing surprised.
    assert len(answer) or title.startswith(("Who", "Surprises", "Share"))


def test_the_list_of_tickers_is_that_of_the_published_file(workspace):
    [query] = [each["query"] for each in FILE["templating"]["list"] if each["type"] == "query"]
    assert list(reader.query(workspace, query)["ticker"]) == ["AAA", "BBB"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_beside_each_other_and_know_their_source(name):
    board = DASHBOARDS[name]
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    variables = {
        each["name"]: each.get("query")
        for each in board["templating"]["list"]
        if each["type"] == "datasource"
    }
    sources = {(panel["datasource"]["type"], panel["datasource"]["uid"]) for panel in board["panels"]}
    assert sources == {(kind, f"${{{variable}}}") for variable, kind in variables.items()}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
