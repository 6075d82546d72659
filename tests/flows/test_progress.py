"""Progress is a bar on a terminal and plain lines in a log, and never floods the log."""

import io
import threading

import pytest

from flows.running.progress import Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_for_each_thing_done_and_one_at_the_end():
    stream = io.StringIO()
    with Progress(stream).stage("train", total=2) as stage:
        stage.advance("AAPL")
        stage.advance("MSFT")
    *lines, last = stream.getvalue().splitlines()
    assert lines == ["train 1/2 AAPL", "train 2/2 MSFT"]
    assert last.startswith("train done: 2 of 2 in ") and last.endswith(" s")


def test_five_hundred_tickers_make_some_twenty_lines_and_the_last_is_among_them():
    stream = io.StringIO()
    with Progress(stream).stage("ingest", total=500) as stage:
        for number in range(500):
            stage.advance(f"T{number}")
    lines = stream.getvalue().splitlines()
    assert 20 <= len(lines) <= 23
    assert lines[0] == "ingest 1/500 T0" and lines[-2] == "ingest 500/500 T499"


def test_threads_may_advance_together():
    stream = io.StringIO()
    with Progress(stream).stage("train", total=400) as stage:
        threads = [threading.Thread(target=lambda: [stage.advance() for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "train done: 400 of 400" in stream.getvalue()


def test_a_terminal_gets_a_bar():
    stream = _Terminal()
    with Progress(stream).stage("train", total=2) as stage:
        stage.advance("AAPL")
        stage.advance("MSFT")
    assert (
        "2/2" in stream.getvalue() and "MSFT" in stream.getvalue() and "train done" not in stream.getvalue()
    )


def test_a_stage_that_fails_passes_its_error_on():
    with pytest.raises(ZeroDivisionError), Progress(io.StringIO()).stage("train", total=1):
        _ = 1 // 0
