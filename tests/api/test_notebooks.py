"""The notebooks show what their code gives, and their pictures are in place."""

import re
from pathlib import Path

import nbformat
import pytest

from forecast_lib import backtest_long, train_long
from tests import made_up
from tests.api.made_up_frames import gaussian
from tests.api.notebooks import PATHS, ROOT, executed, with_workspace

pytestmark = pytest.mark.slow

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_workspace(tmp_path_factory.mktemp("notebooks"))


def shown(notebook: nbformat.NotebookNode) -> list[tuple[str, list[str]]]:
    """Of each output its text, and the kinds in which it is there."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [
        (each["data"]["text/plain"] if "data" in each else each["text"], sorted(each.get("data", {})))
        for each in outputs
    ]


def test_there_are_two_of_them() -> None:
    assert [path.stem for path in PATHS] == ["read_last_night", "try_a_model"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_its_code_gives(path: Path, folder: Path) -> None:
    """Figures to two in a hundred: networks are trained by another machine's arithmetic."""
    kept, made = shown(nbformat.read(path, as_version=4)), shown(executed(path, folder))
    assert [(NUMBER.sub("#", text).split(), kinds) for text, kinds in kept] == [
        (NUMBER.sub("#", text).split(), kinds) for text, kinds in made
    ]
    for (old, _), (new, _) in zip(kept, made, strict=True):
        assert [float(number) for number in NUMBER.findall(new)] == pytest.approx(
            [float(number) for number in NUMBER.findall(old)], rel=0.02, abs=0.02
        )
    assert any("image/png" in kinds for _, kinds in kept)


def test_the_python_of_the_readme_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, with a smaller network than the default one."""
    import matplotlib as mpl

    mpl.use("agg")
    for function in (train_long, backtest_long):
        monkeypatch.setitem(function.__kwdefaults__, "model", made_up.MODEL)
        monkeypatch.setitem(function.__kwdefaults__, "training", made_up.TRAIN)
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, {"mine": gaussian(0.01)})


def test_a_user_s_error_is_one_line_in_a_notebook() -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    with capture_output() as captured:
        InteractiveShell().run_cell("from forecast_lib import Workspace; Workspace('nowhere')")
    assert captured.stdout.splitlines()[-1].startswith("UsageError: nothing is published in nowhere")
    assert "Traceback" not in captured.stdout + captured.stderr
