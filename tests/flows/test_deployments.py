"""The schedules in Python and those in deployments/prefect.yaml are the same, and are what the runbook says."""

import datetime as dt
import inspect
import zoneinfo

import pytest
import yaml

from flows import deployments, settings
from flows.deployments import PLANS, build
from flows.parameters import NightlyParameters

UTC = dt.UTC


@pytest.fixture(scope="module")
def written():
    return yaml.safe_load((settings.DEPLOYMENTS / "prefect.yaml").read_text())


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
            entry["concurrency_limit"],
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
            d.concurrency_limit,
        )
        for d in built
    }
    assert in_python == in_yaml
    assert {entry["work_pool"]["name"] for entry in written["deployments"]} == {"tickercast"}


def test_every_deployment_is_switched_on_and_every_schedule_has_a_slug_of_its_own(built):
    slugs = [schedule.slug for deployment in built for schedule in deployment.schedules]
    assert len(slugs) == len(set(slugs)) == 12 and all(slugs)
    assert all(schedule.active for deployment in built for schedule in deployment.schedules)
    assert not any(deployment.paused for deployment in built)


def test_the_parameters_of_every_schedule_are_ones_that_the_flow_takes():
    for plan in PLANS:
        for timing in plan.timings:
            given = NightlyParameters(**timing.parameters["parameters"])
            assert given.profile in settings.profile_names({})


def test_entrypoints_are_flows_that_take_these_parameters(built):
    from prefect.flows import load_flow_from_entrypoint

    for deployment in built:
        flow = load_flow_from_entrypoint(deployment.entrypoint, use_placeholder_flow=False)
        assert list(inspect.signature(flow.fn).parameters) == ["parameters"]
        flow.validate_parameters(deployment.parameters)


CLOSES = {"new-york": "AAPL", "london": "AZN.L", "tokyo": "7203.T", "crypto": "BTC-USD"}


@pytest.mark.parametrize("market", CLOSES)
@pytest.mark.parametrize("day", [dt.date(2024, 1, 17), dt.date(2024, 7, 17), dt.date(2024, 3, 13), dt.date(2024, 10, 30)])
def test_a_nightly_run_finds_the_session_closed_in_winter_and_summer(market, day):
    """The clock of the exchange decides: between March and April, and in late October, Europe and America differ by an hour less."""
    from forecast_lib.domain import AsOf
    from forecast_lib.sessions import calendar_for

    [timing] = next(plan for plan in PLANS if plan.name == market).timings
    minute, hour = map(int, timing.cron.split()[:2])
    local = dt.datetime.combine(day, dt.time(hour, minute), zoneinfo.ZoneInfo(timing.timezone))
    now = local.astimezone(UTC)
    newest = calendar_for(CLOSES[market]).last_known(AsOf(now.date(), now, now)).date()
    assert newest == (day - dt.timedelta(days=1) if market == "crypto" else day)


def test_serve_leaves_the_schedules_on_when_it_ends_and_limits_the_backlog(monkeypatch):
    """SIGTERM would otherwise pause every deployment, and a server that was away for days would start them all at once."""
    import prefect

    seen = {}
    monkeypatch.setattr(prefect, "serve", lambda *given, **options: seen.update(given=given, **options))
    deployments.serve(["a", "b"], limit=1)
    assert seen == {"given": ("a", "b"), "pause_on_shutdown": False, "limit": 1}


def test_a_server_that_is_there_already_is_not_started_again(monkeypatch):
    monkeypatch.setattr(deployments, "is_up", lambda address: True)
    with pytest.raises(deployments.FatalError, match="answers at http://127.0.0.1:4200/api already"), deployments.local_server(4200):
        pass


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/api", "file:///etc/passwd", "nonsense", ""])
def test_nobody_answers_at_a_wrong_address(address):
    assert deployments.is_up(address) is False


def test_the_runbook_begins_with_the_red_run_and_names_every_deployment_and_command():
    runbook = (settings.DEPLOYMENTS / "RUNBOOK.md").read_text()
    assert runbook.splitlines()[2] == "## The run is red: look here first"
    for plan in PLANS:
        flow = plan.entrypoint.rpartition(".")[2]
        assert f"`{flow}/{plan.name}`" in runbook
    for plan in PLANS[:4]:
        minute, hour = plan.timings[0].cron.split()[:2]
        [line] = [line for line in runbook.splitlines() if f"`nightly/{plan.name}`" in line]
        assert f"{int(hour):02}:{int(minute):02}" in line and line.endswith(f"| {plan.timings[0].profile} |")


def test_every_variable_of_the_example_environment_is_a_setting():
    lines = (settings.DEPLOYMENTS / "env.example").read_text().splitlines()
    named = {line.removeprefix("# ").partition("=")[0] for line in lines if line.removeprefix("# ").startswith("TICKERCAST_")}
    assert len(named) >= 4 and settings.unknown_variables(dict.fromkeys(named, "x")) == ()
