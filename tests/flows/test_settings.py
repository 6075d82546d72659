"""Which setting wins, what is refused and in which words, and that a flow resolves what the command line
asked for.
"""

import dataclasses
import datetime as dt
from pathlib import Path
from types import SimpleNamespace

import httpx
import pydantic
import pytest

from flows import cli
from flows.service.deployments import is_up
from flows.service.parameters import NightlyParameters
from flows.settings import files, layers, run_config
from flows.settings.commands import COMMANDS
from flows.settings.options import OPTIONS, known_keys, options_of
from forecast_lib.config import BacktestConfig, RunConfig, config_hash
from forecast_lib.errors import UsageError
from forecast_lib.jobs import night
from forecast_lib.store.working.store import Store
from tests import made_up
from tests.conftest import free_port
from tests.loopback import receiver

NOW = dt.datetime(2024, 5, 30, 22, 15, tzinfo=dt.UTC)


def _no_list(source, as_of):
    return ()


def _resolve(
    overrides=None, environ=None, default_tickers=lambda source, as_of: ("SIM1", "SIM2")
) -> RunConfig:
    return run_config.resolve(
        layers.gather(overrides or {}, environ=environ or {}), now=NOW, default_tickers=default_tickers
    )


@pytest.fixture
def profiles(tmp_path):
    """An environment whose profile folder has one profile, `mine`."""
    (tmp_path / "mine.toml").write_text('horizon = 7\nunits = 20\ntickers = ["aapl"]\nas_of = 2024-05-28\n')
    return {"TICKERCAST_PROFILES": str(tmp_path), "TICKERCAST_PROFILE": "mine"}


def test_everything_has_a_default_that_works():
    config = _resolve()
    assert (config.tickers, config.source.name, config.model.variant, config.model.horizon) == (
        ("SIM1", "SIM2"),
        "simulated",
        "stacked",
        5,
    )
    assert config.workspace == Path.cwd() / "workspace"
    assert (config.as_of.day, config.as_of.now, config.as_of.known_at) == (dt.date(2024, 5, 30), NOW, NOW)


def test_defaults_in_the_table_are_the_defaults_of_the_configs(tmp_path):
    """The help shows the table's default: it must be what a config built without arguments has."""
    plain = RunConfig(
        run_id="20240530-00000000", workspace=tmp_path, tickers=("SIM1",), as_of=_resolve().as_of
    )
    config = _resolve()
    for part in (
        "source",
        "model",
        "train",
        "backtest",
        "strategy",
        "seed",
        "runner",
        "workers",
        "shard_size",
        "keep_snapshots",
        "also",
    ):
        assert getattr(config, part) == getattr(plain, part)


def test_command_line_beats_environment_beats_profile_beats_default(profiles):
    assert _resolve({}, profiles).model.horizon == 7
    assert _resolve({}, {**profiles, "TICKERCAST_HORIZON": "8"}).model.horizon == 8
    assert _resolve({"horizon": "9"}, {**profiles, "TICKERCAST_HORIZON": "8"}).model.horizon == 9
    assert (_resolve({"horizon": "9"}, profiles).model.units, _resolve({}, profiles).model.lookback) == (
        20,
        60,
    )


