"""The schedules in Python and those in deployments/prefect.yaml are the same, and are what the
runbook says.
"""

import datetime as dt
import inspect
import re
import zoneinfo
from pathlib import Path

import pytest
import yaml

from flows.service import deployments
from flows.service.deployments import PLANS, build
from flows.service.parameters import BacktestParameters, MaintenanceParameters, NightlyParameters
from flows.service.supervision import HEARTBEAT_VARIABLE, TAG, heartbeats
from flows.settings import files, layers

UTC = dt.UTC


@pytest.fixture(scope="module")
def written():
    return yaml.safe_load((files.DEPLOYMENTS / "prefect.yaml").read_text())


@pytest.fixture(scope="module")
def built():
    return build()


def _schedule(slug, cron, timezone, parameters):
    return {"slug": slug, "cron": cron, "timezone": timezone, "parameters": parameters}


def test_python_and_yaml_say_the_same(written, built):
    in_yaml = {
        entry["name"]: (
            entry["entrypoint"],
            entry["description"],
            sorted(entry["tags"]),
            entry["parameters"],
            entry["schedules"],
            entry["work_pool"]["work_queue_name"],
        )
        for entry in written["deployments"]
    }
    in_python = {
        d.name: (
            d.entrypoint,
            d.description,
            sorted(d.tags),
            d.parameters,
            [_schedule(s.slug, s.schedule.cron, s.schedule.timezone, s.parameters) for s in d.schedules],
            plan.queue,
        )
        for d, plan in zip(built, PLANS, strict=True)
    }
    assert in_python == in_yaml
    assert {entry["work_pool"]["name"] for entry in written["deployments"]} == {"tickercast"}


def test_every_run_sends_heartbeats_and_can_be_found_by_its_tag(written):
    """Prefect's own default is one in 180 s: too slow for a death to show within three minutes."""
    environment: dict[str, str] = {}
    layers.prepare_process(quiet=True, environ=environment)
    assert heartbeats() == {HEARTBEAT_VARIABLE: "30"} == {HEARTBEAT_VARIABLE: environment[HEARTBEAT_VARIABLE]}
    assert all(
        entry["work_pool"]["job_variables"] == {**deployments.JOB, "env": heartbeats()}
        for entry in written["deployments"]
    )
    assert all(TAG in plan.tags for plan in PLANS)


def test_no_deployment_has_a_lease_that_a_new_server_would_not_know(written, built):
    """Prefect's deployment limits are leases in the server's memory: see flows/service/deployments.py."""
    assert not any("concurrency_limit" in entry for entry in written["deployments"])
    assert all(deployment.concurrency_limit is None for deployment in built)


def test_the_yaml_names_every_queue_that_needs_its_limit():
    text = (files.DEPLOYMENTS / "prefect.yaml").read_text()
    [line] = [line for line in text.splitlines() if "set-concurrency-limit" in line]
    assert set(line.partition(" in ")[2].partition(";")[0].split()) == {plan.queue for plan in PLANS}


def test_prefects_page_shows_the_parameters_as_a_form(built):
    """Titles, choices and ranges are in the schema that the server keeps of a deployment."""
    by_name = {deployment.name: deployment for deployment in built}
    night = by_name["new-york"]._parameter_openapi_schema.model_dump()["definitions"]["NightlyParameters"]
    upkeep = by_name["monthly-maintenance"]._parameter_openapi_schema.model_dump()["definitions"][
        "MaintenanceParameters"
    ]
    replay = by_name["weekly-backtest"]._parameter_openapi_schema.model_dump()["definitions"][
        "BacktestParameters"
    ]
    assert (
        night["additionalProperties"]
        is upkeep["additionalProperties"]
        is replay["additionalProperties"]
        is False
    )
    assert replay["properties"]["arms"]["anyOf"][0]["items"]["enum"] == ["retrain", "fine-tune", "none"]
    for form in (night, upkeep, replay):
        assert all(field["title"] and field["description"] for field in form["properties"].values())
    variants = {name: field["anyOf"][0] for name, field in night["properties"].items()}
    assert variants["strategy"]["enum"] == ["auto", "retrain", "fine-tune", "forecast"]
    assert "stacked" in variants["model"]["enum"]
    assert (variants["horizon"]["minimum"], variants["horizon"]["maximum"]) == (1, 20)
    assert (variants["backfill"]["minimum"], variants["backfill"]["maximum"]) == (0, 250)
    assert variants["as_of"]["format"] == "date"


def test_every_deployment_is_switched_on_and_every_schedule_has_a_slug_of_its_own(built):
    slugs = [schedule.slug for deployment in built for schedule in deployment.schedules]
    assert len(slugs) == len(set(slugs)) == 16 and all(slugs)
    assert all(schedule.active for deployment in built for schedule in deployment.schedules)
    assert not any(deployment.paused for deployment in built)


def test_the_parameters_of_every_schedule_are_ones_that_the_flow_takes():
    kinds = {"monthly-maintenance": MaintenanceParameters, "weekly-backtest": BacktestParameters}
    for plan in PLANS:
        for timing in plan.timings:
            kind = kinds.get(plan.name, NightlyParameters)
            given = kind(**timing.parameters["parameters"])
            assert given.profile in files.profile_names({})


