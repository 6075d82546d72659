"""Whoever reaches the server can start a run: what may be asked of one are names and numbers, and nothing
that is not in the form.
"""

import pytest
from prefect.exceptions import ParameterTypeError
from pydantic import ValidationError

from flows.service.parameters import BacktestParameters, MaintenanceParameters, NightlyParameters

PLACES = [
    "workspace",
    "files",
    "covariates",
    "events",
    "universe",
    "metrics_dir",
    "publish_to",
    "notify",
    "proxy",
    "output",
    "test_file",
    "source",
]


@pytest.mark.parametrize("kind", [NightlyParameters, BacktestParameters, MaintenanceParameters])
@pytest.mark.parametrize("name", [*PLACES, "sql", "command", "__class__"])
def test_no_path_no_address_and_no_unknown_name_is_taken(kind, name):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        kind.model_validate({name: "x"})


@pytest.mark.parametrize("kind", [NightlyParameters, BacktestParameters, MaintenanceParameters])
@pytest.mark.parametrize("profile", ["../secret", "/etc/passwd", "a/b", "", "A", "x" * 42, "a\n", "a.toml"])
def test_a_profile_is_a_plain_name(kind, profile):
    with pytest.raises(ValidationError):
        kind.model_validate({"profile": profile})


@pytest.mark.parametrize(
    "tickers", [["../../etc/passwd"], ["A'; DROP TABLE runs"], ["<script>"], [], ["A"] * 5001, "AAPL", [1]]
)
def test_tickers_are_ticker_names(tickers):
    with pytest.raises(ValidationError):
        NightlyParameters.model_validate({"tickers": tickers})


def test_a_backtest_may_be_asked_to_replay_the_nights():
    assert BacktestParameters(profile="demo", arms=["fine-tune", "none"]).overrides() == {
        "profile": "demo",
        "arms": ["fine-tune", "none"],
    }
    for arms in ([], ["often"], ["none"] * 4):
        with pytest.raises(ValidationError):
            BacktestParameters.model_validate({"arms": arms})


def test_a_run_that_is_started_with_an_unknown_name_ends_before_it_begins():
    """Prefect's server takes unknown names; the flow's own check is what refuses them."""
    from flows.maintenance import maintenance

    with pytest.raises((ParameterTypeError, ValidationError), match="Extra inputs are not permitted"):
        maintenance.validate_parameters({"parameters": {"workspace": "/"}})
