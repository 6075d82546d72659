"""A workspace that has known a few nights; made once, copied for each test."""

import shutil
from pathlib import Path

import pytest

from tests.store.nights import store_and_publish


@pytest.fixture(scope="session")
def _two_nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("two-nights") / "workspace"
    store_and_publish(workspace, 0)
    store_and_publish(workspace, 1)
    return workspace


@pytest.fixture
def workspace(_two_nights: Path, tmp_path: Path) -> Path:
    """Nights 0 and 1 are stored and published, each with 2 tickers and 2 steps."""
    return Path(shutil.copytree(_two_nights, tmp_path / "workspace"))
