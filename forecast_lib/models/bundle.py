"""A model on disk: everything that its forecast depends on, in one `.npz`, named by its own SHA-256.

The file holds plain arrays and a JSON text, written byte for byte the same for the same content. It is
checked against the recorded SHA-256 before it is parsed, and parsed without pickle; the network itself is
rebuilt in code.
"""

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import math
import os
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forecast_lib.errors import ModelDamaged
from forecast_lib.models.network import Network, weight_specs
from forecast_lib.models.weights import Weights
from forecast_lib.windows.scaling import VolatilityScale
from forecast_lib.windows.series import Array

__all__ = ["Bundle", "Pool", "load_bundle", "load_pool", "save", "sha256", "to_bytes"]

_FORMAT = 5
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first instant: no clock in the bytes
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Pool:
    """Networks that learned from many tickers; every member forecasts, and the answers are averaged.

    Attributes:
        network: the shape of each.
        horizon: steps it forecasts.
        members: weights by name, as in `network.weight_specs`; one mapping a seed.
        slopes: (inputs, horizon) of the volatility scale, that all tickers share.
        trained_through: last session whose price it has seen in any form, as ISO date.
        data_sha256: of the arrays it was trained on.
        seed: the run's.
        inputs: what the volatility scale reads beside VOLATILITY_INPUTS, by name; events last.
    """

    network: Network
    horizon: int
    members: tuple[Weights, ...]
    slopes: Array
    trained_through: str
    data_sha256: str
    seed: int
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bundle:
    """One ticker's model.

    Attributes:
        network, horizon, members, slopes, trained_through, data_sha256, inputs: as in `Pool`.
        pool_sha256: of the pool whose members these are; None where they are the ticker's own.
        scale: volatility scale, fitted on its training part.
        shrinkage: (horizon,) how much of the location is used, 0 to 1.
        seed: the ticker's seed.
    """

    network: Network
    horizon: int
    members: tuple[Weights, ...]
    slopes: Array
    pool_sha256: str | None
    scale: VolatilityScale
    shrinkage: Array
    trained_through: str
    data_sha256: str
    seed: int
    inputs: tuple[str, ...] = ()


def _archive(meta: dict[str, object], arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("meta.json", _EPOCH), json.dumps(meta, sort_keys=True))
        for name in sorted(arrays):
            content = io.BytesIO()
            np.lib.format.write_array(
                content, np.ascontiguousarray(arrays[name]), version=(1, 0), allow_pickle=False
            )
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    return buffer.getvalue()


def _meta(model: Pool | Bundle) -> dict[str, object]:
    own = {name: getattr(model, name) for name in ("horizon", "trained_through", "data_sha256", "seed")}
    return {
        "format": _FORMAT,
        "network": dataclasses.asdict(model.network),
        "members": len(model.members),
        **own,
        "inputs": model.inputs,
    }


def _member_arrays(members: tuple[Weights, ...]) -> Arrays:
    return {
        f"member{place}/{name}": value
        for place, weights in enumerate(members)
        for name, value in weights.items()
    }


def to_bytes(model: Pool | Bundle) -> bytes:
    """The file's content; equal models give equal bytes. A ticker's file refers to its pool instead of
    repeating its weights.
    """
    if isinstance(model, Pool):
        return _archive(_meta(model), {**_member_arrays(model.members), "slopes": model.slopes})
    own = {} if model.pool_sha256 else _member_arrays(model.members)
    scale = {"scale": model.scale.coefficients, "usual": model.scale.usual}
    arrays = {**own, "slopes": model.slopes, **scale, "shrinkage": model.shrinkage}
    return _archive({**_meta(model), "pool_sha256": model.pool_sha256}, arrays)


def sha256(model: Pool | Bundle) -> str:
    """What its file is named by."""
    return hashlib.sha256(to_bytes(model)).hexdigest()


def save(model: Pool | Bundle, folder: Path) -> str:
    """Write `folder/SHA256.npz`, durably and all at once, and return the SHA-256. The same file already there
    is left alone.
    """
    content = to_bytes(model)
    digest = hashlib.sha256(content).hexdigest()
    path = folder / f"{digest}.npz"
    if path.exists() and path.read_bytes() == content:
        return digest
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{digest}.{os.getpid()}.tmp"
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)  # the new name too must survive a power cut: the database is about to refer to it
    finally:
        os.close(handle)
    return digest


_BEGINS = np.lib.format.magic(1, 0)


