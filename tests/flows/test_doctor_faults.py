"""Ten faults, each really planted: the doctor finds it, names it, and says what to do."""

import datetime as dt
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows import cli
from flows.commands.advice import advised
from forecast_lib.store.working.database import open_working
from tests.conftest import free_port
from tests.loopback import receiver
from tests.store import children, nights

pytestmark = pytest.mark.slow


@contextmanager
def wrong_dependency_version(workspace: Path, monkeypatch) -> Iterator[list[str]]:
    """Metadata of another FastAPI lie first on the path, as after an upgrade behind the lock's back."""
    info = workspace.parent / "site" / "fastapi-0.165.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fastapi\nVersion: 0.165.0\n")
    monkeypatch.syspath_prepend(info.parent)
    yield []


@contextmanager
def damaged_working_file(workspace: Path, monkeypatch) -> Iterator[list[str]]:
    """A flipped bit in a block that nobody reads in passing: the file opens, and its rows are counted without
    an error.
    """
    path = workspace / "working.duckdb"
    content = bytearray(path.read_bytes())
    content[content.rindex(b"stacked")] ^= 0xFF
    path.write_bytes(content)
    yield []


@contextmanager
def damaged_published_file(workspace: Path, monkeypatch) -> Iterator[list[str]]:
    path = workspace / "published.duckdb"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    yield []


@contextmanager
def missing_weights(workspace: Path, monkeypatch) -> Iterator[list[str]]:
    shutil.rmtree(workspace / "models")
    yield []


@contextmanager
def stale_lock(workspace: Path, monkeypatch) -> Iterator[list[str]]:
    """A process takes the workspace and is killed with it."""
    children.start("lock_and_die", workspace).wait()
    yield []


@contextmanager
def full_disk(workspace: Path, monkeypatch) -> Iterator[list[str]]:
    """The workspace lies on a file system of 32 MB that has nothing left."""
    mount = workspace.parent / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(mount)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        moved = shutil.copytree(workspace, mount / "workspace")
        (mount / "ballast").write_bytes(bytes(shutil.disk_usage(mount).free))
        yield ["--workspace", str(moved)]
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


@contextmanager
def wrong_permissions(workspace: Path, monkeypatch) -> Iterator[list[str]]:
    """Once run as another user: files that the owner of the workspace cannot write. Where we are not root,
    they are read-only.
    """
    if os.getuid() == 0:
        os.chown(workspace / "working.duckdb", 65_534, 65_534)
    else:
        (workspace / "working.duckdb").chmod(0o400)
    yield []


@contextmanager
def unreachable_source(workspace: Path, monkeypatch) -> Iterator[list[str]]:
    """The real client of Yahoo, through a proxy at a closed port of this machine."""
    yield ["--source", "yahoo", "--proxy", f"http://127.0.0.1:{free_port()}"]


@contextmanager
def clock_off(workspace: Path, monkeypatch) -> Iterator[list[str]]:
    """A server on this machine whose answers are dated three hours ago."""
    with receiver() as other:
        other.behind = dt.timedelta(hours=3)
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{other.port}/api")
        yield []


@contextmanager
def schema_too_new(workspace: Path, monkeypatch) -> Iterator[list[str]]:
    with open_working(workspace, nights.now(1)) as con:
        con.execute("INSERT INTO schema_migrations VALUES (9999, 'future', TIMESTAMP '2030-01-01', 'x')")
    yield []


FAULTS = {
    wrong_dependency_version: (
        "fastapi",
        "FAIL",
        "0.165.0 is installed",
        "install what the lock says: pip install",
    ),
    damaged_working_file: ("working", "FAIL", "working.duckdb cannot be used", "run `tickercast restore`"),
    damaged_published_file: (
        "published",
        "FAIL",
        "the published file is damaged",
        "run `tickercast restore`",
    ),
    missing_weights: (
        "weights",
        "WARN",
        "1 of 1 weight files are missing",
        "run `tickercast nightly --strategy retrain`",
    ),
    stale_lock: ("runs", "WARN", "died before it ended", "start a run: it takes the lock and repairs"),
    full_disk: ("disk", "FAIL", "0.0 GB free", "free some space"),
    wrong_permissions: ("workspace", "FAIL", "working.duckdb", "chown -R"),
    unreachable_source: ("source", "FAIL", "no answer from Yahoo", "check the network and the proxy"),
    clock_off: ("clock", "WARN", "127.0.0.1:", "set the clock"),
    schema_too_new: ("working", "FAIL", "has schema 9999", "install the newer Tickercast"),
}
"""Fault to the check that finds it, its level, what it says and the cure."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound") / "workspace"
    nights.store_and_publish(folder, 0)
    (folder / "models").mkdir()
    (folder / "models" / ("a" * 64 + ".npz")).write_bytes(b"")
    return folder


@pytest.fixture
def workspace(sound, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("TICKERCAST_", "PREFECT_API"))]:
        monkeypatch.delenv(name)
    return Path(shutil.copytree(sound, tmp_path / "workspace"))


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_with_its_cure(plant, workspace, monkeypatch, capsys):
    check, level, said, cure = FAULTS[plant]
    with plant(workspace, monkeypatch) as options:
        exit_code = cli.main(["doctor", "--json", "--workspace", str(workspace), *options])
    printed = capsys.readouterr().out
    findings = {finding["check"]: finding for finding in json.loads(printed.splitlines()[-1])["findings"]}
    found = findings[check]
    assert (found["level"], exit_code) == (level, 1 if level == "FAIL" else 0)
    assert said in found["detail"] and cure in found["cure"]
    assert f"{level:<4}  {check}" in printed
    assert f" -> {advised(found['cure'], {'workspace': str(workspace)})}" in printed
    others = {finding["check"] for finding in findings.values() if finding["level"] != "OK"} - {"lock", check}
    assert others == set(), "one fault, one finding"


def test_a_source_that_cannot_be_reached_is_asked_once(workspace, monkeypatch, capsys):
    """A night asks four times and waits in between; whoever asks the doctor waits for the answer."""
    waits = []
    monkeypatch.setattr("forecast_lib.prices.sources.retrying.back_off", lambda *_: waits.append(1) or 0.0)
    with unreachable_source(workspace, monkeypatch) as options:
        cli.main(["doctor", "--workspace", str(workspace), *options])
    assert "no answer from Yahoo" in capsys.readouterr().out and waits == []
