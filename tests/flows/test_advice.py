"""What a message proposes can be pasted into the shell that the user is in."""

import datetime as dt
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flows import cli
from flows.commands import runs
from flows.commands.advice import command_line
from flows.settings.layers import gather
from flows.settings.run_config import resolve
from tests.store import nights

SCRIPT = Path(sys.executable).parent / "tickercast"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("TICKERCAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _shell(line: str, cwd: Path, path: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        line, shell=True, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )


@pytest.mark.parametrize("activated", [True, False], ids=["activated", "by its path"])
def test_the_command_is_named_as_the_user_has_to_type_it(activated: bool, tmp_path: Path) -> None:
    """As `make run` calls it, from the repository, the program is not on the path."""
    (tmp_path / ".venv").symlink_to(SCRIPT.parent.parent)
    path = f"{SCRIPT.parent}:/usr/bin:/bin" if activated else "/usr/bin:/bin"
    called = "tickercast" if activated else ".venv/bin/tickercast"
    ran = _shell(f"{called} sql 'SELECT 1' --workspace 'my prices'", tmp_path, path)
    assert ran.returncode == 1
    proposed = ran.stderr.split("`")[1]
    assert proposed == f"{called} nightly --workspace 'my prices'"
    assert _shell(f"{proposed} --help", tmp_path, path).returncode == 0


def test_the_line_at_the_end_of_a_night_answers(tmp_path, capsys, monkeypatch):
    """Called as in the repository's own folder; profile and workspace are those of the call."""
    for number in range(2):
        nights.store_and_publish(tmp_path / "my prices", number)
    (tmp_path / ".venv").symlink_to(SCRIPT.parent.parent)
    monkeypatch.setattr(sys, "argv", [".venv/bin/tickercast"])
    given = {"profile": "demo", "workspace": "my prices"}
    config = resolve(gather(given, environ={}), now=dt.datetime(2024, 5, 3, 22, tzinfo=dt.UTC))
    runs._print_forecasts(config, given)
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith("It forecasts the risk, not the direction:")
    [line] = [line for line in said if line.startswith("SQL")]
    command = line.removeprefix("SQL").strip()
    assert command.startswith('.venv/bin/tickercast sql "SELECT')
    assert command.endswith("--profile demo --workspace 'my prices'")
    ran = _shell(command, tmp_path, "/usr/bin:/bin")
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 6  # header, rule, two tickers of two steps


def test_a_module_run_by_python_is_proposed_as_one(monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(Path(cli.__file__))])
    line = command_line("status", {})
    assert line.endswith(" -m flows.cli status")
    assert Path(shlex.split(line)[0]).absolute() == Path(sys.executable)


@pytest.mark.parametrize("workspace_by", ["option", "variable"])
def test_advice_repeats_profile_and_workspace(workspace_by, monkeypatch, capsys):
    given = ["--workspace", "elsewhere"] if workspace_by == "option" else []
    if workspace_by == "variable":
        monkeypatch.setenv("TICKERCAST_WORKSPACE", "elsewhere")
    assert cli.main(["report", "--profile", "demo", *given]) == 1
    assert "run `tickercast nightly --profile demo --workspace elsewhere` first" in capsys.readouterr().err
