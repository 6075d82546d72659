"""`tickercast recipe`: a real flow run with its page, its figures on the screen, and what is refused before
anything starts.
"""

import contextlib
import datetime as dt
from pathlib import Path

import pytest

from flows.cli import main
from flows.settings.layers import gather
from flows.settings.recipe import asked_of, recipe_config
from forecast_lib.errors import UsageError
from forecast_lib.jobs.recipe.run import run_recipe
from forecast_lib.recipes.catalogue import recipe_named, with_asked


@pytest.fixture(scope="module")
def ended(tickercast, tmp_path_factory):
    workspace = tmp_path_factory.mktemp("recipe") / "workspace"
    small = ("--units", "2", "--epochs", "1", "--model", "attention", "--seed", "3", "--horizon", "5")
    return workspace, tickercast("recipe", "sine-small", "--workspace", str(workspace), "--json", *small)


def test_sine_recipe_runs_without_ticker_file_or_published_tables(ended):
    workspace, result = ended
    assert result.code == 0, result.err
    assert (result.summary["kind"], result.summary["status"]) == ("recipe", "fresh")
    assert not (workspace / "published.duckdb").exists()


def test_figures_are_on_the_screen_in_the_summary_and_on_the_page(ended):
    workspace, result = ended
    labels = [figure["label"] for figure in result.summary["figures"]]
    assert labels[0] == "next value"
    assert "improved setting: 200 steps ahead on its own answers, RMSE" in labels
    page = (workspace / "reports" / result.summary["run_id"] / "index.html").read_text()
    for label in labels:
        assert label in result.out
        assert label.replace("'", "&#39;") in page


def test_an_option_that_changes_nothing_in_a_recipe_is_said(ended):
    _, result = ended
    said = "without effect in a recipe, which runs as its walkthrough does: --horizon"
    assert f"  {said}\n" in result.out and result.summary["notices"] == [said]


def test_page_says_what_was_changed_what_flatters_and_what_attention_weighs(ended):
    workspace, result = ended
    page = (workspace / "reports" / result.summary["run_id"] / "index.html").read_text()
    assert "changed by you: variant attention, units 2, epochs 1" in page
    assert "An off-by-one in the loop leaves out the last complete window." in page
    assert "how much the decoder weighs each value of the window" in page


def _run(tmp_path, closes):
    """The page of the recipe for Tesla, its network made small, on ACME's closes."""
    lines = [f"2024-{1 + at // 28:02}-{1 + at % 28:02},{close}" for at, close in enumerate(closes)]
    (tmp_path / "ACME.csv").write_text("\n".join(["Date,Close", *lines]))
    asked = {"files": str(tmp_path / "ACME.csv"), "tickers": "ACME", "workspace": str(tmp_path / "w")}
    settings = gather({**asked, "lookback": 5, "units": 2, "epochs": 1}, environ={})
    config, changed = recipe_config("tsla-stacked", settings), asked_of(settings)
    recipe = with_asked(recipe_named("tsla-stacked"), changed)
    summary = run_recipe(recipe, changed.changes, config, None, lambda name: contextlib.nullcontext())
    return summary, Path(summary.report).read_text()


def test_a_recipe_of_another_ticker_says_whose_prices_they_are(tmp_path):
    _, page = _run(tmp_path, [100 + at % 7 for at in range(90)])
    assert "<h1>Two stacked LSTM layers on Tesla&#39;s closes, here ACME&#39;s</h1>" in page
    assert "changed by you: ticker ACME, units 2, lookback 5, epochs 1." in page


def test_prices_that_never_move_leave_nothing_to_divide_by(tmp_path):
    """A fund whose share is worth 1.00 every day."""
    summary, _ = _run(tmp_path, ["1.00"] * 90)
    ratios = [figure for figure in summary.figures if figure["label"].endswith("RMSE ÷ naive RMSE")]
    assert len(ratios) >= 2
    for ratio in ratios:
        assert (ratio["value"], ratio["note"]) == (
            None,
            "below 1 is better than naive; naive is exact: the price never moved",
        )


def test_latest_report_of_the_night_is_left_alone(ended):
    workspace, _ = ended
    assert not (workspace / "reports" / "latest.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("aapl-stacked",),
            (
                "recipe aapl-stacked needs the daily closes of AAPL: give --files PATH (AAPL.csv), or"
                " --source yahoo"
            ),
        ),
        (
            ("google-deep",),
            "give --files PATH (the folder of Google_Stock_Price_Train.csv and Google_Stock_Price_Test.csv)",
        ),
        (
            ("sine-wave",),
            (
                "recipe 'sine-wave' is not known: expected one of tsla-stacked, aapl-stacked, google-deep,"
                " sine-small, sine-unit"
            ),
        ),
        (
            ("sine-unit", "--model", "rnn"),
            "--model 'rnn' is not known: expected one of attention, ",
        ),
        (("sine-unit", "--model", "gru,lstm"), "--model names 2 variants: recipe takes one"),
        (("sine-unit", "--units", "0"), "units 0 is out of range: expected 1 to 1024"),
        (("sine-unit", "--layers", "-2"), "layers -2 is out of range: expected 1 to 8"),
    ],
)
def test_what_cannot_be_run_ends_with_2_and_one_line(words, message, tmp_path, capsys):
    assert main(["recipe", *words, "--workspace", str(tmp_path / "w")]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "w").exists()


def test_recipe_takes_its_own_ticker_and_network_where_none_is_named(tmp_path):
    config = recipe_config("google-deep", gather({"source": "yahoo", "as_of": dt.date(2024, 5, 3)}))
    assert config.tickers == ("GOOGL",)
    assert (config.model.layers, config.model.dropout, config.train.epochs) == (4, 0.2, 100)


def test_nights_own_defaults_do_not_change_a_recipe():
    config = recipe_config("sine-unit", gather({}))
    assert (config.model.variant, config.model.units, config.model.lookback, config.train.epochs) == (
        "lstm",
        50,
        10,
        50,
    )


def test_profile_with_a_bad_size_is_refused(tmp_path, monkeypatch):
    (tmp_path / "wide.toml").write_text("units = 5000\n")
    monkeypatch.setenv("TICKERCAST_PROFILES", str(tmp_path))
    with pytest.raises(UsageError, match="units 5000 is out of range"):
        recipe_config("sine-unit", gather({"profile": "wide"}))
