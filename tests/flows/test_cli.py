"""The command as a user meets it: help, wrong input, exit codes, formats, and what it must not import."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows import cli
from flows.commands import serving
from flows.settings.commands import COMMANDS
from flows.settings.options import options_of
from tests.store import nights

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("pandas", "numpy", "prefect", "pydantic", "duckdb", "tensorflow", "keras", "rich", "yfinance")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    """No setting of the developer's, and no workspace in the repository."""
    for name in [name for name in os.environ if name.startswith("TICKERCAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A workspace with two published nights of AAA and BBB, two steps each."""
    workspace = tmp_path_factory.mktemp("published")
    for number in range(2):
        nights.store_and_publish(workspace, number)
    return workspace


def _python(code: str, *, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=variables, capture_output=True, text=True
    )


def _tickercast(*argv: str, cwd: Path, **env: str) -> subprocess.CompletedProcess:
    return _python(f"import sys; from flows.cli import main; sys.exit(main({list(argv)!r}))", cwd=cwd, **env)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_the_wiring_of_the_commands_import_nothing_heavy(command, tmp_path):
    ran = _python(
        f"import sys; from flows.cli import main; code = main([{command!r}, '--help']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr); sys.exit(code)",
        cwd=tmp_path,
    )
    assert (ran.returncode, ran.stderr.strip()) == (0, "[]")
    assert ran.stdout.startswith(f"usage: tickercast {command}")


@pytest.mark.slow
def test_sql_needs_neither_prefect_nor_tensorflow(published, tmp_path):
    code = (
        "import sys; from flows.cli import main; code = main(['sql', 'SELECT count(*) AS n FROM prices',"
        f" '--workspace', {str(published)!r}]); print([name for name in ('prefect', 'tensorflow', 'keras',"
        " 'pydantic') if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    ran = _python(code, cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr.strip()) == (0, "n\n-\n4\n", "[]")


def test_every_command_of_the_contract_is_there_and_has_somebody_to_do_it():
    contract = (
        "nightly ingest backtest recipe forecasts sql risk tables report status doctor serve deploy"
        " quarantine gaps restore verify maintain"
    )
    assert " ".join(COMMANDS) == contract
    for name, command in COMMANDS.items():
        assert f"def {name}(" in (ROOT / "flows" / "commands" / f"{command.module}.py").read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_the_help_with_its_variable_and_its_default(command, capsys):
    assert cli.main([command, "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for option in options_of(COMMANDS[command]):
        assert (
            option.flag in printed
            and option.variable in printed
            and " ".join(option.said.help.split()) in printed
        )
        assert (
            option.default is None
            or option.kind == "flag"
            or f"default: {option.default}; {option.variable})" in printed
        )


def test_options_that_the_contract_names_for_runs_are_taken_by_nightly():
    flags = {option.flag for option in options_of(COMMANDS["nightly"])}
    named = (
        "--workspace --profile --tickers --universe --source --files --as-of --horizon --model --strategy"
        " --seed --runner --json"
    )
    assert set(named.split()) <= flags


def test_a_command_takes_no_option_that_it_does_nothing_with():
    """What follows a run follows no recipe, and a look at the status writes nothing."""
    taken = {name: {option.flag for option in options_of(command)} for name, command in COMMANDS.items()}
    after = {"--notify", "--deadline", "--metrics-dir", "--publish-to", "--reports-url"}
    assert all(after <= taken[name] for name in ("nightly", "ingest", "backtest", "serve"))
    assert taken["recipe"] & after == {"--reports-url"}
    assert taken["status"] & after == {"--notify", "--deadline"}
    assert taken["maintain"] & after == {"--notify", "--deadline", "--metrics-dir"}


def test_without_a_command_the_help_is_printed(capsys):
    assert cli.main([]) == 0
    printed = capsys.readouterr().out
    assert printed == cli.overview() and all(f"\n  {name} " in printed for name in COMMANDS)


BAD = [
    (["nigthly"], "command 'nigthly' is not known (did you mean nightly?): expected for example nightly, "),
    (["--horizon", "3"], "option '--horizon' is not known: expected for example "),
    (
        ["nightly", "--horizn", "3"],
        "option '--horizn' is not known (did you mean --horizon?): expected for example --horizon, ",
    ),
    (["nightly", "--hor", "3"], "option '--hor' is not known"),
    (["nightly", "AAPL"], "argument 'AAPL' is not known: expected for example --"),
    (
        ["nightly", "--model", "transformer"],
        "--model 'transformer' is not known: expected one of attention, ",
    ),
    (["nightly", "--model", "lstm,gru"], "--model names 2 variants: nightly takes one, backtest several"),
    (["backtest", "--model", "lstm,"], "--model '' is not known: expected one of attention"),
    (["nightly", "--tickers"], "argument --tickers: expected one argument; see `tickercast nightly --help`"),
    (["nightly", "--horizon", "0"], "horizon 0 is out of range: expected 1 to 20"),
    (["nightly", "--tickers", "A;B\n,ok"], "1 of 2 tickers are no ticker names: 'A;B\\n'"),
    (["nightly", "--as-of", "2999-01-01"], "as-of 2999-01-01 lies in the future"),
    (
        ["nightly", "--as-of", "1950-01-03"],
        "as-of 1950-01-03 is before the first price of source 'simulated', of 2010-01-04",
    ),
    (["nightly", "--source", "files"], "source 'files' needs a path: give --files PATH"),
    (["nightly", "--universe", "/nowhere"], "universe /nowhere cannot be read"),
    (["nightly", "--profile", "x"], "profile 'x' is not known: expected one of crypto, demo"),
    (["backtest", "--test-share", "2"], "test_share 2.0 is out of range"),
    (["recipe"], "the following arguments are required: NAME"),
    (["sql"], "the following arguments are required: QUERY"),
    (
        ["sql", "SELECT 1", "--format", "xml"],
        "--format 'xml' is not known: expected one of table, csv, json, parquet",
    ),
    (["forecasts", "AAA", "--tickers", "BBB"], "tickers were given twice: name them after `forecasts` or by"),
    (
        ["forecasts", "AAA", "--universe", "u.txt"],
        "tickers were given twice: name them after `forecasts` or by",
    ),
    (["serve", "--port", "0"], "port 0 is out of range: expected 1 to 65535"),
    (["deploy"], "no Prefect server is configured: set PREFECT_API_URL"),
    (["restore", "--workspace", "/nowhere/at/all"], "workspace /nowhere/at/all does not exist"),
]


@pytest.mark.parametrize(
    ("argv", "message"), BAD, ids=[" ".join(bad[0])[:40].replace("\n", " ") for bad in BAD]
)
def test_wrong_usage_is_one_line_and_exit_code_2(argv, message, capsys, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert cli.main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("tickercast: ") and captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize("command", ["serve", "deploy"])
@pytest.mark.parametrize("name", ["flows.py", "flows/__init__.py"])
def test_nothing_is_served_from_a_folder_whose_flows_prefect_would_take_for_ours(
    command, name, tmp_path, monkeypatch, capsys
):
    """As in many a project that uses Prefect; a folder of that name alone is no package."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    (tmp_path / "flows").mkdir()
    serving._refuse_another_flows()  # does not raise
    (tmp_path / name).touch()
    assert cli.main([command]) == 2
    assert f"tickercast: {tmp_path / name} has the name of our own package" in capsys.readouterr().err


def test_a_universe_nested_too_deeply_is_wrong_usage_and_nothing_is_made(capsys, tmp_path):
    universe, workspace = tmp_path / "deep.toml", tmp_path / "workspace"
    universe.write_text("tickers = " + "[" * 20_000 + "]" * 20_000)
    assert cli.main(["nightly", "--universe", str(universe), "--workspace", str(workspace)]) == 2
    said = f"tickercast: universe {universe} is nested too deeply: expected plain values and lists of them\n"
    assert capsys.readouterr().err == said
    assert not workspace.exists()


@pytest.mark.parametrize("command", [["forecasts"], ["sql", "SELECT 1"], ["tables"], ["report"], ["status"]])
def test_before_the_first_publication_readers_say_what_to_do(command, capsys, tmp_path):
    assert cli.main([*command, "--workspace", str(tmp_path / "none")]) == 1
    assert f"run `tickercast nightly --workspace {tmp_path / 'none'}` first" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_errors_are_in_the_last_line_of_json_too(capsys, monkeypatch):
    assert cli.main(["nightly", "--horizon", "0", "--json"]) == 2
    asked = capsys.readouterr().out
    monkeypatch.setenv("TICKERCAST_JSON", "true")
    assert cli.main(["nightly", "--horizon", "0"]) == 2
    assert asked == capsys.readouterr().out
    assert json.loads(asked) == {
        "command": "nightly",
        "exit_code": 2,
        "error": "horizon 0 is out of range: expected 1 to 20",
    }


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["forecasts"], {"command": "forecasts", "exit_code": 0, "rows": 4, "run_id": "run-1"}),
        (["forecasts", "aaa"], {"rows": 2}),
        (["forecasts", "--tickers", "aaa,BBB"], {"rows": 4}),
        (["sql", "SELECT 1 AS one"], {"command": "sql", "exit_code": 0, "rows": 1}),
        (["tables"], {"command": "tables", "exit_code": 0, "format": "table"}),
        (["status"], {"command": "status", "exit_code": 1, "verdict": "stale", "tickers": 2}),
        (["doctor"], {"command": "doctor", "exit_code": 0, "failed": 0}),
        (["restore"], {"command": "restore", "exit_code": 0, "lost_runs": []}),
        (
            ["maintain", "--dry-run"],
            {"command": "maintain", "exit_code": 0, "dry_run": True, "removed": [], "compacted": None},
        ),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_the_last_line_of_json_says_how_it_ended(argv, expected, published, capsys):
    exit_code = cli.main([*argv, "--json", "--workspace", str(published)])
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert expected.items() <= summary.items() and summary["exit_code"] == exit_code


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELEC 1", "the SQL cannot be read"),
        ("SELECT nope FROM prices", "nope"),
        ("SELECT * FROM nope", "nope"),
        ("SELECT * FROM forecast", 'Did you mean "forecasts"?'),
        ("SELECT tickr FROM latest_forecasts", 'Candidate bindings: "ticker"'),
        ("SELECT abs('x')", "Candidate functions: abs("),
        ("SELECT 1\nFROM FROM", "(line 2)"),
        ("DROP TABLE prices", "DROP is not allowed"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
        ("SELECT 1; SELECT 2", "expected one SQL statement, got 2"),
        ("", "expected one SQL statement, got 0"),
    ],
)
def test_wrong_or_forbidden_sql_is_one_line_and_exit_code_2(query, message, published, capsys):
    assert cli.main(["sql", query, "--workspace", str(published)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and captured.out == ""


def test_an_unknown_ticker_is_refused_with_those_there_are(published, capsys):
    assert cli.main(["forecasts", "ZZZ", "--workspace", str(published)]) == 2
    assert "no published forecast for ZZZ: there are 2 tickers, AAA, BBB" in capsys.readouterr().err


def test_csv_disarms_formulas_and_leaves_numbers_alone(published, capsys):
    query = (
        "SELECT '=cmd()' AS \"=a\", '+1' AS b, '-1' AS c, '@x' AS d, chr(9) || 'x' AS e, 'AAPL' AS f, -1.5 AS"
        " g, NULL AS h"
    )
    assert cli.main(["sql", query, "--format", "csv", "--workspace", str(published)]) == 0
    assert capsys.readouterr().out == "'=a,b,c,d,e,f,g,h\n'=cmd(),'+1,'-1,'@x,'\tx,AAPL,-1.5,\n"


def test_json_has_null_for_what_is_missing_and_dates_as_text(published, capsys):
    query = (
        "SELECT DATE '2024-05-30' AS day, TIMESTAMP '2024-05-30 22:00' AS at, NULL::DOUBLE AS x,"
        " 'NaN'::DOUBLE AS y, [1, 2] AS z, true AS t"
    )
    assert cli.main(["sql", query, "--format", "json", "--workspace", str(published)]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"day": "2024-05-30", "at": "2024-05-30T22:00:00", "x": None, "y": None, "z": [1, 2], "t": True}
    ]


def test_tables_align_and_no_cell_can_steer_the_terminal(published, capsys):
    query = "SELECT * FROM (VALUES ('a', 1.23456789), ('b' || chr(27) || '[31m', NULL)) AS t(name, value)"
    assert cli.main(["sql", query, "--workspace", str(published)]) == 0
    assert (
        capsys.readouterr().out == "name         value\n---------  -------\na          1.23457\nb\\x1b[31m\n"
    )


@pytest.mark.slow
def test_parquet_goes_to_a_file_or_as_bytes_into_a_pipe(published, tmp_path):
    assert (
        cli.main(["forecasts", "--format", "parquet", "--output", "f.parquet", "--workspace", str(published)])
        == 0
    )
    piped = subprocess.run(
        [
            sys.executable,
            "-m",
            "flows.cli",
            "forecasts",
            "--format",
            "parquet",
            "--workspace",
            str(published),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert piped.returncode == 0 and piped.stdout[:4] == piped.stdout[-4:] == b"PAR1"
    for content in ((tmp_path / "f.parquet").read_bytes(), piped.stdout):
        (tmp_path / "again.parquet").write_bytes(content)
        ran = _python(
            "import duckdb; print(duckdb.sql(\"SELECT count(*) FROM 'again.parquet'\").fetchall())",
            cwd=tmp_path,
        )
        assert ran.stdout.strip() == "[(4,)]"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.parquet", "f.parquet"]


def test_output_that_cannot_be_written_is_one_line(published, capsys):
    assert (
        cli.main(
            ["forecasts", "--format", "csv", "--output", "/nowhere/f.csv", "--workspace", str(published)]
        )
        == 2
    )
    assert "/nowhere/f.csv cannot be written: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("asked", [["sql", "SELECT 1 AS x"], ["forecasts", "AAA"]], ids=["sql", "forecasts"])
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_output_that_is_a_pipe_gets_the_rows_and_stays_a_pipe(asked, format, published, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "got").open("wb") as got:
        reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=got)
        options = ["--output", "pipe", "--format", format, "--workspace", str(published)]
        assert cli.main([*asked, *options]) == 0
        assert reader.wait(timeout=20) == 0
    assert cli.main([*asked, "--output", "file", *options[2:]]) == 0
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "got").read_bytes() == (tmp_path / "file").read_bytes() != b""


def test_output_that_is_a_device_or_a_link_stays_one(published, tmp_path):
    (tmp_path / "target.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("target.csv")
    assert cli.main(["sql", "SELECT 1 AS x", "--output", "link.csv", "--workspace", str(published)]) == 0
    assert ((tmp_path / "link.csv").is_symlink(), (tmp_path / "target.csv").read_text()) == (True, "x\n1\n")
    said = subprocess.run(
        f"{sys.executable} -m flows.cli sql 'SELECT 1 AS x' --format csv --workspace {published}"
        " --output /dev/fd/2 2>&1 | cat",
        shell=True, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert said.stdout == "x\n1\n"


def test_a_reader_that_leaves_early_is_no_error(published, tmp_path):
    ran = subprocess.run(
        f'{sys.executable} -m flows.cli sql "SELECT range FROM range(100000)" --workspace {published} |'
        " head -1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (ran.stdout, ran.stderr) == ("range\n", "")


def test_a_result_that_finds_no_room_is_one_line(published):
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "flows.cli", "tables", "--workspace", str(published)],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = "tickercast: standard output cannot be written: No space left on device\n"
    assert (ran.returncode, ran.stderr) == (1, said)


def test_an_unexpected_error_is_one_line_and_its_traceback_is_in_the_log(monkeypatch, capsys, tmp_path):
    def broken(request):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(cli, "handler", lambda command: broken)
    assert cli.main(["status", "--workspace", str(tmp_path / "w")]) == 1
    [log] = (tmp_path / "w" / "logs").iterdir()
    assert (
        capsys.readouterr().err
        == f"tickercast: unexpected RuntimeError: two\\nlines; the traceback is in {log}\n"
    )
    assert "in broken" in log.read_text()
    assert cli.main(["status", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_exit_code_130(monkeypatch, capsys):
    def interrupted(request):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "handler", lambda command: interrupted)
    assert cli.main(["status"]) == 130
    assert capsys.readouterr().err == "tickercast: interrupted by SIGINT; what was published before stays\n"


def test_restore_waits_for_nobody(published, capsys):
    from forecast_lib.store.disk.lock import hold_workspace

    with hold_workspace(published, "run-9"):
        assert cli.main(["restore", "--workspace", str(published)]) == 75
    assert "run run-9" in capsys.readouterr().err


@pytest.mark.slow
def test_restore_goes_back_to_a_named_snapshot(tmp_path, capsys):
    for number in range(2):
        nights.store_and_publish(tmp_path, number)
    [older] = [path.stem for path in (tmp_path / "snapshots").iterdir() if path.stem.endswith("run-0")]
    assert cli.main(["restore", older, "--workspace", str(tmp_path)]) == 0
    assert cli.main(["forecasts", "--format", "csv", "--workspace", str(tmp_path)]) == 0
    assert "run-0" in capsys.readouterr().out
    assert cli.main(["restore", "20000101T000000Z_none", "--workspace", str(tmp_path)]) == 2


def test_report_prints_where_it_is(tmp_path, capsys):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "latest.html").write_text("<html></html>")
    assert cli.main(["report", "--workspace", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'reports' / 'latest.html'}\n"


def _asked(published, query, *options, **limits):
    """As the command asks, with limits that a test can wait for."""
    from flows.commands import questions

    output = options[0] if options else published.parent / "rows"
    return questions.ask(
        questions.Question(str(published / "published.duckdb"), query, "csv", str(output), **limits)
    )


@pytest.mark.slow
def test_a_query_that_is_slow_inside_one_block_of_rows_ends_in_time(published):
    """DuckDB looks at its own limits between two blocks only."""
    from forecast_lib.errors import UsageError

    began = time.monotonic()
    with pytest.raises(UsageError, match="took longer than 1 s and was stopped"):
        _asked(published, "SELECT list_aggregate(range(100000000), 'sum')", seconds=1.0)
    assert time.monotonic() - began < 60


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", ["SELECT repeat('x', 2000000000)", "SELECT range, 'row ' || range FROM range(50000000)"]
)
def test_a_query_that_takes_too_much_memory_is_one_sentence(query, published):
    from forecast_lib.errors import UsageError

    with pytest.raises(UsageError, match="the query needs more memory than"):
        _asked(published, query, most_bytes=900_000_000)


@pytest.mark.slow
def test_a_question_is_answered_where_the_machine_grants_less_memory(published):
    """`ulimit -d`: a limit that only the administrator may raise."""
    asked = f"{sys.executable} -m flows.cli sql 'SELECT 1 AS x' --format csv --workspace {published}"
    ran = subprocess.run(f"ulimit -d 1800000; {asked}", shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("x\n1\n", "")


def test_rows_beyond_the_limit_are_cut_with_a_sentence_unless_written_to_a_file(published, capsys, tmp_path):
    query = "SELECT range FROM range(100001)"
    assert cli.main(["sql", query, "--format", "csv", "--workspace", str(published)]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 100_001
    assert (
        captured.err == "tickercast: only the first 100000 rows are shown; --output FILE writes all of them\n"
    )
    assert cli.main(["sql", query, "--output", "rows.csv", "--workspace", str(published)]) == 0
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 100_002
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_the_name_of_the_file_says_the_format(ending, published, tmp_path):
    for word, path in (("", f"a.{ending}"), ("--format", f"b.{ending}")):
        extra = [word, "csv"] if word else []
        assert (
            cli.main(["sql", "SELECT 1 AS x", "--output", path, *extra, "--workspace", str(published)]) == 0
        )
    content = (tmp_path / f"a.{ending}").read_bytes()
    assert {"csv": b"x\n1\n", "json": b'[\n{"x": 1}\n]\n', "parquet": b"PAR1"}[ending] in content
    assert (tmp_path / f"b.{ending}").read_text() == "x\n1\n"  # what was asked for goes first


def test_sql_comes_from_a_file_or_from_standard_input(published, tmp_path, capsys, monkeypatch):
    (tmp_path / "q.sql").write_text("SELECT 1 AS x;\n")
    assert cli.main(["sql", "q.sql", "--format", "csv", "--workspace", str(published)]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT 2 AS x"))
    assert cli.main(["sql", "-", "--format", "csv", "--workspace", str(published)]) == 0
    assert capsys.readouterr().out == "x\n1\nx\n2\n"
    assert cli.main(["sql", "none.sql", "--workspace", str(published)]) == 2
    assert "none.sql cannot be read: No such file" in capsys.readouterr().err


def test_tables_of_some_names(published, capsys):
    assert (
        cli.main(["tables", "runs", "prices_as_of", "--format", "json", "--workspace", str(published)]) == 0
    )
    rows = json.loads(capsys.readouterr().out)
    assert {row["object"] for row in rows} == {"runs", "prices_as_of(t)"}
    assert cli.main(["tables", "forecast", "--workspace", str(published)]) == 2
    assert (
        "'forecast' is no table, view or macro: expected for example forecasts, " in capsys.readouterr().err
    )


@pytest.mark.parametrize("path", ["file", "file/inside"])
@pytest.mark.parametrize("command", ["nightly", "status", "doctor"])
def test_a_workspace_that_is_a_file_is_wrong_usage(command, path, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert cli.main([command, "--workspace", path]) == 2
    assert (
        f"--workspace {tmp_path / path} cannot be a folder: {tmp_path / 'file'} is a file"
        in capsys.readouterr().err
    )


def test_every_command_names_a_misspelt_variable(published, capsys, monkeypatch):
    monkeypatch.setenv("TICKERCAST_WORKSPCE", "elsewhere")
    assert cli.main(["forecasts", "--workspace", str(published)]) == 0
    said = (
        "tickercast: TICKERCAST_WORKSPCE is set, but there is no such setting: did you mean"
        " TICKERCAST_WORKSPACE?\n"
    )
    assert capsys.readouterr().err == said


def test_a_typo_is_answered_by_three_names(capsys):
    assert cli.main(["nightly", "--horizn", "5"]) == 2
    proposed = capsys.readouterr().err.partition("expected for example ")[2].partition(";")[0].split(", ")
    assert proposed[0] == "--horizon" and len(proposed) == 3


def test_text_after_a_line_feed_is_no_formula(published, capsys):
    assert (
        cli.main(["sql", "SELECT chr(10) || '=1' AS a", "--format", "csv", "--workspace", str(published)])
        == 0
    )
    assert capsys.readouterr().out == 'a\n"\'\n=1"\n'