def test_a_place_for_readers_is_a_folder_or_the_address_of_a_store_and_its_password_stays_hidden(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for given, exported in (
        ("mnt", str(tmp_path / "mnt")),
        ("s3://bucket/ny", "s3://bucket/ny"),
        ("file:///mnt/x", "file:///mnt/x"),
    ):
        environ: dict[str, str] = {}
        layers.export({"publish_to": given}, environ=environ)
        assert layers.gather({}, environ=environ)["publish_to"] == exported
    for wrong in ("s4://pl4nted", "s3://", "s3://pl4nted b"):
        with pytest.raises(
            UsageError, match="--publish-to is neither a folder nor the address of a store"
        ) as caught:
            _resolve({"publish_to": wrong})
        assert "pl4nted" not in str(caught.value)
    hidden = layers.secret_texts({"publish_to": "ftp://me:pl4nted@host/x"}, environ={})
    assert (
        layers.without_secrets("no answer from ftp://me:pl4nted@host/x (pl4nted)", hidden)
        == "no answer from ftp://***host/x (***)"
    )
    assert layers.secret_texts({"publish_to": "s3://bucket/ny"}, environ={}) == ()


@pytest.mark.parametrize("text", ["20", "24:00", "8:00", "20:60", "20:00:00", "evening"])
def test_a_deadline_is_a_time_of_day(text):
    assert layers.gather({"deadline": "20:30"}, environ={})["deadline"] == dt.time(20, 30)
    with pytest.raises(
        UsageError, match="--deadline .* is not a time of day: expected HH:MM, for example 20:00"
    ):
        layers.gather({"deadline": text}, environ={})


def test_an_empty_variable_counts_as_not_set():
    assert _resolve({}, {"TICKERCAST_HORIZON": ""}).model.horizon == 5


def test_a_profile_gives_tickers_and_dates_in_tomls_own_types(profiles):
    config = _resolve({}, profiles)
    assert (config.tickers, config.as_of.day) == (("AAPL",), dt.date(2024, 5, 28))


def test_run_id_is_the_as_of_day_and_eight_hex_digits():
    first, second = _resolve({"as_of": "2024-05-28"}).run_id, _resolve({"as_of": "2024-05-28"}).run_id
    assert first.startswith("20240528-") and len(first) == 17 and int(first[9:], 16) >= 0
    assert first != second


def test_tickers_on_the_command_line_silence_a_universe_of_the_environment(tmp_path):
    universe = tmp_path / "mine.txt"
    universe.write_text("MSFT\n")
    environ = {"TICKERCAST_UNIVERSE": str(universe)}
    assert _resolve({}, environ).tickers == ("MSFT",)
    assert _resolve({"tickers": "aapl"}, environ).tickers == ("AAPL",)
    assert _resolve({"universe": str(universe)}, {"TICKERCAST_TICKERS": "AAPL"}).tickers == ("MSFT",)


def test_a_dask_scheduler_implies_its_runner_and_a_stronger_runner_forgets_it():
    named = {"TICKERCAST_DASK_SCHEDULER": "tcp://10.0.0.5:8786"}
    assert [_resolve({}, named).runner, _resolve({}, named).dask_scheduler] == ["dask", "tcp://10.0.0.5:8786"]
    forgotten = _resolve({"runner": "threads"}, named)
    assert (forgotten.runner, forgotten.dask_scheduler) == ("threads", None)
    # Where the work is done changes no result, and not the hash of what was asked for.
    elsewhere = {"TICKERCAST_DASK_SCHEDULER": "tls://[fd00::5]:8786"}
    assert config_hash(_resolve({}, named)) == config_hash(_resolve({}, elsewhere))


def test_files_imply_their_source_and_another_source_forgets_them(tmp_path):
    assert _resolve({"files": str(tmp_path)}).source.name == "files"
    assert _resolve({"files": str(tmp_path)}, {"TICKERCAST_SOURCE": "yahoo"}).source.name == "files"
    forgotten = _resolve({"source": "simulated"}, {"TICKERCAST_FILES": str(tmp_path)}).source
    assert (forgotten.name, forgotten.path) == ("simulated", None)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("plain.txt", "aapl\r\n\n# a comment\nMSFT  # another\nAAPL\n", ("AAPL", "MSFT")),
        ("bom.txt", "\ufeffAAPL\n", ("AAPL",)),
        ("table.toml", 'name = "n"\nmarket = "m"\ntickers = ["BTC-USD", "brk-b"]\n', ("BTC-USD", "BRK-B")),
    ],
)
def test_universe_files(tmp_path, name, content, expected):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert _resolve({"universe": str(tmp_path / name)}).tickers == expected


def test_every_shipped_universe_and_profile_resolves():
    assert {"demo", "new-york", "london", "tokyo", "crypto"} <= set(files.profile_names({}))
    for profile in files.profile_names({}):
        assert len(_resolve({"profile": profile}, default_tickers=_no_list).tickers) >= 4
    assert len(_resolve({"universe": "new-york"}).tickers) == 30


