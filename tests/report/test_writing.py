"""How pages get to their place: whole or not at all."""

import itertools
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecast_lib.errors import UsageError
from forecast_lib.report import PagesBeside, show_latest, write_report

PAGES = (("AAA.html", "<p>a</p>"), ("index.html", '<a href="./AAA.html">A – ü</a>'))


def test_the_pages_of_a_run_lie_in_its_folder(tmp_path: Path) -> None:
    page = write_report(tmp_path, "run-1", PAGES)
    assert page == tmp_path / "reports" / "run-1" / "index.html"
    assert page.read_text(encoding="utf-8") == PAGES[1][1]
    assert {path.name: path.stat().st_mode & 0o777 for path in page.parent.iterdir()} == {
        "AAA.html": 0o644,
        "index.html": 0o644,
    }
    assert not (tmp_path / "reports" / "latest.html").exists()


def test_the_latest_report_is_a_copy_whose_links_lead_to_the_run_s_pages(tmp_path: Path) -> None:
    latest = show_latest(write_report(tmp_path, "run-1", PAGES))
    assert latest == tmp_path / "reports" / "latest.html"
    assert latest.read_text(encoding="utf-8") == '<a href="./run-1/AAA.html">A – ü</a>'
    assert not latest.is_symlink() and latest.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in latest.parent.iterdir()) == ["latest.html", "run-1"]


def test_the_pages_of_a_run_that_comes_again_replace_the_old_ones(tmp_path: Path) -> None:
    write_report(tmp_path, "run-1", PAGES)
    page = write_report(tmp_path, "run-1", [("index.html", "new")])
    assert {path.name: path.read_text() for path in page.parent.iterdir()} == {"index.html": "new"}
    assert [path.name for path in page.parent.parent.iterdir()] == ["run-1"]


def test_a_refused_write_leaves_the_old_pages_and_no_scraps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_latest(write_report(tmp_path, "run-1", [("index.html", "old")]))

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    for write in (
        lambda: write_report(tmp_path, "run-1", PAGES),
        lambda: show_latest(tmp_path / "reports/run-1/index.html"),
    ):
        with pytest.raises(OSError, match="No space left"):
            write()
    files = [path for path in (tmp_path / "reports").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["index.html", "latest.html"]
    assert {path.read_text() for path in files} == {"old"}


def test_pages_that_are_not_shown_are_thrown_away_however_many_are_still_to_come(tmp_path: Path) -> None:
    first = threading.Event()

    def without_end() -> Iterator[tuple[str, str]]:
        for number in itertools.count():
            yield f"{number}.html", "<p></p>"
            first.set()

    with PagesBeside(tmp_path, "run-1") as pages:
        pages.begin(without_end())
        assert first.wait(60)
    assert list((tmp_path / "reports").iterdir()) == []


def test_what_goes_wrong_with_a_page_is_said_when_the_pages_are_to_be_shown(tmp_path: Path) -> None:
    usual = sys.getswitchinterval()
    with PagesBeside(tmp_path, "run-1") as pages:
        pages.begin((name, str(1 // (name == "AAA.html"))) for name, _ in PAGES)
        with pytest.raises(ZeroDivisionError):
            pages.show()
    assert list((tmp_path / "reports").iterdir()) == []
    assert sys.getswitchinterval() == usual


@pytest.mark.parametrize("run_id", ["", "..", "../up", "a/b", ".hidden", "a\n", "x" * 129])
def test_a_run_id_that_is_no_folder_name_is_refused(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(UsageError, match="cannot name a folder"):
        write_report(tmp_path, run_id, PAGES)
    assert list(tmp_path.iterdir()) == []


def test_a_lone_surrogate_does_not_cost_the_page(tmp_path: Path) -> None:
    assert write_report(tmp_path, "run-1", [("index.html", "a\ud800b")]).read_bytes() == b"a?b"
