"""TensorFlow, imported without the lines that its C++ parts print before any log level applies.

Two of them ("Could not find cuda drivers", once at import, once when devices are listed) would stand in the
middle of every run's progress. Only the process's own standard error is set aside, and only for those two
moments.
"""

import contextlib
import os
from collections.abc import Iterator

__all__ = ["tf"]


@contextlib.contextmanager
def _native_stderr_aside() -> Iterator[None]:
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


# The client that asks Yahoo must be loaded before TensorFlow: loaded after it, its calls reach TensorFlow's
# own libcurl, which cannot impersonate a browser ("Impersonating chrome is not supported").
with contextlib.suppress(ImportError):
    import curl_cffi  # noqa: F401

with _native_stderr_aside():
    import tensorflow as tf

    # TensorFlow takes thread counts only before its first operation, so here. One thread a program makes sums
    # reproducible.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)  # else each process takes the whole of its memory
        # the same bits again; on a processor one thread sees to it
        tf.config.experimental.enable_op_determinism()
