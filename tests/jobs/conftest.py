"""The workspace that fills from evening to evening."""

from pathlib import Path

import pytest

from tests.jobs.evenings import Evenings


@pytest.fixture(params=["csv", "parquet"])
def evenings(request: pytest.FixtureRequest, tmp_path: Path) -> Evenings:
    """Once from a folder of CSV files, where every ticker goes its own way, and once from a Parquet file."""
    return Evenings(tmp_path, request.param)