def test_every_market_declares_a_deadline_that_its_schedule_can_keep():
    """An hour is left for the night: 500 tickers take five minutes."""
    for plan in PLANS[:4]:
        [timing] = plan.timings
        minute, hour = map(int, timing.cron.split()[:2])
        deadline = layers.gather({"profile": timing.profile}, environ={})["deadline"]
        assert deadline.hour * 60 + deadline.minute >= hour * 60 + minute + 60


def test_entrypoints_are_flows_that_take_these_parameters(built):
    from prefect.flows import load_flow_from_entrypoint

    for deployment in built:
        flow = load_flow_from_entrypoint(deployment.entrypoint, use_placeholder_flow=False)
        assert list(inspect.signature(flow.fn).parameters) == ["parameters"]
        flow.validate_parameters(deployment.parameters)


CLOSES = {"new-york": "AAPL", "london": "AZN.L", "tokyo": "7203.T", "crypto": "BTC-USD"}


@pytest.mark.parametrize("market", CLOSES)
@pytest.mark.parametrize(
    "day", [dt.date(2024, 1, 17), dt.date(2024, 7, 17), dt.date(2024, 3, 13), dt.date(2024, 10, 30)]
)
def test_a_nightly_run_finds_the_session_closed_in_winter_and_summer(market, day):
    """The clock of the exchange decides: between March and April, and in late October, Europe and America
    differ by an hour less.
    """
    from forecast_lib.domain import AsOf
    from forecast_lib.sessions import calendar_for

    [timing] = next(plan for plan in PLANS if plan.name == market).timings
    minute, hour = map(int, timing.cron.split()[:2])
    local = dt.datetime.combine(day, dt.time(hour, minute), zoneinfo.ZoneInfo(timing.timezone))
    now = local.astimezone(UTC)
    newest = calendar_for(CLOSES[market]).last_known(AsOf(now.date(), now, now)).date()
    assert newest == (day - dt.timedelta(days=1) if market == "crypto" else day)


def test_serve_leaves_the_schedules_on_when_it_ends_and_limits_the_backlog(monkeypatch):
    """SIGTERM would otherwise pause every deployment, and a server that was away for days would start them
    all at once.
    """
    import prefect

    from flows.service import supervision

    seen = {}
    monkeypatch.setattr(supervision, "set_up", lambda: seen.update(supervised=True))
    monkeypatch.setattr(prefect, "serve", lambda *given, **options: seen.update(given=given, **options))
    deployments.serve(["a", "b"], limit=1)
    assert seen == {"supervised": True, "given": ("a", "b"), "pause_on_shutdown": False, "limit": 1}


def test_a_server_that_outlived_its_serve_is_used_and_stays(prefect_server, capsys):
    """Else a `serve` that was killed could not be started again: its server would still have the port."""
    port = int(prefect_server.rpartition(":")[2].partition("/")[0])
    with deployments.local_server(port) as address:
        assert address == prefect_server
    assert deployments.is_up(prefect_server)
    assert "answers at" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/api", "file:///etc/passwd", "nonsense", ""])
def test_nobody_answers_at_a_wrong_address(address):
    assert deployments.is_up(address) is False


def test_the_runbook_begins_with_the_red_run_and_names_every_deployment_and_command():
    runbook = (files.DEPLOYMENTS / "RUNBOOK.md").read_text()
    assert runbook.splitlines()[2] == "## The run is red: look here first"
    for plan in PLANS:
        flow = plan.entrypoint.rpartition(".")[2]
        assert f"`{flow}/{plan.name}`" in runbook
    for plan in PLANS[:4]:
        minute, hour = plan.timings[0].cron.split()[:2]
        [line] = [line for line in runbook.splitlines() if f"`nightly/{plan.name}`" in line]
        assert f"{int(hour):02}:{int(minute):02}" in line and line.endswith(f"| {plan.timings[0].profile} |")


def test_every_variable_of_the_example_environment_is_a_setting():
    lines = (files.DEPLOYMENTS / "env.example").read_text().splitlines()
    named = {
        line.removeprefix("# ").partition("=")[0]
        for line in lines
        if line.removeprefix("# ").startswith("TICKERCAST_")
    }
    assert len(named) >= 4 and layers.unknown_variables(dict.fromkeys(named, "x")) == {}


def test_the_units_may_write_where_the_example_environment_puts_things():
    """`ProtectSystem=strict` leaves a service no other folder than those that its unit names."""
    lines = (files.DEPLOYMENTS / "env.example").read_text().splitlines()
    values = dict(line.removeprefix("# ").partition("=")[::2] for line in lines if "=/" in line)
    folders = [Path(values[name]) for name in ("TICKERCAST_METRICS_DIR", "TICKERCAST_PUBLISH_TO")]
    units = {path.name: path.read_text() for path in (files.DEPLOYMENTS / "systemd").glob("*.service")}
    for unit in ("tickercast.service", "tickercast-worker.service"):
        [line] = re.findall(r"^ReadWritePaths=(.*)$", units[unit], re.MULTILINE)
        named = [Path(path.removeprefix("-")) for path in line.split()]
        assert all(any(folder.is_relative_to(path) for path in named) for folder in folders), unit
    for unit, text in units.items():
        assert "ProtectSystem=strict" in text and "StateDirectory=tickercast" in text, unit