BAD = [
    ({"horizon": "0"}, "horizon 0 is out of range: expected 1 to 20"),
    ({"horizon": "5.5"}, "--horizon '5.5' is not a whole number"),
    ({"horizon": "\uff15"}, "--horizon '\\uff15' is not a whole number"),
    ({"horizon": "9" * 5000}, "is not a whole number"),
    ({"test_share": "nan"}, "--test-share 'nan' is not a number"),
    ({"test_share": "1"}, "test_share 1.0 is out of range"),
    ({"as_of": "2024-06-02"}, "as-of 2024-06-02 lies in the future"),
    ({"as_of": "2024-02-30"}, "--as-of '2024-02-30' is not a date"),
    ({"as_of": "yesterday"}, "--as-of 'yesterday' is not a date"),
    ({"known_at": "2024-06-02"}, "known-at 2024-06-02T23:59:59.999999+00:00 lies in the future"),
    ({"known_at": "noon"}, "--known-at 'noon' is not a time"),
    ({"model": "LSTM"}, "--model 'LSTM' is not known: expected one of attention, bidirectional"),
    ({"model": "stacked", "layers": "1"}, "layers 1 is too few for model 'stacked'"),
    (
        {"strategy": "never"},
        "--strategy 'never' is not known: expected one of auto, retrain, fine-tune, forecast",
    ),
    ({"runner": "ray"}, "--runner 'ray' is not known: expected one of threads, processes, dask"),
    (
        {"dask_scheduler": "10.0.0.5:8786"},
        "--dask-scheduler '10.0.0.5:8786' is not the address of a Dask scheduler: expected tcp://host:port",
    ),
    (
        {"dask_scheduler": "inproc://1.2.3.4:5"},
        "is not the address of a Dask scheduler: expected tcp://host:port or tls://host:port",
    ),
    ({"dask_scheduler": "tcp://host:70000"}, "is not the address of a Dask scheduler"),
    (
        {"dask_scheduler": "tcp://host:8786", "runner": "threads"},
        "--dask-scheduler was given, but --runner is 'threads'",
    ),
    ({"source": "files"}, "source 'files' needs a path"),
    ({"source": "yahoo", "files": "x.csv"}, "--files was given, but --source is 'yahoo'"),
    ({"tickers": "A", "universe": "u.txt"}, "--tickers and --universe were both given"),
    ({"tickers": ""}, "the universe is empty"),
    ({"tickers": " , ,"}, "the universe is empty"),
    (
        {"tickers": "AAPL,../../etc,=cmd()"},
        "2 of 3 tickers are no ticker names: '../../etc', '=cmd()'; expected",
    ),
    ({"tickers": ",".join(f"bad {n}" for n in range(12))}, "'bad 9' and 2 more; expected"),
    ({"universe": "/nowhere/u.txt"}, "universe /nowhere/u.txt cannot be read: No such file or directory"),
    ({"profile": "nobody"}, "profile 'nobody' is not known: expected one of crypto, demo"),
    ({"profile": "../demo"}, "profile '../demo' is not known"),
    ({"workspace": ""}, "--workspace '' is empty"),
    ({"workspace": "~nobody-here/w"}, "--workspace '~nobody-here/w': the home folder of ~nobody-here is not"),
    (
        {"universe": "~nobody-here/u"},
        "universe '~nobody-here/u': the home folder of ~nobody-here is not known",
    ),
    ({"output": "~nobody-here/f.csv"}, "--output '~nobody-here/f.csv': the home folder of ~nobody-here"),
    ({"workspace": "a\0b"}, "--workspace 'a\\x00b' is empty or not printable"),
    ({"colour": "red"}, "the call sets 'colour', which is not known: expected for example "),
    ({"seed": "-1"}, "seed -1 is out of range"),
]


@pytest.mark.parametrize(("overrides", "message"), BAD, ids=[str(bad[0])[:40] for bad in BAD])
def test_what_cannot_be_done_is_refused_in_one_line(overrides, message):
    with pytest.raises(UsageError) as refused:
        _resolve(overrides)
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    """A shell leaves it alone in `--output=~/rows.csv`, and an environment file always does."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "thin.toml").write_text('tickers = ["AAA"]\n')
    environ = {"TICKERCAST_PROFILES": "~", "TICKERCAST_PROFILE": "thin", "TICKERCAST_HOLDINGS": "~/h.csv"}
    settings = layers.gather({"output": "~/rows.csv"}, environ=environ)
    assert settings["tickers"] == ("AAA",)
    assert [settings["output"], settings["holdings"]] == [tmp_path / "rows.csv", tmp_path / "h.csv"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "intranet, localhost"}, "intranet,localhost,127.0.0.1"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "a,127.0.0.1,localhost"),
    ],
)
def test_loopback_is_never_reached_by_a_proxy(environ, expected):
    layers.reach_loopback_directly(environ)
    assert environ["no_proxy"] == expected


def test_a_proxy_of_the_machine_is_not_asked_for_the_server_on_it(monkeypatch):
    """Neither by us nor by httpx, which Prefect's client is made of."""
    monkeypatch.setattr("urllib.request._opener", None)  # it keeps the proxies of its first use
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with receiver() as server:
        address = f"http://127.0.0.1:{server.port}"
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)
        assert not is_up(address)
        monkeypatch.setenv("no_proxy", "")
        layers.reach_loopback_directly()
        assert is_up(address) and httpx.get(address).status_code == 200


