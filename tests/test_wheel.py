"""What is installed from a built wheel runs anywhere: no file of the repository is needed beside it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True
    )
    [built] = folder.glob("tickercast-*.whl")
    return built


def test_the_wheel_holds_what_a_run_reads(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = [
        path
        for path in (ROOT / "forecast_lib").rglob("*")
        if path.suffix in (".py", ".sql", ".html", ".css", ".js", ".typed")
    ]
    wanted += [*(ROOT / "flows").rglob("*.py"), *(ROOT / "deployments" / "profiles").glob("*.toml")]
    missing = {path.relative_to(ROOT).as_posix() for path in wanted} - names
    assert missing == set()
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_it_runs_outside_the_repository(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)

    def python(code: str) -> subprocess.CompletedProcess:
        environ = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run(
            [sys.executable, "-P", "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True
        )

    ran = python("import flows, forecast_lib; print(flows.__file__, forecast_lib.__file__)")
    assert ran.stdout.split() == [str(site / name / "__init__.py") for name in ("flows", "forecast_lib")]
    ran = python(
        "import forecast_lib; print(all(getattr(forecast_lib, name) for name in forecast_lib.__all__))"
    )
    assert ran.stdout.split() == ["True"], ran.stderr
    ran = python("from flows.settings.files import profile_names; print(*profile_names({}))")
    assert "demo" in ran.stdout.split()
    code = "import datetime as dt, pathlib; from forecast_lib.store.working import database"
    ran = python(
        f"{code}\nwith database.open_working(pathlib.Path('w'), dt.datetime.now(dt.UTC)) as con:"
        " print(con.sql('SHOW TABLES').fetchall())"
    )
    assert "latest_forecasts" in ran.stdout, ran.stderr
    assert python("from flows.cli import main; main(['nightly', '--help'])").returncode == 0
