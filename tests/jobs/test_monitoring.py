"""The alert rules and the dashboard: Prometheus takes the rules, and both name only metrics, with labels,
that a run writes.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from forecast_lib.jobs.monitor.metrics import exposition
from forecast_lib.jobs.record.endings import Ending
from tests.jobs.test_metrics import NOW, figures, workspace  # noqa: F401  (a fixture)

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"
RULES = DEPLOYMENTS / "prometheus" / "tickercast.rules.yml"
DASHBOARD = DEPLOYMENTS / "grafana" / "tickercast.json"


def test_prometheus_takes_the_rules():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is missing: it comes with Debian's package prometheus")
    checked = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_rules_and_dashboard_ask_for_what_a_run_writes(workspace):  # noqa: F811
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {
        RULES.name: RULES.read_text(),
        **{each["title"]: " ".join(to["expr"] for to in each["targets"]) for each in panels},
    }
    written = figures(
        exposition(
            workspace,
            {"nightly": Ending("nightly", "fresh", 0, "", NOW.isoformat(), "run-1", {"ingest": 0.5})},
            NOW,
        )
    )
    names = {name for name, _ in written}
    labels = {pair for _, pairs in written for pair in pairs}
    for where, text in asked.items():
        found = set(re.findall(r"\btickercast_([a-z_]+)", text))
        assert found and found <= names, where
        assert set(re.findall(r'(\w+)="(\w+)"', text)) <= labels, where