@functools.lru_cache(maxsize=256)
def _described(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether by columns, and type. Parsing takes longer than reading the array, and thousands of
    tickers have the same few headers.
    """
    return np.lib.format.read_array_header_1_0(io.BytesIO(header))


_HEADER = struct.Struct("<26x2H")
"""What stands before each name in the zip format; the lengths of the name, and of what follows it."""


def _part(content: memoryview, part: zipfile.ZipInfo) -> memoryview:
    """What `_archive` wrote of one name. It lies there as it is, and its checksum is that of the whole: to
    read it as a file of the archive takes three times as long.
    """
    if part.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{part.filename} is compressed")
    begins = part.header_offset + _HEADER.size + sum(_HEADER.unpack_from(content, part.header_offset))
    return content[begins : begins + part.file_size]


def _array(content: memoryview) -> np.ndarray:
    """What `_archive` wrote of an array; nothing in it is run."""
    begins = len(_BEGINS) + 2
    ends = begins + int.from_bytes(content[len(_BEGINS) : begins], "little")
    if content[: len(_BEGINS)] != _BEGINS:
        raise ValueError("an array that is none")
    shape, by_columns, kind = _described(bytes(content[len(_BEGINS) : ends]))
    if kind.hasobject:
        raise ValueError("an array of objects")
    values = np.frombuffer(content, kind, math.prod(shape), ends)
    return values.reshape(shape, order="F" if by_columns else "C").copy()


def _read(folder: Path, digest: str, ticker: str) -> tuple[dict[str, Any], Arrays]:
    path = folder / f"{digest}.npz"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelDamaged(
            ticker, f"model file {path.name} cannot be read: {error.strerror}", rule="model_missing"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ModelDamaged(
            ticker,
            f"model file {path.name} is damaged: its SHA-256 is {found[:12]}..., not {digest[:12]}...",
            rule="model_damaged",
        )
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {part.filename: _part(memoryview(content), part) for part in archive.infolist()}
    meta = json.loads(bytes(parts.pop("meta.json")))
    if meta["format"] != _FORMAT:
        raise ValueError(f"format {meta['format']}, expected {_FORMAT}")
    return meta, {name.removesuffix(".npy"): _array(part) for name, part in parts.items()}


def _members(network: Network, count: int, arrays: Arrays) -> tuple[Weights, ...]:
    members = tuple(
        {spec.name: arrays[f"member{place}/{spec.name}"] for spec in weight_specs(network)}
        for place in range(count)
    )
    for weights in members:
        for spec in weight_specs(network):
            if weights[spec.name].shape != spec.shape:
                raise ValueError(
                    f"weight {spec.name} has shape {weights[spec.name].shape}, expected {spec.shape}"
                )
    return members


@contextlib.contextmanager
def _understood(digest: str, ticker: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, TypeError, struct.error, zipfile.BadZipFile) as error:
        raise ModelDamaged(
            ticker, f"model file {digest}.npz is not understood: {error}", rule="model_damaged"
        ) from None


@functools.lru_cache(maxsize=8)
def load_pool(folder: Path, digest: str) -> Pool:
    """The pool with this SHA-256; a few are kept in memory, as many tickers refer to the same one.

    Raises:
        ModelDamaged: the file is missing, its SHA-256 differs, or its content is not what this version reads.
    """
    with _understood(digest, "*"):
        meta, arrays = _read(folder, digest, "*")
        network = Network(**meta["network"])
        members = _members(network, meta["members"], arrays)
        own = (meta["trained_through"], meta["data_sha256"], meta["seed"], tuple(meta["inputs"]))
        return Pool(network, meta["horizon"], members, arrays["slopes"], *own)


def load_bundle(folder: Path, digest: str, ticker: str) -> Bundle:
    """The ticker's model with this SHA-256, its pool's weights filled in.

    Raises:
        ModelDamaged: a file is missing, its SHA-256 differs, or its content is not what this version reads.
    """
    with _understood(digest, ticker):
        meta, arrays = _read(folder, digest, ticker)
        network, pool = Network(**meta["network"]), meta["pool_sha256"]
        members = load_pool(folder, pool).members if pool else _members(network, meta["members"], arrays)
        scale = VolatilityScale(arrays["scale"], arrays["usual"])
        own = (meta["trained_through"], meta["data_sha256"], meta["seed"], tuple(meta["inputs"]))
        return Bundle(
            network, meta["horizon"], members, arrays["slopes"], pool, scale, arrays["shrinkage"], *own
        )
