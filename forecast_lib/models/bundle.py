"""A model on disk: everything that its forecast depends on, in one `.npz`, named by its own SHA-256.

The file holds plain arrays and a JSON text, written byte for byte the same for the same content. It is checked against the
recorded SHA-256 before it is parsed, and parsed without pickle; the network itself is rebuilt in code.
"""

import dataclasses
import hashlib
import io
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forecast_lib.errors import ModelDamaged
from forecast_lib.models.network import Network, Weights, weight_specs
from forecast_lib.windows.scaling import VolatilityScale
from forecast_lib.windows.series import Array

__all__ = ["Bundle", "load_bundle", "save_bundle", "to_bytes"]

_FORMAT = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first instant: no clock in the bytes


@dataclass(frozen=True)
class Bundle:
    """A trained model.

    Attributes:
        network: its shape.
        horizon: steps it forecasts.
        weights: by name, as in `network.weight_specs`.
        scale: volatility scale, fitted on its training part.
        shrinkage: (horizon,) how much of the location is used, 0 to 1.
        trained_through: last session whose price it has seen in any form, as ISO date.
        data_sha256: of the arrays it was trained on.
        seed: the ticker's seed.
    """

    network: Network
    horizon: int
    weights: Weights
    scale: VolatilityScale
    shrinkage: Array
    trained_through: str
    data_sha256: str
    seed: int


def to_bytes(bundle: Bundle) -> bytes:
    """The file's content; equal bundles give equal bytes."""
    meta = {
        "format": _FORMAT,
        "network": dataclasses.asdict(bundle.network),
        "horizon": bundle.horizon,
        "trained_through": bundle.trained_through,
        "data_sha256": bundle.data_sha256,
        "seed": bundle.seed,
    }
    arrays: dict[str, np.ndarray] = {f"weights/{name}": value for name, value in bundle.weights.items()}
    arrays["scale"] = bundle.scale.coefficients
    arrays["shrinkage"] = bundle.shrinkage
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("meta.json", _EPOCH), json.dumps(meta, sort_keys=True))
        for name in sorted(arrays):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(arrays[name]), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    return buffer.getvalue()


def save_bundle(bundle: Bundle, folder: Path) -> str:
    """Write `folder/SHA256.npz`, durably and all at once, and return the SHA-256. The same file already there is left alone."""
    content = to_bytes(bundle)
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


def load_bundle(folder: Path, digest: str, ticker: str) -> Bundle:
    """The bundle with this SHA-256.

    Raises:
        ModelDamaged: the file is missing, its SHA-256 differs, or its content is not what this version reads.
    """
    path = folder / f"{digest}.npz"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelDamaged(ticker, f"model file {path.name} cannot be read: {error.strerror}", rule="model_missing") from None
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ModelDamaged(
            ticker, f"model file {path.name} is damaged: its SHA-256 is {found[:12]}..., not {digest[:12]}...", rule="model_damaged"
        )
    try:
        return _parse(content)
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ModelDamaged(ticker, f"model file {path.name} is not understood: {error}", rule="model_damaged") from None


def _parse(content: bytes) -> Bundle:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        meta = json.loads(archive.read("meta.json"))
        if meta["format"] != _FORMAT:
            raise ValueError(f"format {meta['format']}, expected {_FORMAT}")
        arrays = {
            name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
            for name in archive.namelist()
            if name.endswith(".npy")
        }
    network = Network(**meta["network"])
    weights = {spec.name: arrays[f"weights/{spec.name}"] for spec in weight_specs(network)}
    for spec in weight_specs(network):
        if weights[spec.name].shape != spec.shape:
            raise ValueError(f"weight {spec.name} has shape {weights[spec.name].shape}, expected {spec.shape}")
    return Bundle(
        network,
        meta["horizon"],
        weights,
        VolatilityScale(arrays["scale"]),
        arrays["shrinkage"],
        meta["trained_through"],
        meta["data_sha256"],
        meta["seed"],
    )
