"""The pages for people are true: every command on them runs, every command and setting is on one."""

import datetime as dt
import importlib.util
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flows.commands.doctor import Patient, check_lock, check_tensorflow
from flows.settings.commands import COMMANDS
from flows.settings.layers import gather
from flows.settings.options import OPTIONS
from forecast_lib.api.forecasting import forecast_long
from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.errors import TooFewSessions
from forecast_lib.jobs.forecast.tickers import FEWEST_SESSIONS
from forecast_lib.models.baselines import BASELINES
from forecast_lib.models.training import split_cutoffs
from forecast_lib.prices.rules import RULES
from forecast_lib.report.glossary import GLOSSARY

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT): path.read_text(encoding="utf-8")
    for path in sorted(
        [
            *ROOT.glob("*.md"),
            *(
                p
                for room in ("flows", "forecast_lib", "deployments", "tests")
                for p in (ROOT / room).rglob("*.md")
            ),
        ]
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
QUICK = {
    "TICKERCAST_UNITS": "4",
    "TICKERCAST_LOOKBACK": "10",
    "TICKERCAST_EPOCHS": "1",
    "TICKERCAST_TEST_SHARE": "0.02",
}
"""A smaller network and a shorter backtest than usual: what is tested is that the commands run as written."""


SETTINGS, RULES_PAGE = Path("flows/README.md"), Path("forecast_lib/prices/README.md")


def settings_table() -> str:
    rows = ["| option | setting | default | meaning |", "|---|---|---|---|"]
    for option in OPTIONS.values():
        some = "One or more" if option.kind == "choices" else "One"
        told = option.said.help + (f" {some} of {', '.join(option.choices)}." if option.choices else "")
        told += " Separated by commas." if option.kind in ("choices", "names") else ""
        rows.append(f"| `{option.flag}` | `{option.variable}` | {option.default or ''} | {told} |")
    return "\n".join(rows)


def rules_table() -> str:
    rows = ["| rule | what breaks it | what happens | may also be |", "|---|---|---|---|"]
    for rule in RULES.values():
        others = ", ".join(f"`{choice}`" for choice in rule.choices if choice != rule.severity)
        rows.append(f"| `{rule.name}` | {rule.meaning} | `{rule.severity}` | {others} |")
    return "\n".join(rows)


def with_tables(page: Path) -> str:
    """The page with its tables as the code has them."""
    name, table = {SETTINGS: ("settings", settings_table), RULES_PAGE: ("rules", rules_table)}[page]
    before, _, rest = PAGES[page].partition(f"<!-- {name} -->\n")
    after = rest.partition(f"<!-- end of {name} -->")[2]
    return f"{before}<!-- {name} -->\n{table()}\n<!-- end of {name} -->{after}"


@pytest.mark.parametrize("page", [SETTINGS, RULES_PAGE], ids=str)
def test_what_is_generated_on_a_page_is_as_the_code_has_it(page):
    assert PAGES[page] == with_tables(page), "renew it: python -m tests.test_readme"


def test_every_command_is_on_a_page():
    missing = [name for name in COMMANDS if not any(f"tickercast {name}" in page for page in PAGES.values())]
    assert missing == []


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_is_named_where_people_look_for_it(name):
    texts = (PAGES[Path("forecast_lib/README.md")], forecast_long.__doc__ or "", GLOSSARY["baseline"].text)
    assert [bool(re.search(rf"\b{name}\b", text, re.IGNORECASE)) for text in texts] == [True] * 3


PIP = [line for line in SHELL if " -m pip " in line]


def test_the_pip_lines_are_those_of_the_makefile():
    shown = subprocess.run(
        ["make", "--dry-run", "--always-make", "setup"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    shown = shown.replace(" --quiet --disable-pip-version-check", "")
    assert len(PIP) == 2
    for line in [line for line in SHELL if line.startswith((".venv", "python3"))]:
        assert line in shown


@pytest.mark.slow
def test_pip_takes_the_lock_as_the_page_has_it():
    """What is installed already is not fetched again: pip reads the lock, and finds each of its versions
    here.
    """
    patient = Patient(gather({}, environ={}), dt.datetime.now(dt.UTC))
    findings = [check_lock(patient), check_tensorflow(patient)]
    small = sys.platform != "linux" or platform.machine() != "x86_64" or "without GPU" in findings[1].detail
    if (
        not small
        or any(finding.level != "OK" for finding in findings)
        or importlib.util.find_spec("pip") is None
    ):
        pytest.skip(
            f"this environment was not made from the lock: {[finding.detail for finding in findings]}; run"
            " `make setup`"
        )
    words = shlex.split(PIP[0])[1:]
    ran = subprocess.run(
        [sys.executable, *words, "--dry-run", "--no-index"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Would install" not in ran.stdout


def test_every_tickercast_command_of_the_readme_runs(tickercast, tmp_path):
    """In the order of the page, in one folder; `serve` never ends by itself and has its own test."""
    lines = [
        shlex.split(line)[1:]
        for line in SHELL
        if line.startswith("tickercast ") and line != "tickercast serve"
    ]
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


if __name__ == "__main__":
    for page in (SETTINGS, RULES_PAGE):
        (ROOT / page).write_text(with_tables(page), encoding="utf-8")
