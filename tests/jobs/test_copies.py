"""The publication for readers elsewhere: whole files under their own names, or an error and what was there
before.
"""

import duckdb
import pytest

from forecast_lib.jobs.record.copies import LATEST, copy_publication
from forecast_lib.store.disk.files import PUBLISHED
from tests.store import nights


@pytest.fixture
def workspace(tmp_path):
    nights.store_and_publish(tmp_path / "w", 0)
    return tmp_path / "w"


def test_readers_elsewhere_have_the_publication_and_the_latest_forecasts(workspace, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for number in range(2):
        if number:
            nights.store_and_publish(workspace, number)
        copy_publication(workspace, folder)
        assert (folder / PUBLISHED).read_bytes() == (workspace / PUBLISHED).read_bytes()
        with duckdb.connect(str(folder / PUBLISHED), read_only=True) as con:
            latest = con.execute("SELECT * FROM latest_forecasts ORDER BY ticker, step").fetchall()
        assert duckdb.sql(f"FROM '{folder / LATEST}'").fetchall() == latest and latest
    assert sorted(path.name for path in folder.iterdir()) == [LATEST, PUBLISHED]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}


@pytest.mark.parametrize("kind", ["missing", "a file", "read-only"])
def test_a_folder_that_cannot_be_written_is_an_error_and_is_not_made(kind, workspace, tmp_path):
    folder = tmp_path / "elsewhere"
    if kind == "a file":
        folder.write_text("mine")
    elif kind == "read-only":
        folder.symlink_to("/proc")  # cannot be written by root either
    with pytest.raises(OSError, match="elsewhere"):
        copy_publication(workspace, folder)
    assert kind != "missing" or not folder.exists()
    assert kind != "a file" or folder.read_text() == "mine"


def test_what_was_there_stays_where_the_copy_fails(workspace, tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    copy_publication(workspace, folder)
    before = (folder / PUBLISHED).read_bytes()
    nights.store_and_publish(workspace, 1)

    def stops_half_way(source, target):
        target.write_bytes(source.read_bytes()[:1000])
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr("shutil.copyfile", stops_half_way)
    with pytest.raises(OSError, match="No space left"):
        copy_publication(workspace, folder)
    assert (folder / PUBLISHED).read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == [LATEST, PUBLISHED]
