"""Settings of the price source and of the quality rules: what is refused, and that a proxy's password stays
where it was said.
"""

import dataclasses
import datetime as dt
import json
from pathlib import Path

import duckdb
import pytest

from flows.cli import main
from flows.settings import layers, run_config
from forecast_lib.config import RunConfig, SourceConfig, to_json
from forecast_lib.domain import AsOf
from forecast_lib.errors import TransientError, UsageError
from forecast_lib.prices import open_source
from forecast_lib.prices.sources import files
from forecast_lib.prices.sources.file_cells import csv_cells
from tests.prices.one_ticker import ask

NOW = dt.datetime(2024, 5, 30, 22, 15, tzinfo=dt.UTC)
PASSWORD = "hunter2"
PROXY = f"http://user:{PASSWORD}@127.0.0.1:9"


def resolved(environ: dict[str, str] | None = None, **options: str) -> RunConfig:
    return run_config.resolve(layers.gather({"tickers": "AAPL", **options}, environ=environ or {}), now=NOW)


def test_the_proxy_reaches_the_source_and_no_text() -> None:
    config = resolved({"TICKERCAST_PROXY": PROXY}, source="yahoo")
    assert config.source.proxy == PROXY
    for text in (to_json(config), repr(config), str(config), str(config.source)):
        assert PASSWORD not in text
    assert "proxy" not in json.loads(to_json(config))["source"]


def test_two_runs_that_differ_in_the_proxy_alone_have_the_same_stored_config() -> None:
    with_proxy, without = resolved(proxy=PROXY), resolved()
    run_id = {"run_id": without.run_id}
    assert to_json(dataclasses.replace(with_proxy, **run_id)) == to_json(without)


@pytest.mark.parametrize(
    "bad", [f"user:{PASSWORD}@host", f"ftp://{PASSWORD}@host", f"http://{PASSWORD} @host"]
)
def test_a_proxy_that_is_none_is_refused_without_repeating_it(
    bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", "--proxy", bad, "--source", "yahoo"]) == 2
    err = capsys.readouterr().err
    assert "--proxy is not the address of a proxy" in err
    assert PASSWORD not in err


def test_a_proxy_that_does_not_answer_is_an_outage_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Port 9 of this machine (discard) is closed. What is raised after the last try has the try's own error
    as its cause.
    """
    monkeypatch.setattr("forecast_lib.prices.sources.retrying.FIRST_DELAY_S", 0.0)
    config = SourceConfig("yahoo", proxy=PROXY, pause_s=0.0)
    source = open_source(config, AsOf(NOW.date(), NOW, NOW), cache_dir=tmp_path)
    with pytest.raises(TransientError) as caught:
        ask(source, "AAPL", None, NOW.date())
    assert isinstance(caught.value.__cause__, TransientError)
    assert PASSWORD not in f"{caught.value} {caught.value.__cause__}"
    assert caught.value.__cause__.__cause__ is None


def test_the_rate_has_bounds() -> None:
    config = resolved(requests_at_once="1", pause="2.5")
    assert (config.source.requests_at_once, config.source.pause_s) == (1, 2.5)
    with pytest.raises(UsageError, match="requests_at_once 3 is out of range: expected 1 to 2"):
        resolved(requests_at_once="3")
    with pytest.raises(UsageError, match=r"pause -1\.0 is out of range"):
        resolved(pause="-1")


def test_the_rate_reaches_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}
    monkeypatch.setattr(
        "forecast_lib.prices.sources.yahoo.YahooSource", lambda *_, **named: given.update(named)
    )
    config = resolved(requests_at_once="1", pause="2.5", proxy=PROXY, source="yahoo")
    open_source(config.source, AsOf(NOW.date(), NOW, NOW), cache_dir=tmp_path)
    rate = {"proxy": PROXY, "requests_at_once": 1, "pause_s": 2.5}
    assert {name: given[name] for name in rate} == rate


def test_severities_come_from_a_profile_as_a_list(tmp_path: Path) -> None:
    (tmp_path / "thin.toml").write_text('rules = ["zero_volume=drop_row", "low_above_open=null_field"]\n')
    config = resolved({"TICKERCAST_PROFILES": str(tmp_path)}, profile="thin")
    assert config.rules == ("zero_volume=drop_row", "low_above_open=null_field")
    assert json.loads(to_json(config))["rules"] == list(config.rules)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("no_such=warn", "rule 'no_such' is not known: expected RULE=SEVERITY"),
        ("zero_volume", "rule zero_volume cannot be ''"),
        ("future_session=warn", "rule future_session cannot be 'warn': expected one of drop_row"),
    ],
)
def test_severities_that_cannot_be_are_refused_before_the_run(rules: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolved(rules=rules)


ROWS = "date,close\n2019-03-04,10\n2019-03-05,11\n"


def _prices(folder: Path, kind: str) -> Path:
    """AAA from 4 March 2019 on and BBB from 2020 on, as one file or as a folder, where one cannot be read."""
    both = "ticker,date,close\nAAA,2019-03-04,10\nBBB,2020-01-02,5\n"
    if kind == "a folder":
        for name, text in {
            "AAA": ROWS,
            "BBB": ROWS.replace("2019", "2020"),
            "BAD": "date,close\n01/02/2019,1\n",
        }.items():
            (folder / f"{name}.csv").write_text(text)
        return folder
    (folder / "both.csv").write_text(both)
    if kind == "a CSV file":
        return folder / "both.csv"
    duckdb.sql(f"COPY (FROM '{folder / 'both.csv'}') TO '{folder / 'both.parquet'}'")
    return folder / "both.parquet"


@pytest.mark.parametrize("kind", ["a CSV file", "a Parquet file", "a folder"])
def test_an_evening_before_the_first_price_of_a_file_is_refused_with_that_day(tmp_path, kind):
    given = {
        "files": str(_prices(tmp_path, kind)),
        "tickers": "BBB,AAA" + (",BAD" if kind == "a folder" else ""),
    }
    with pytest.raises(
        UsageError,
        match=(
            "as-of 2019-03-03 is before the first price of source 'files', of 2019-03-04: give a later"
            " --as-of"
        ),
    ):
        run_config.resolve(layers.gather({**given, "as_of": "2019-03-03"}, environ={}))
    assert run_config.resolve(layers.gather({**given, "as_of": "2019-03-04"}, environ={})).tickers[1] == "AAA"
    with pytest.raises(UsageError, match="of 2020-0"):
        run_config.resolve(layers.gather({**given, "tickers": "BBB", "as_of": "2019-12-31"}, environ={}))


def test_a_folder_is_read_no_further_than_to_the_first_ticker_that_has_a_price(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(files, "csv_cells", lambda path: read.append(path.name) or csv_cells(path))
    run_config.resolve(
        layers.gather(
            {"files": str(_prices(tmp_path, "a folder")), "tickers": "BBB,AAA,BAD", "as_of": "2019-06-03"},
            environ={},
        )
    )
    assert read == ["BBB.csv", "AAA.csv"]
