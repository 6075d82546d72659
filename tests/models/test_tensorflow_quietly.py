"""TensorFlow in one process with the others."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import http.server, threading
from forecast_lib.models import program
from curl_cffi import requests

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(requests.Session(impersonate="chrome").get(f"http://127.0.0.1:{server.server_port}/nothing").status_code)
"""


def test_yahoos_client_still_works_once_tensorflow_is_loaded_and_nothing_is_said(tmp_path):
    """With TensorFlow loaded first, curl_cffi 0.16 answers every request with ImpersonateError."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ended.stdout.strip() == "404", ended.stderr
    assert "cuda" not in ended.stderr
