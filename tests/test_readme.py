"""The pages for people are true: every command on them runs, every command and setting is on one."""

import re
import shlex
from pathlib import Path

import pytest

from flows.options import COMMANDS, OPTIONS
from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.errors import TooFewSessions
from forecast_lib.jobs.forecast import FEWEST_SESSIONS
from forecast_lib.models.training import split_cutoffs

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT): path.read_text(encoding="utf-8")
    for path in sorted(
        [*ROOT.glob("*.md"), *(p for room in ("flows", "forecast_lib", "deployments", "tests") for p in (ROOT / room).rglob("*.md"))]
    )
}
README, COMMANDS_PAGE = PAGES[Path("README.md")], PAGES[Path("flows/README.md")]
SHELL = [
    line
    for page in (README, *(text for path, text in PAGES.items() if path != Path("README.md")))
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
QUICK = {"TICKERCAST_UNITS": "4", "TICKERCAST_LOOKBACK": "10", "TICKERCAST_EPOCHS": "1"}
"""A smaller network than the default one: what is tested is that the commands run as they are written."""


def settings_table() -> str:
    rows = ["| option | setting | default | meaning |", "|---|---|---|---|"]
    for option in OPTIONS.values():
        choices = f" One of {', '.join(option.choices)}." if option.choices else ""
        rows.append(f"| `{option.flag}` | `{option.variable}` | {option.default or ''} | {option.help}{choices} |")
    return "\n".join(rows)


def test_every_setting_is_on_its_page_with_its_default():
    between = COMMANDS_PAGE.partition("<!-- settings -->\n")[2].partition("<!-- end of settings -->")[0]
    assert between.strip() == settings_table()


def test_every_command_is_on_a_page():
    missing = [name for name in COMMANDS if not any(f"tickercast {name}" in page for page in PAGES.values())]
    assert missing == []


def test_the_pip_lines_are_those_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin").replace("$(VENV)", ".venv")
    makefile = makefile.replace("$(PYTHON)", "python3").replace(" --quiet --disable-pip-version-check", "")
    for line in SHELL:
        if not line.startswith(("tickercast", "make", ". ")):
            assert line in makefile


@pytest.mark.timeout(1200)
def test_every_tickercast_command_of_the_readme_runs(tickercast, tmp_path):
    """In the order of the page, in one folder; `serve` never ends by itself and has its own test."""
    lines = [shlex.split(line)[1:] for line in SHELL if line.startswith("tickercast ") and line != "tickercast serve"]
    assert len(lines) >= 12
    for words in lines:
        ended = tickercast(*words, "--workspace", str(tmp_path / "workspace"), **QUICK)
        # The nights of the page are of 2024: by today their data are stale, and status says so.
        assert ended.code in ((1,) if words[0] == "status" else (0, 10)), (words, ended.out, ended.err)
        assert "Traceback" not in ended.err
        assert ended.out.strip(), words


def test_the_fewest_sessions_are_as_the_readme_says():
    said = re.search(r"needs (\d+) sessions of history to be trained,\s+(\d+) to have a forecast", README)
    assert said is not None
    fewest = int(said[1])
    assert split_cutoffs(fewest, ModelConfig(), TrainConfig(), "ACME").training[1] > 0
    with pytest.raises(TooFewSessions):
        split_cutoffs(fewest - 1, ModelConfig(), TrainConfig(), "ACME")
    assert int(said[2]) == FEWEST_SESSIONS


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_each_file_that_a_page_links_is_there(page):
    for target in re.findall(r"\]\((?!#|https?:)([^)#]+)[^)]*\)", PAGES[page]):
        assert (ROOT / page.parent / target).exists(), target
