"""A model on disk is the model, byte for byte; or it is refused."""

import dataclasses
import hashlib
import io
import json
import zipfile

import numpy as np
import pytest

from forecast_lib.errors import ModelDamaged
from forecast_lib.forecast import forecast_with_model
from forecast_lib.models.bundle import load_bundle, load_pool, save, to_bytes
from tests import made_up


@pytest.fixture
def saved(tmp_path):
    digest = save(made_up.bundle(location=0.3), tmp_path)
    return tmp_path, digest


def test_file_is_named_by_its_content(saved):
    folder, digest = saved
    assert [path.name for path in folder.iterdir()] == [f"{digest}.npz"]
    assert hashlib.sha256((folder / f"{digest}.npz").read_bytes()).hexdigest() == digest


def test_loaded_model_forecasts_the_same_bits(saved):
    series = made_up.noisy(200)
    there = load_bundle(*saved, "ACME")
    first, second = (
        forecast_with_model(each, series, (190, 200)) for each in (made_up.bundle(location=0.3), there)
    )
    assert first.quantiles.tobytes() == second.quantiles.tobytes()


def test_everything_comes_back(saved):
    before, after = made_up.bundle(location=0.3), load_bundle(*saved, "ACME")
    assert to_bytes(before) == to_bytes(after)
    assert (after.network, after.horizon, after.trained_through, after.seed) == (
        before.network,
        2,
        "2024-01-02",
        0,
    )


def test_equal_content_gives_equal_bytes_whatever_the_order_of_the_weights():
    bundle = made_up.bundle()
    turned = dataclasses.replace(
        bundle, members=tuple(dict(reversed(each.items())) for each in bundle.members)
    )
    assert to_bytes(bundle) == to_bytes(turned)


@pytest.mark.parametrize(
    "change",
    [
        {"trained_through": "2024-01-03"},
        {"data_sha256": "1" * 64},
        {"seed": 1},
        {"shrinkage": np.array([1.0, 0.5])},
        {"members": made_up.bundle(location=1e-6).members},
        {"scale": made_up.bundle(daily=0.011).scale},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_difference_gives_another_name(change):
    assert to_bytes(made_up.bundle()) != to_bytes(dataclasses.replace(made_up.bundle(), **change))


@pytest.mark.parametrize("at", [0, 700, -1])
def test_one_flipped_bit_is_noticed(saved, at):
    folder, digest = saved
    content = bytearray((folder / f"{digest}.npz").read_bytes())
    content[at] ^= 1
    (folder / f"{digest}.npz").write_bytes(content)
    with pytest.raises(ModelDamaged, match=f"ACME: model file {digest}.npz is damaged: its SHA-256 is"):
        load_bundle(folder, digest, "ACME")


@pytest.mark.parametrize("length", [0, 100])
def test_truncated_file_is_noticed(saved, length):
    folder, digest = saved
    path = folder / f"{digest}.npz"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelDamaged) as caught:
        load_bundle(folder, digest, "ACME")
    assert caught.value.rule == "model_damaged"


def test_missing_file_is_named(tmp_path):
    with pytest.raises(
        ModelDamaged, match="ACME: model file 1234.npz cannot be read: No such file"
    ) as caught:
        load_bundle(tmp_path, "1234", "ACME")
    assert caught.value.rule == "model_missing"


def repacked(content: bytes, **meta) -> bytes:
    """The same archive with another description."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, json.dumps({**json.loads(text), **meta}) if name == "meta.json" else text)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not an archive", "not understood"),
        (repacked(to_bytes(made_up.bundle()), format=6), "format 6, expected 5"),
        (repacked(to_bytes(made_up.bundle()), network={"variant": "lstm"}), "not understood"),
        (
            repacked(
                to_bytes(made_up.bundle()),
                network={**dataclasses.asdict(made_up.bundle().network), "units": 5},
            ),
            r"weight rnn0/kernel has shape \(13, 16\), expected \(13, 20\)",
        ),
    ],
    ids=["no archive", "newer format", "half a network", "other shape"],
)
def test_true_name_does_not_save_what_is_no_model(tmp_path, content, reason):
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / f"{digest}.npz").write_bytes(content)
    with pytest.raises(ModelDamaged, match=reason):
        load_bundle(tmp_path, digest, "ACME")


def test_archive_with_pickled_objects_is_not_opened(tmp_path):
    packed = io.BytesIO()
    np.lib.format.write_array(packed, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    out = io.BytesIO(to_bytes(made_up.bundle()))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("extra.npy", packed.getvalue())
    digest = hashlib.sha256(out.getvalue()).hexdigest()
    (tmp_path / f"{digest}.npz").write_bytes(out.getvalue())
    with pytest.raises(ModelDamaged, match="not understood"):
        load_bundle(tmp_path, digest, "ACME")


def test_ticker_that_answers_with_its_pool_does_not_repeat_its_weights(tmp_path):
    pool = made_up.pool()
    digest = save(pool, tmp_path)
    bundle = dataclasses.replace(made_up.bundle(), members=pool.members, pool_sha256=digest)
    path = tmp_path / f"{save(bundle, tmp_path)}.npz"
    assert path.stat().st_size < (tmp_path / f"{digest}.npz").stat().st_size / 2
    there = load_bundle(tmp_path, path.stem, "ACME")
    assert to_bytes(there) == to_bytes(bundle) and there.pool_sha256 == digest
    series = made_up.noisy(200)
    first, second = (forecast_with_model(each, series, (190, 200)) for each in (bundle, there))
    assert first.quantiles.tobytes() == second.quantiles.tobytes()
    assert load_bundle(tmp_path, path.stem, "ACME").members is there.members  # read from the disk once


def test_ticker_whose_pool_is_gone_is_damaged(tmp_path):
    bundle = dataclasses.replace(made_up.bundle(), pool_sha256="5" * 64)
    with pytest.raises(ModelDamaged, match="model file 5+.npz cannot be read"):
        load_bundle(tmp_path, save(bundle, tmp_path), "ACME")


def test_pool_comes_back_byte_for_byte(tmp_path):
    assert (
        to_bytes(load_pool(tmp_path, save(made_up.pool(), tmp_path)))
        == to_bytes(made_up.pool())
        != to_bytes(made_up.pool(seed=5))
    )


def test_saving_twice_leaves_the_file_alone(saved):
    folder, digest = saved
    before = (folder / f"{digest}.npz").stat()
    assert save(made_up.bundle(location=0.3), folder) == digest
    after = (folder / f"{digest}.npz").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_saving_again_heals_a_damaged_file_of_the_same_size(saved):
    folder, digest = saved
    path = folder / f"{digest}.npz"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    assert save(made_up.bundle(location=0.3), folder) == digest
    assert load_bundle(folder, digest, "ACME").horizon == 2
