"""What is kept is whole, or not there."""

from pathlib import Path

from forecast_lib.keeping import keep


def test_the_newest_is_kept_in_a_folder_that_is_made(tmp_path: Path) -> None:
    path = tmp_path / "__pycache__" / "kept"
    for content in (b"once", b"again"):
        keep(content, path)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_where_it_cannot_be_kept_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    keep(b"once", tmp_path / "kept")
    assert list(tmp_path.iterdir()) == [tmp_path / "kept"]
    (tmp_path / "file").touch()
    keep(b"once", tmp_path / "file" / "kept")
    assert (tmp_path / "file").read_bytes() == b""
