"""The kept code of a template is that of the template, or is not used."""

import sys
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from forecast_lib.report.compiled import KeptCode


def page(folder: Path, rules: str = "") -> tuple[str, int]:
    """What a new process would show of `page.html`, and how many templates it had to compile."""
    environment = Environment(loader=FileSystemLoader(folder), bytecode_cache=KeptCode([rules]))
    compiled = []
    compiles = environment.compile
    environment.compile = lambda *given, **named: compiled.append(given) or compiles(*given, **named)  # type: ignore[method-assign,func-returns-value]
    return environment.get_template("page.html").render(who="you"), len(compiled)


def kept(folder: Path) -> Path:
    (file,) = (folder / "__pycache__").iterdir()
    return file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "page.html").write_text("To {{ who }}")
    assert page(tmp_path) == ("To you", 1)
    return tmp_path


def test_a_template_is_compiled_once(folder: Path) -> None:
    assert page(folder) == ("To you", 0)


def test_a_template_that_changed_is_compiled_again(folder: Path) -> None:
    (folder / "page.html").write_text("By {{ who }}")
    assert [page(folder), page(folder)] == [("By you", 1), ("By you", 0)]


def test_the_code_of_other_rules_does_not_count(folder: Path) -> None:
    assert [page(folder, "others"), page(folder, "others")] == [("To you", 1), ("To you", 0)]


@pytest.mark.parametrize("place", [0, 40, -1])
def test_damaged_code_is_not_run(folder: Path, place: int) -> None:
    whole = bytearray(kept(folder).read_bytes())
    whole[place] ^= 1
    kept(folder).write_bytes(whole)
    assert [page(folder), page(folder)] == [("To you", 1), ("To you", 0)]


def test_code_that_was_cut_short_is_not_run(folder: Path) -> None:
    kept(folder).write_bytes(kept(folder).read_bytes()[:60])
    assert page(folder) == ("To you", 1)


def test_where_nothing_can_be_written_the_page_is_made_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("To {{ who }}")
    (tmp_path / "__pycache__").write_text("no folder")
    assert page(tmp_path) == ("To you", 1)


def test_nothing_is_kept_where_python_is_told_to_keep_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "page.html").write_text("To {{ who }}")
    assert [page(tmp_path), page(tmp_path)] == [("To you", 1)] * 2
