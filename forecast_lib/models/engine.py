"""Training: start weights and batches go in, the best epoch's weights come out, the same bits for the same
arguments.

Two programs do the arithmetic, each a whole epoch in one call, each several tickers side by side in threads:

- `kernel`, compiled code for LSTM networks on a processor: about four times as fast as
- `program`, TensorFlow's: every variant, dropout, GPUs.

Which one trains is decided by the network and the machine alone (`path_of`) and recorded in the `Fit`.
Neither is imported before it is needed.
"""

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from forecast_lib.errors import TrainingDiverged
from forecast_lib.models.network import Network
from forecast_lib.models.weights import Weights
from forecast_lib.windows.sequences import Batches, Framing

__all__ = ["Fit", "Loss", "Schedule", "TrainingPath", "fit", "path_of"]

Loss = Literal["student_t", "mse"]
TrainingPath = Literal["kernel", "tensorflow-cpu", "tensorflow-gpu"]


@dataclass(frozen=True)
class Schedule:
    """How long to train, and how fast.

    Attributes:
        epochs: at most so many.
        patience: epochs without a better validation loss before stopping; None trains all epochs and keeps
            the last weights.
        clip_norm: largest global norm of the gradient; None does not clip.
        final_learning_rate: where given, the rate falls to it along half a cosine, epoch by epoch (Loshchilov
            and Hutter 2017).
    """

    epochs: int
    learning_rate: float
    patience: int | None = None
    clip_norm: float | None = None
    final_learning_rate: float | None = None

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch (0, 1, ...).

        >>> [round(Schedule(4, 0.1, final_learning_rate=0.0).rate(epoch), 4) for epoch in range(4)]
        [0.1, 0.0854, 0.05, 0.0146]
        """
        if self.final_learning_rate is None:
            return self.learning_rate
        share = (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        return self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * share


@dataclass(frozen=True)
class Fit:
    """A trained network. Losses have one entry an epoch; `validation_loss[0]` is the untrained network's;
    `gpu` is the device's name.
    """

    weights: Weights
    best_epoch: int
    epochs: int
    training_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    seconds: float
    path: TrainingPath
    gpu: str = ""

    @property
    def trained_by(self) -> str:
        """What did the arithmetic, in words."""
        return " ".join(filter(None, (_IN_WORDS[self.path], self.gpu)))


_IN_WORDS: dict[TrainingPath, str] = {
    "kernel": "Numba CPU",
    "tensorflow-cpu": "TensorFlow CPU",
    "tensorflow-gpu": "TensorFlow GPU",
}


class _Trainer(Protocol):
    def epoch(self, rate: float, batches: Batches) -> float: ...
    def evaluate(self, batches: Batches) -> float: ...
    def weights(self) -> Weights: ...


def path_of(network: Network) -> TrainingPath:
    """Which program trains this network on this machine: a GPU where TensorFlow sees one, else the kernel
    where it can.
    """
    if _sees_gpu():
        return "tensorflow-gpu"
    return "kernel" if _kernel_runs(network) else "tensorflow-cpu"


@functools.cache
def _sees_gpu() -> bool:
    # The devices of NVIDIA's driver, AMD's, and Windows's for Linux: without one of them TensorFlow need not
    # be imported to know.
    if not any(path for pattern in ("nvidia[0-9]*", "kfd", "dxg") for path in Path("/dev").glob(pattern)):
        return False
    from forecast_lib.models.tensorflow_quietly import tf

    return bool(tf.config.list_physical_devices("GPU"))


def _gpu_name() -> str:
    from forecast_lib.models.tensorflow_quietly import tf

    device = tf.config.list_physical_devices("GPU")[0]
    return str(tf.config.experimental.get_device_details(device).get("device_name", device.name))


def _kernel_runs(network: Network) -> bool:
    try:
        from forecast_lib.models import kernel
    except (
        ImportError
    ):  # Numba and LLVM are not made for every machine, nor for the newest Python and NumPy at once
        return False
    return kernel.supports(network)


def _trainer(
    network: Network, framing: Framing, start: Weights, loss: Loss, clip_norm: float | None, seed: int
) -> _Trainer:
    if path_of(network) == "kernel":
        from forecast_lib.models.kernel import Kernel

        return Kernel(network, framing, start, loss=loss, clip_norm=clip_norm)
    from forecast_lib.models.program import Trainer  # TensorFlow takes seconds to import

    return Trainer(network, framing, start, loss=loss, clip_norm=clip_norm, seed=seed)


def fit(
    network: Network,
    framing: Framing,
    start: Weights,
    training: Callable[[int], Batches],
    validation: Batches | None,
    schedule: Schedule,
    *,
    loss: Loss,
    seed: int,
    ticker: str,
    goes_on: Callable[[Weights], bool] = lambda _: True,
) -> Fit:
    """Train from the weights `start`; the same arguments give the same bits.

    Args:
        training: batches of an epoch (0, 1, ...); always of one shape.
        validation: one step of batches on which the best epoch is chosen; None with `patience=None` only.
        seed: of the dropout.
        ticker: named in errors.
        goes_on: asked with the first epoch's weights whether to train on; where it says no, they are the
            result, and no epoch is chosen.

    Raises:
        TrainingDiverged: the loss or a weight became NaN or infinite.
    """
    began = time.perf_counter()
    beginner = functools.partial(_trainer, network, framing, start, loss, schedule.clip_norm, seed)
    trainer = beginner()
    training_losses: list[float] = []
    losses: list[float] = []
    best, best_epoch = trainer.weights(), 0
    for epoch in range(schedule.epochs):
        training_losses.append(trainer.epoch(schedule.rate(epoch), training(epoch)))
        if not np.isfinite(training_losses[-1]):
            raise TrainingDiverged(
                ticker, f"training loss became {training_losses[-1]} in epoch {epoch + 1}", rule="diverged"
            )
        if epoch == 0 and not goes_on(trainer.weights()):
            validation, best_epoch = None, 1
            break
        if validation is None or schedule.patience is None:
            best_epoch = epoch + 1
            continue
        if not losses:
            losses.append(beginner().evaluate(validation))
        losses.append(trainer.evaluate(validation))
        if losses[-1] < min(losses[:-1]):
            best, best_epoch = trainer.weights(), epoch + 1
        elif epoch + 1 - best_epoch >= schedule.patience:
            break
    if validation is None or schedule.patience is None:
        best = trainer.weights()
    if not all(np.isfinite(array).all() for array in best.values()):
        raise TrainingDiverged(ticker, "a weight became NaN or infinite", rule="diverged")
    seconds, path = time.perf_counter() - began, path_of(network)
    gpu = _gpu_name() if path == "tensorflow-gpu" else ""
    return Fit(
        best, best_epoch, len(training_losses), tuple(training_losses), tuple(losses), seconds, path, gpu
    )
