"""What must hold for the whole source, checked by machine: who imports whom, who may read the clock, what is
never loaded.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from forecast_lib.config import SourceName
from forecast_lib.setting import literals

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("flows/**/*.py"), *ROOT.glob("forecast_lib/**/*.py")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {path.name: path.read_text() for path in ROOT.glob("requirements*.lock")}
LOCK, DEV_LOCK = LOCKS["requirements.lock"], LOCKS["requirements-dev.lock"]


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


@pytest.mark.parametrize("name", literals(SourceName))
def test_every_price_source_keeps_the_contract(name):
    assert "(PriceSourceContract)" in (ROOT / "tests" / "prices" / f"test_{name}.py").read_text()


def test_no_test_takes_from_another_test():
    """What two of them need is in a module of its own."""
    modules = sorted(ROOT.glob("tests/**/*.py"))
    assert found(r"^\s*(from|import) tests\.(\w+\.)*test_\w+", modules) == []


def test_stored_files_are_never_unpickled():
    """Only work on its way to a worker process and back is pickled, and what does that reads no file."""
    code = (
        r"\b(import pickle|import joblib|import cloudpickle|import"
        r" dill|load_model\(|allow_pickle=True|safe_mode=False)"
    )
    carrier = ROOT / "flows" / "running" / "shards.py"
    assert found(code, [path for path in SOURCES if path != carrier]) == []
    assert found(r"\bopen\(|pickle\.load\(|np\.load\(", [carrier]) == []


def test_below_the_settings_nobody_reads_the_clock_or_the_environment():
    library = [path for path in SOURCES if path.parts[len(ROOT.parts)] == "forecast_lib"]
    clock = r"datetime\.now\(|date\.today\(|time\.time\(|utcnow\(|Timestamp\.now\(|os\.environ|os\.getenv"
    assert found(clock, library) == []


def test_in_the_flows_only_the_settings_read_the_environment():
    others = [path for path in SOURCES if path.parts[len(ROOT.parts)] == "flows" and path.name != "layers.py"]
    assert found(r"os\.environ|os\.getenv|datetime\.now\(", others) == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_hashes_and_no_addresses(name):
    assert not re.search(r"https?://|--index|--find-links|file:", LOCKS[name])
    pins = [line for line in LOCKS[name].splitlines() if "==" in line]
    assert len(pins) > 30
    assert all(line.endswith("\\") for line in pins), "each pin is followed by its hashes"


def names_in(requirements) -> set[str]:
    return {re.match(r"[A-Za-z0-9._-]+", line)[0].lower() for line in requirements}


def locked_in(lock: str) -> set[str]:
    return {name.lower() for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", lock, re.MULTILINE)}


def test_what_only_tests_need_is_not_installed_to_run():
    extras = PROJECT["project"]["optional-dependencies"]
    assert locked_in(LOCK) & names_in(extras["dev"]) == set()


def test_the_locks_agree():
    """Whatever is installed on top of what running needs has the same versions."""
    pins = {
        name: set(re.findall(r"^[A-Za-z0-9._-]+.*==[^ ;\\]+", lock, re.MULTILINE))
        for name, lock in LOCKS.items()
    }
    assert pins["requirements.lock"] <= pins["requirements-dev.lock"]
    beyond = {
        pin
        for pin in pins["requirements-gpu.lock"] - pins["requirements.lock"]
        if not pin.startswith(("nvidia-", "tensorflow["))
    }
    assert {pin.partition("==")[0] for pin in beyond} & locked_in(LOCK) == set()


def test_one_build_of_tensorflow_is_locked_for_a_machine():
    """Both own the same files."""
    pins = dict(re.findall(r"^(tensorflow(?:-cpu)?)==[^ ]+ ; (.+?) \\", LOCK, re.MULTILINE))
    assert pins == {
        "tensorflow-cpu": "platform_machine == 'x86_64' and sys_platform == 'linux'",
        "tensorflow": "platform_machine != 'x86_64' or sys_platform != 'linux'",
    }


def test_what_breaks_prefect_is_bounded_in_the_project_and_in_the_lock():
    """Measured: with whenever 0.10 Prefect 3.9 makes no scheduled run on Python 3.11 and 3.12."""
    [wanted] = [line for line in PROJECT["project"]["dependencies"] if line.startswith("whenever")]
    assert ">=0.11" in wanted
    locked = re.search(r"^whenever==(\d+)\.(\d+)", LOCK, re.MULTILINE)
    assert locked is not None
    assert (int(locked[1]), int(locked[2])) >= (0, 11)


def test_every_direct_dependency_is_in_the_lock():
    extras = PROJECT["project"]["optional-dependencies"]
    assert names_in([*PROJECT["project"]["dependencies"], *extras["setup"]]) - locked_in(LOCK) == set()
    apart = {"pyarrow"}  # has an environment of its own in the tests: with it pandas keeps texts otherwise
    assert names_in([line for extra in extras.values() for line in extra]) - locked_in(DEV_LOCK) == apart
