"""What each ticker's model has said of past sessions, kept from night to night: one file a ticker, of its
newest model.

Nothing is lost with a file: what is not remembered is asked again, and what is remembered is what the very
same model, code and processor said of the very same sessions (`models.along`). A file is whole or not used.
"""

import contextlib
import hashlib
from pathlib import Path

import numpy as np

from forecast_lib.keeping import keep
from forecast_lib.models.along import DIGEST_BYTES, Remembered

__all__ = ["recalled", "remember"]

_HEADER = np.dtype("<i8"), 3  # chunks, sessions that each answers for, numbers of each
_CHECK_BYTES = hashlib.sha256().digest_size


def recalled(folder: Path, ticker: str, model: str) -> Remembered:
    """What is remembered of a ticker; nothing where no whole file is.

    Args:
        model: id of the one that is asked tonight.
    """
    with contextlib.suppress(OSError):
        content = (folder / ticker).read_bytes()
        check, kept = content[:_CHECK_BYTES], memoryview(content)[_CHECK_BYTES:]
        if hashlib.sha256(kept).digest() == check:
            kind, numbers = _HEADER
            shape = np.frombuffer(kept, kind, numbers).tolist()
            begin = kind.itemsize * numbers
            names = [kept[begin + at * DIGEST_BYTES :][:DIGEST_BYTES].tobytes() for at in range(shape[0])]
            said = np.frombuffer(kept, "<f8", offset=begin + len(names) * DIGEST_BYTES).reshape(shape)
            return Remembered(model, dict(zip(names, said, strict=True)))
    return Remembered(model)


def remember(folder: Path, ticker: str, said: Remembered) -> None:
    """Keep what was asked tonight, where that is other than what was kept before."""
    if said.asked and said.asked.keys() != said.before.keys() and folder.is_dir():
        arrays = np.stack([*said.asked.values()])
        kept = b"".join([np.array(arrays.shape, _HEADER[0]).tobytes(), *said.asked, arrays.tobytes()])
        keep(hashlib.sha256(kept).digest() + kept, folder / ticker)