def test_a_source_without_a_list_of_its_own_needs_tickers():
    with pytest.raises(
        UsageError, match="the universe is empty: expected at least one ticker; give --tickers"
    ):
        _resolve({"source": "yahoo"}, default_tickers=_no_list)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("horizont = 5", "profile mine sets 'horizont', which is not known: expected for example horizon, "),
        ("profile = 'other'", "profile mine sets 'profile', which is not known"),
        ("horizon = ", "is not TOML"),
        ("horizon = [1, 2]", "horizon in profile mine '1,2' is not a whole number"),
        ("horizon = {a = 1}", "a table of 1 entries came where one value was expected"),
    ],
)
def test_a_wrong_profile_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(UsageError) as refused:
        _resolve({"profile": "mine"}, {"TICKERCAST_PROFILES": str(tmp_path)})
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'tickers = "AAPL"', "has no list of tickers"),
        (
            b'tickers = ["AAPL"]\nsymbols = []',
            "sets 'symbols', which is not known: expected one of name, market, tickers",
        ),
        (b'name = "\xff"', "is not UTF-8 text (byte 8)"),
        (b"#" * 1_000_001, "is larger than 1000000 bytes"),
        (
            b"tickers = " + b"[" * 20_000 + b"]" * 20_000,
            "is nested too deeply: expected plain values and lists of them",
        ),
    ],
)
def test_a_wrong_universe_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "u.toml").write_bytes(content)
    with pytest.raises(UsageError) as refused:
        _resolve({"universe": str(tmp_path / "u.toml")})
    assert message in str(refused.value)


def test_the_error_names_the_variable_when_the_environment_is_wrong():
    with pytest.raises(UsageError, match="TICKERCAST_HORIZON 'x' is not a whole number"):
        _resolve({}, {"TICKERCAST_HORIZON": "x"})


def test_known_at_is_utc_and_a_date_means_its_whole_day():
    assert _resolve({"known_at": "2024-05-29T10:00:00+02:00"}).as_of.known_at == dt.datetime(
        2024, 5, 29, 8, tzinfo=dt.UTC
    )
    assert _resolve({"known_at": "2024-05-29"}).as_of.known_at == dt.datetime.combine(
        dt.date(2024, 5, 29), dt.time.max, tzinfo=dt.UTC
    )
    assert _resolve({"known_at": "2024-05-30"}).as_of.known_at == NOW


def test_a_profile_may_have_its_backtests_replay_the_nights_and_nights_themselves_do_not(tmp_path):
    (tmp_path / "mine.toml").write_text('arms = ["retrain", "none"]\nwindow = 750\nembargo = 5\n')
    config = _resolve(environ={"TICKERCAST_PROFILES": str(tmp_path), "TICKERCAST_PROFILE": "mine"})
    assert config.backtest == BacktestConfig(arms=("retrain", "none"), window_sessions=750, embargo=5)
    begun = {}

    def begin(name, *others, **arguments):
        begun[name] = arguments
        return lambda *keep: []

    with Store(tmp_path / "w", NOW) as store:
        night._refresh(store, config, made_up.market(), [], {}, SimpleNamespace(seconds={}, begin=begin))
    assert begun["backtest"]["config"] == BacktestConfig(window_sessions=750, embargo=5)


def test_several_variants_are_for_a_backtest_to_compare():
    config = _resolve({"model": "gru, stacked,lstm,gru", "units": "10"})
    assert [(model.variant, model.layers, model.units) for model in (config.model, *config.also)] == [
        ("gru", 1, 10),
        ("stacked", 2, 10),
        ("lstm", 1, 10),
    ]


EXPORTED = [
    {"model": "gru,lstm"},
    {"tickers": "aapl,msft", "horizon": "3"},
    {"source": "simulated"},
    {"files": "prices.csv", "tickers": "TSLA"},
    {"universe": "new-york"},
    {"workspace": "elsewhere", "as_of": "2024-05-28", "known_at": "2024-05-29", "model": "gru", "seed": "7"},
]


