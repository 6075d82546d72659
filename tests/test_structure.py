"""What must hold for the whole source, checked by machine: who imports whom, who may read the clock, what is never loaded."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("flows/**/*.py"), *ROOT.glob("forecast_lib/**/*.py")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def found(pattern: str, paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_imports_point_down():
    """The contracts of pyproject.toml; a new module at the top of forecast_lib must be placed there."""
    linter = Path(sys.executable).parent / "lint-imports"
    ended = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_stored_files_are_never_unpickled():
    """Only work on its way to a worker process and back is pickled, and what does that reads no file."""
    code = r"\b(import pickle|import joblib|import cloudpickle|import dill|load_model\(|allow_pickle=True|safe_mode=False)"
    carrier = ROOT / "flows" / "shards.py"
    assert found(code, [path for path in SOURCES if path != carrier]) == []
    assert found(r"\bopen\(|pickle\.load\(|np\.load\(", [carrier]) == []


def test_below_the_settings_nobody_reads_the_clock_or_the_environment():
    library = [path for path in SOURCES if path.parts[len(ROOT.parts)] == "forecast_lib"]
    clock = r"datetime\.now\(|date\.today\(|time\.time\(|utcnow\(|Timestamp\.now\(|os\.environ|os\.getenv"
    assert found(clock, library) == []


def test_in_the_flows_only_the_settings_read_the_environment():
    others = [path for path in SOURCES if path.parts[len(ROOT.parts)] == "flows" and path.name != "settings.py"]
    assert found(r"os\.environ|os\.getenv|datetime\.now\(", others) == []


def test_the_lock_has_hashes_and_no_addresses():
    assert not re.search(r"https?://|--index|--find-links|file:", LOCK)
    pins = [line for line in LOCK.splitlines() if "==" in line]
    assert len(pins) > 100
    assert all(line.endswith("\\") for line in pins), "each pin is followed by its hashes"


@pytest.mark.parametrize(("name", "first_bad"), [("fastapi", (0, 151)), ("sqlalchemy", (2, 1))])
def test_what_breaks_prefect_is_bounded_in_the_project_and_in_the_lock(name, first_bad):
    """Measured: fastapi 0.151 answers 422 to Prefect 3.8's own calls, sqlalchemy 2.1 stops its scheduler without a word."""
    [wanted] = [line for line in PROJECT["project"]["dependencies"] if re.match(rf"{name}\b", line)]
    assert f"<{first_bad[0]}.{first_bad[1]}" in wanted
    locked = re.search(rf"^{name}(\[\w+\])?==(\d+)\.(\d+)", LOCK, re.MULTILINE)
    assert locked is not None
    assert (int(locked[2]), int(locked[3])) < first_bad


def test_every_direct_dependency_is_in_the_lock():
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    names = {re.match(r"[A-Za-z0-9._-]+", line)[0].lower() for group in groups for line in group}
    locked = {match.lower() for match in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", LOCK, re.MULTILINE)}
    assert names - locked == set()
