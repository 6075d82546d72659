"""The doctor finds what is wrong, names it, and says what to do; it changes nothing."""

import datetime as dt
import json
import os
import subprocess
import sys

import pytest

from flows.commands import doctor
from flows.settings import layers
from forecast_lib.store.working.database import open_working
from tests.store import nights

pytestmark = pytest.mark.slow

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("TICKERCAST_", "PREFECT_API"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def workspace(tmp_path):
    nights.store_and_publish(tmp_path, 0)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / ("a" * 64 + ".npz")).write_bytes(b"")
    return tmp_path


def _findings(workspace, now=None, **overrides):
    now = now or dt.datetime.now(dt.UTC)  # not the time when the tests were collected, minutes ago
    gathered = layers.gather({"workspace": str(workspace), **overrides}, environ={})
    return {finding.check: finding for finding in doctor.examine(gathered, now)}


def _levels(findings):
    return {finding.check for finding in findings.values() if finding.level != "OK"}


def test_a_sound_workspace_has_nothing_to_mend_and_is_not_touched(workspace):
    before = {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in workspace.rglob("*")
        if path.is_file()
    }
    assert _levels(_findings(workspace)) - {"lock"} == set()
    assert before == {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for path in workspace.rglob("*")
        if path.is_file()
    }


def test_a_disk_whose_name_has_a_space_is_found_among_the_mounts(tmp_path):
    disk = tmp_path / "my disk"
    disk.mkdir()
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=False).returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        (disk / "w").mkdir()
        (disk / "w").chmod(0o777)
        findings = _findings(disk / "w")
        assert findings["file system"].detail == "tmpfs"
        assert findings["workspace"].cure == f"chmod o-w '{disk}/w'"
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_before_the_first_run_only_the_publication_is_missing(tmp_path):
    findings = _findings(tmp_path / "none")
    assert _levels(findings) - {"lock"} == {"published"}
    assert findings["published"].cure == "run `tickercast nightly`"
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("name", "version", "level"),
    [
        ("fastapi", "0.151.0", "FAIL"),  # Prefect's own bound
        ("sqlalchemy", "2.1.9", "OK"),  # Prefect schedules with it
        ("whenever", "0.10.5", "FAIL"),
        ("pandas", "2.3.3", "FAIL"),
        ("prefect", "3.8.8", "FAIL"),
        ("prefect", "3.10.0rc1", "FAIL"),
        ("duckdb", None, "FAIL"),
    ],
)
def test_versions_that_break_prefect_in_silence_are_named(name, version, level, monkeypatch, tmp_path):
    here = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda asked: version if asked == name else here(asked))
    patient = doctor.Patient(layers.gather({}, environ={}), NOW)
    found = {finding.check: finding for finding in doctor.check_libraries(patient)}
    if level == "OK":
        assert {check: finding.level for check, finding in found.items()} == {"libraries": "OK"}
    else:
        assert found[name].level == level and found[name].cure and "libraries" not in found


def test_both_builds_of_tensorflow_at_once_are_found(monkeypatch):
    patient = doctor.Patient(layers.gather({}, environ={}), NOW)
    for there, level in (
        (("tensorflow",), "OK"),
        (("tensorflow-cpu",), "OK"),
        (("tensorflow", "tensorflow-cpu"), "FAIL"),
        ((), "FAIL"),
    ):
        monkeypatch.setattr(
            doctor, "_installed", lambda name, there=there: "2.21.0" if name in there else None
        )
        assert doctor.check_tensorflow(patient).level == level


def test_what_is_installed_is_held_against_the_lock(tmp_path, monkeypatch):
    (tmp_path / "requirements.lock").write_text(
        "numpy==0.0.1 \\\n    --hash=sha256:00\nno-such-library==1.0 \\\n    --hash=sha256:00\n"
        "only-on-windows==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    monkeypatch.setattr(doctor, "DEPLOYMENTS", tmp_path / "deployments")
    finding = doctor.check_lock(doctor.Patient(layers.gather({}, environ={}), NOW))
    assert finding.level == "WARN"
    assert finding.detail.startswith(
        "1 of 3 libraries differ, 1 are missing: numpy "
    ) and finding.detail.endswith("no-such-library missing")


def test_a_damaged_publication_is_found_although_it_opens(workspace):
    """A flipped byte in a block shows only when that block is read."""
    path = workspace / "published.duckdb"
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"stacked")
    content[place] ^= 0xFF
    path.write_bytes(content)
    finding = _findings(workspace)["published"]
    assert (
        finding.level == "FAIL"
        and "Corrupt database file" in finding.detail
        and finding.cure == "run `tickercast restore`"
    )


def test_a_missing_working_database_is_found(workspace):
    (workspace / "working.duckdb").unlink()
    finding = _findings(workspace)["working"]
    assert (finding.level, finding.cure) == ("FAIL", "run `tickercast restore`")


def test_a_newer_schema_is_found(workspace):
    with open_working(workspace, nights.now(1)) as con:
        con.execute("INSERT INTO schema_migrations VALUES (9999, 'future', TIMESTAMP '2030-01-01', 'x')")
    finding = _findings(workspace)["working"]
    assert (finding.level, finding.cure) == ("FAIL", "install the newer Tickercast")


def test_missing_weights_are_counted(workspace):
    next((workspace / "models").iterdir()).unlink()
    finding = _findings(workspace)["weights"]
    assert finding.level == "WARN" and finding.detail.startswith("1 of 1 weight files are missing")


def test_a_run_that_died_is_found(workspace):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (workspace / ".lock").write_text(json.dumps({"pid": dead.pid, "run": "run-7", "started": None}))
    finding = _findings(workspace)["runs"]
    assert finding.level == "WARN" and "run-7" in finding.detail


def test_a_clock_that_was_set_back_is_found(workspace):
    assert _findings(workspace, now=NOW - dt.timedelta(days=2))["clock"].level == "WARN"


def test_a_workspace_that_anybody_may_change_is_found(workspace):
    workspace.chmod(0o777)
    finding = _findings(workspace)["workspace"]
    assert (finding.level, finding.cure) == ("WARN", f"chmod o-w {workspace}")


def test_a_source_that_does_not_answer_is_found(workspace, tmp_path):
    finding = _findings(workspace, files=str(tmp_path / "none.csv"))["source"]
    assert finding.level == "FAIL" and "none.csv" in finding.detail and finding.cure


def test_a_server_that_does_not_answer_is_found(workspace, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    finding = _findings(workspace)["server"]
    assert finding.level == "FAIL" and "http://127.0.0.1:9/api" in finding.detail


def test_a_misspelt_variable_is_found(workspace, monkeypatch):
    monkeypatch.setenv("TICKERCAST_HORIZN", "5")
    finding = _findings(workspace)["settings"]
    assert finding.level == "WARN" and "TICKERCAST_HORIZN" in finding.detail


def test_a_check_that_breaks_is_a_finding():
    def broken(patient):
        raise RuntimeError("x")

    [finding] = doctor._looked_at("disk", broken, doctor.Patient(layers.gather({}, environ={}), NOW))
    assert (finding.level, finding.detail) == ("FAIL", "the check broke: RuntimeError: x")