@pytest.mark.parametrize("overrides", EXPORTED)
@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"TICKERCAST_UNIVERSE": "tokyo"},
        {"TICKERCAST_TICKERS": "BTC-USD"},
        {"TICKERCAST_SOURCE": "files", "TICKERCAST_FILES": "/x.csv"},
    ],
    ids=["bare", "universe", "tickers", "files"],
)
def test_a_process_that_is_started_for_a_run_resolves_the_very_same_config(overrides, environ):
    environ = dict(environ)
    config = _resolve(overrides, environ)
    layers.export(overrides, environ=environ)
    again = _resolve({}, environ)
    assert dataclasses.replace(again, run_id=config.run_id) == config


@pytest.mark.slow
def test_a_run_reads_its_settings_once(tmp_path, monkeypatch):
    read, names = layers.read_profile, []
    monkeypatch.setattr(layers, "read_profile", lambda name, *more: names.append(name) or read(name, *more))
    (tmp_path / "mine.toml").write_text('tickers = ["SIM1"]\n')
    monkeypatch.setenv("TICKERCAST_PROFILES", str(tmp_path))
    assert cli.main(["ingest", "--plain", "--profile", "mine", "--workspace", str(tmp_path / "w")]) == 0
    assert names == ["mine"]


def test_exported_paths_hold_in_another_folder(tmp_path, monkeypatch):
    environ: dict[str, str] = {}
    layers.export({"workspace": "w", "files": "p.csv"}, environ=environ)
    here = Path.cwd()
    monkeypatch.chdir(tmp_path)
    config = _resolve({"tickers": "A"}, environ)
    assert (config.workspace, config.source.path) == (here / "w", here / "p.csv")


def test_what_is_set_already_stays_when_the_process_is_prepared():
    environ = {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_API_URL": "http://127.0.0.1:4200/api"}
    layers.prepare_process(quiet=True, environ=environ)
    assert environ["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert "PREFECT_LOGGING_TO_API_ENABLED" not in environ
    assert (environ["DO_NOT_TRACK"], environ["PREFECT_RESULTS_DEFAULT_SERIALIZER"]) == ("1", "json")


def test_parameters_override_the_settings_and_carry_no_path():
    given = NightlyParameters(tickers=["aapl", "AAPL"], horizon=3, as_of=dt.date(2024, 5, 28))
    config = _resolve(given.overrides(), {"TICKERCAST_HORIZON": "8"})
    assert (config.tickers, config.model.horizon, config.as_of.day) == (("AAPL",), 3, dt.date(2024, 5, 28))
    assert not {"workspace", "files", "universe", "source", "output"} & set(NightlyParameters.model_fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"workspace": "/etc"},
        {"horizon": 0},
        {"horizon": 21},
        {"model": "transformer"},
        {"strategy": "never"},
        {"seed": -1},
        {"tickers": []},
        {"tickers": ["../../etc"]},
        {"tickers": ["A"] * 5001},
        {"profile": "../demo"},
        {"as_of": "soon"},
    ],
)
def test_wrong_parameters_are_refused(fields):
    with pytest.raises(pydantic.ValidationError):
        NightlyParameters(**fields)


def test_the_form_of_the_server_has_titles_ranges_and_choices():
    fields = NightlyParameters.model_json_schema()["properties"]
    assert all(field["title"] and field["description"] for field in fields.values())
    assert {"minimum": 1, "maximum": 20, "type": "integer"} in fields["horizon"]["anyOf"]
    assert "gru" in fields["model"]["anyOf"][0]["enum"]


def test_every_option_is_taken_by_a_command_and_has_a_setting_of_the_same_name():
    taken = {option.name for command in COMMANDS.values() for option in options_of(command)}
    assert taken == set(OPTIONS)
    for option in OPTIONS.values():
        assert option.variable == "TICKERCAST_" + option.flag[2:].replace("-", "_").upper()
        assert option.said.help.endswith(".") and (option.kind == "flag" or option.said.metavar)
    assert set(known_keys()) >= {"workspace", "tickers", "horizon", "format"}


def test_a_misspelt_variable_is_found():
    assert layers.unknown_variables({"TICKERCAST_HORIZN": "5", "TICKERCAST_HORIZON": "5", "PATH": ""}) == {
        "TICKERCAST_HORIZN": "TICKERCAST_HORIZON"
    }
