"""Reports on loopback: pages and nothing else, to this machine and nobody else."""

import http.client
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flows.commands import Request, serving
from flows.service.served_reports import report_link, serving_reports
from flows.settings.layers import gather
from forecast_lib.errors import FatalError
from forecast_lib.report import show_latest, write_report


def get(
    address: str, path: str, host: str | None = None, method: str = "GET"
) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    connection.request(method, path, headers={"Host": host} if host else {})
    reply = connection.getresponse()
    return reply.status, reply.read().decode(), dict(reply.getheaders())


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    (tmp_path / "published.duckdb").write_text("secret")
    pages = [("index.html", "the run"), ("_5EGSPC.html", "an index")]
    return show_latest(write_report(tmp_path, "run-1", pages)).parent


def test_the_root_leads_to_the_newest_report_and_pages_are_served(reports: Path) -> None:
    with serving_reports({"": reports}, 0) as address:
        status, _, headers = get(address, "/")
        assert (status, headers["Location"]) == (302, "/latest.html")
        assert get(address, "/latest.html")[:2] == (200, "the run")
        assert get(address, "/run-1/_5EGSPC.html?x=1")[:2] == (200, "an index")
        assert get(address, "/run-1/index.html", method="HEAD")[:2] == (200, "")
        assert get(address, "/run-1/index.html")[2]["X-Content-Type-Options"] == "nosniff"


def test_several_markets_have_names_and_a_list(reports: Path, tmp_path: Path) -> None:
    with serving_reports({"london": reports, "tokyo": tmp_path / "missing"}, 0) as address:
        assert get(address, "/london/run-1/index.html")[:2] == (200, "the run")
        assert get(address, "/tokyo/latest.html")[0] == 404
        page = get(address, "/")[1]
        assert "/london/latest.html" in page and "tokyo" not in page


@pytest.mark.parametrize(
    "path",
    [
        "/../published.duckdb",
        "/%2e%2e/published.duckdb",
        "/run-1/../../published.duckdb",
        "/run-1/..%2f..%2fpublished.duckdb",
        "//etc/passwd",
        "/run-1",
        "/run-1/",
        "/run-1/index.html/x",
        "/run-1/.index.html",
        "/run-1/other.html",
        "/run-1/index.html%00",
    ],
)
def test_whatever_is_no_page_of_a_report_is_not_found(reports: Path, path: str) -> None:
    with serving_reports({"": reports}, 0) as address:
        status, body, _ = get(address, path)
    assert status == 404 and "secret" not in body


def test_a_link_out_of_the_folder_is_not_followed(reports: Path) -> None:
    (reports / "run-1" / "way-out.html").symlink_to(reports.parent / "published.duckdb")
    with serving_reports({"": reports}, 0) as address:
        assert get(address, "/run-1/way-out.html")[0] == 404


def test_a_foreign_name_that_points_here_gets_nothing(reports: Path) -> None:
    with serving_reports({"": reports}, 0) as address:
        assert get(address, "/latest.html", host="evil.example:80")[0] == 403
        assert get(address, "/latest.html", host="localhost:1")[0] == 200
        assert get(address, "/latest.html", host="127.0.0.1")[0] == 200  # as browsers name port 80
        assert get(address, "/latest.html", host="evil.example")[0] == 403
        assert get(address, "/latest.html", method="POST")[0] == 501


def test_a_port_that_is_taken_is_said_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(
                FatalError, match=r"port \d+ for the reports cannot be used: .*; give --reports-port N"
            ),
            serving_reports({}, taken.getsockname()[1]),
        ):
            pass


def test_report_serve_needs_no_prefect_and_ends_well_when_it_is_stopped(reports: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "flows.cli",
        "report",
        "--serve",
        "--reports-port",
        "0",
        "--workspace",
        str(reports.parent),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        assert get(address.rstrip("/"), "/latest.html")[:2] == (200, "the run")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_a_run_s_link_leads_where_the_report_is_served_or_to_the_file(tmp_path: Path) -> None:
    page = str(tmp_path / "reports" / "run-1" / "index.html")
    assert report_link(page, "http://127.0.0.1:4201", None) == "http://127.0.0.1:4201/run-1/index.html"
    assert report_link(page, None, "london") == Path(page).as_uri()
    assert report_link(None, "http://127.0.0.1:4201", None) is None


def test_serve_finds_the_reports_of_every_market_and_makes_their_address_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TICKERCAST_REPORTS_URL", raising=False)
    monkeypatch.setenv("TICKERCAST_REPORTS_URL", "")  # put back afterwards
    monkeypatch.delenv("TICKERCAST_REPORTS_URL")
    show_latest(write_report(tmp_path / "w", "run-1", [("index.html", "the run")]))
    overrides = {"workspace": str(tmp_path / "w"), "reports_port": "0"}
    request = Request("serve", gather(overrides), overrides)
    with serving._reports(request) as address:
        assert address is not None and gather({})["reports_url"] == address
        assert get(address, "/london/run-1/index.html")[:2] == (200, "the run")
        # The command line's workspace holds for every market.
        assert get(address, "/tokyo/latest.html")[0] == 200
        taken = {**overrides, "reports_port": address.rpartition(":")[2]}
        with serving._reports(Request("serve", gather(taken), taken)) as second:
            assert second is None
    assert "for the reports cannot be used" in capsys.readouterr().err
