"""The notebooks, run beside a workspace as they say it; `python -m tests.api.notebooks` renews them."""

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.api import evenings

__all__ = ["PATHS", "executed", "with_workspace"]

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "forecast_lib" / "notebooks").glob("*.ipynb"))


def with_workspace(folder: Path) -> Path:
    """The folder, with the workspace that the notebooks read: six evenings of three tickers."""
    evenings.make(folder / "workspace", 6, tickers=3)
    return folder


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs that its code gives in this folder."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    own = {
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
    }
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources=resources, record_timing=False
    )
    client.execute(env={**os.environ, **own})
    return notebook


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        where = with_workspace(Path(made))
        for each in PATHS:
            nbformat.write(executed(each, where), each)
