"""What is loaded ahead of a run is what the run would load, and nothing else changes."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

LATER = """
import sys
from pathlib import Path
from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.jobs.ahead import load_ahead
from forecast_lib.schedules import kept
from tests import plain_runs

asked = {"workspace": sys.argv[1], "tickers": "SIM1,SIM2", "as_of": "2024-05-02", "strategy": "forecast",
         "units": "4", "layers": "2", "lookback": "10", "test_share": "0.02"}
kept._read = lambda path: None  # no schedule is kept yet
config = resolve(gather(asked, environ={}))
if sys.argv[2] == "ahead":
    load_ahead(config)
before = set(sys.modules)
plain_runs.night(config)
late = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(late & {"numba", "pandera", "scipy", "exchange_calendars"}))
"""


@pytest.mark.parametrize(
    ("ahead", "late"), [("ahead", "[]"), ("not", "['exchange_calendars', 'numba', 'pandera', 'scipy']")]
)
def test_a_run_finds_loaded_what_it_needs(tmp_path: Path, ahead: str, late: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LATER, str(tmp_path / "w"), ahead], capture_output=True, text=True
    )
    assert ran.stdout.strip() == late, ran.stderr
