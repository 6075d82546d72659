"""A signal that comes while DuckDB is loaded, a tenth of a second of each command."""

import subprocess
import sys

SCRIPT = """
import os, signal, sys

class Signalling:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "duckdb":
            os.kill(os.getpid(), signal.SIGTERM)

def end(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, end)
sys.meta_path.insert(0, Signalling)
try:
    import forecast_lib.store
except KeyboardInterrupt:
    print(hasattr(sys.modules.get("duckdb"), "connect"), signal.getsignal(signal.SIGTERM) is end)
"""


def test_it_is_loaded_whole_and_the_signal_comes_after() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("True True\n", "")
