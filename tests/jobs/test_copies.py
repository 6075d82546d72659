"""The publication for readers elsewhere: whole files under their own names, or an error and what was there
before.
"""

import sys

import duckdb
import fsspec
import pytest
from fsspec.implementations.memory import MemoryFile

from forecast_lib.errors import UsageError
from forecast_lib.jobs.record.copies import LATEST, copy_publication
from forecast_lib.store.disk.files import PUBLISHED
from tests.store import nights

pytestmark = pytest.mark.slow


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
        copy_publication(workspace, str(folder) if number else folder.as_uri())
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
        copy_publication(workspace, str(folder))
    assert kind != "missing" or not folder.exists()
    assert kind != "a file" or folder.read_text() == "mine"


def test_what_was_there_stays_where_the_copy_fails(workspace, tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    copy_publication(workspace, str(folder))
    before = (folder / PUBLISHED).read_bytes()
    nights.store_and_publish(workspace, 1)

    def stops_half_way(source, target):
        target.write_bytes(source.read_bytes()[:1000])
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr("forecast_lib.store.disk.copying.copy_bytes", stops_half_way)
    with pytest.raises(OSError, match="No space left"):
        copy_publication(workspace, str(folder))
    assert (folder / PUBLISHED).read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == [LATEST, PUBLISHED]


@pytest.fixture
def store():
    memory = fsspec.filesystem("memory")
    yield memory
    memory.rm("/readers", recursive=True)


def test_a_store_has_both_files_in_full_before_either_appears(workspace, tmp_path, store, monkeypatch):
    seen = []
    commit = MemoryFile.commit

    def looked_at(file):
        seen.append(store.ls("/readers", detail=False) if store.exists("/readers") else [])
        commit(file)

    monkeypatch.setattr(MemoryFile, "commit", looked_at)
    copy_publication(workspace, "memory://readers/new-york/")
    assert seen[0] == []
    assert store.cat("/readers/new-york/published.duckdb") == (workspace / PUBLISHED).read_bytes()
    (tmp_path / LATEST).write_bytes(store.cat(f"/readers/new-york/{LATEST}"))
    assert len(duckdb.sql(f"FROM '{tmp_path / LATEST}'").fetchall()) == 4  # two tickers, two steps
    assert not list(workspace.glob("*.next-*"))


def test_a_store_keeps_what_it_had_where_the_copy_fails(workspace, store, monkeypatch):
    place = "memory://readers/new-york"
    copy_publication(workspace, place)
    before = {name: store.cat(name) for name in store.ls("/readers/new-york", detail=False)}
    nights.store_and_publish(workspace, 1)

    def stops_half_way(source, target, length):
        target.write(source.read(1000))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", stops_half_way)
    with pytest.raises(OSError, match="No space left"):
        copy_publication(workspace, place)
    assert {name: store.cat(name) for name in store.ls("/readers/new-york", detail=False)} == before and len(
        before
    ) == 2


def test_a_store_whose_client_is_not_installed_names_the_package(workspace, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as if it were not there
    with pytest.raises(
        UsageError, match="^s3:// needs a client that is not installed: Install s3fs to access S3$"
    ):
        copy_publication(workspace, "s3://bucket/new-york")
