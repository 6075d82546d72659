"""Ten thousand names that are no tickers: refused by name, before anything is made; nothing appears outside
the workspace.
"""

import itertools
import random
from pathlib import Path

import pytest

from flows.cli import main
from flows.service.parameters import NightlyParameters
from flows.settings.layers import gather
from flows.settings.run_config import resolve
from forecast_lib.domain import parse_ticker
from forecast_lib.errors import UsageError

BODIES = (
    "../../etc/passwd", "..\\..\\windows", "/etc/shadow", "~/.ssh/id_rsa", "C:\\x", "\\\\host\\share",
    "file:///etc/passwd", "a/b",
    "'; DROP TABLE prices; --", "x' OR '1'='1", "A;ATTACH 'x'", "\"A\"", "$(reboot)", "`id`", "|cat", "A&B",
    "A>B", "%00", "A%2e%2e",
    "<script>alert(1)</script>", "<img src=x>", "&lt;", "{{7*7}}", "${7*7}", "=cmd|'/c calc'!A0", "@SUM(A1)",
    "+1+1", "-2+3",
    "\x00", "A\x00B", "A\nB", "A\r\nB", "A\tB", "\x1b[31m", "\x7f", "\u202eLPAA", "A\u200bB", "\ufeffAAPL",
    "АAPL", "ΑΑPL", "ＡＡＰＬ", "AAPĹ", "ıBM", "ſPY", "MSFT٣", "AAPL‐B", "🍎", "ß",
    "A" * 16, "A" * 3000, "A B", "", " ", ".A", "-A", "AAPL?x=1", "AAPL#f",
)  # fmt: skip


def hostile(count: int) -> list[str]:
    """The bodies, and bodies with others before or behind them; every one of them is no ticker, whatever
    stands around it.
    """
    random.seed(3)
    pairs = (
        random.choice(BODIES[:46]) + glue + random.choice(BODIES)
        for glue in itertools.cycle(("", "/", "'", "\x01"))
    )
    return list(itertools.islice(itertools.chain(BODIES, pairs), count))


NAMES = hostile(10_000)


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_each_of_ten_thousand_names_is_refused_on_its_own() -> None:
    passed, messages = [], []
    for name in NAMES:
        try:
            passed.append((name, parse_ticker(name)))
        except UsageError as error:
            messages.append(str(error))
    assert passed == []
    assert all(message.isascii() and message.isprintable() and len(message) < 300 for message in messages)


def test_good_names_among_them_do_not_help() -> None:
    with pytest.raises(
        UsageError,
        match=r"10000 of 10002 tickers are no ticker names: '\.\./\.\./etc/passwd', .* and 9990 more",
    ):
        resolve(gather({}, environ={}), default_tickers=lambda source, as_of: ["AAPL", *NAMES, "msft"])


def test_a_file_of_them_ends_the_command_in_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").mkdir()
    universe = tmp_path / "home" / "universe.txt"
    lines = [
        name for name in NAMES if name.isprintable() and name.strip() and "#" not in name and len(name) < 100
    ]
    universe.write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "home")
    before = tree(tmp_path)
    for command in ("nightly", "ingest"):
        assert main([command, "--universe", str(universe), "--workspace", str(tmp_path / "workspace")]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert f"{len(lines)} of {len(lines)} tickers are no ticker names" in err
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", BODIES)
def test_no_command_takes_one_of_them_for_a_ticker(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "workspace").mkdir()
    before = tree(tmp_path)
    for words in (["quarantine", "list", name], ["gaps", "close", name, "2024-06-12"]):
        assert main([*words, "--note", "x", "--workspace", str(tmp_path / "workspace")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert tree(tmp_path) - before <= {tmp_path / "workspace" / ".lock"}


def test_a_server_is_refused_them_too() -> None:
    with pytest.raises(ValueError, match="is not a ticker name"):
        NightlyParameters(tickers=NAMES[:4000])
