"""What the variants' contract and the kernel's tests share: a loss from its textbook formula, weights
behind which nothing hides, and a Keras model that holds given weights.
"""

from typing import Any

import numpy as np

from forecast_lib.models.network import Network, weight_specs

from forecast_lib.models.tensorflow_quietly import tf  # isort: skip  # sets TensorFlow up before Keras imports it
from forecast_lib.models.architectures import build
from forecast_lib.models.weights import Weights
from forecast_lib.windows.sequences import Framing

__all__ = ["lively", "textbook_loss", "to_keras"]


def textbook_loss(outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Mean negative log density of the Student-t that the head describes, from the density's formula:

    G((v+1)/2) / (G(v/2) sqrt(v pi) s) * (1 + ((x-m)/s)^2 / v) ^ (-(v+1)/2)
    """
    horizon = targets.shape[-1]
    m = tf.tanh(outputs[..., :horizon])
    s = tf.exp(2 * tf.tanh(outputs[..., horizon : 2 * horizon] / 2) - 0.2027)  # heads.LOG_SCALE_OFFSET
    v = 2.5 + tf.math.log(1 + tf.exp(outputs[..., 2 * horizon :] + 3.47))  # heads.MIN_DF, heads.DF_OFFSET
    log_density = (
        tf.math.lgamma((v + 1) / 2)
        - tf.math.lgamma(v / 2)
        - tf.math.log(tf.sqrt(v * np.pi) * s)
        - (v + 1) / 2 * tf.math.log(1 + ((targets - m) / s) ** 2 / v)
    )
    return -tf.reduce_mean(log_density)


def lively(network: Network) -> Weights:
    """Weights none of which is zero: a head, a bias or a peephole at zero would hide an error behind it."""
    random = np.random.default_rng(11)
    return {
        spec.name: (0.4 * random.standard_normal(spec.shape)).astype(np.float32)
        for spec in weight_specs(network)
    }


def to_keras(network: Network, framing: Framing, weights: Weights) -> Any:
    """The Keras model of `network` that holds these weights."""
    model = build(network, framing)
    for variable, spec in zip(model.trainable_variables, weight_specs(network), strict=True):
        variable.assign(weights[spec.name])
    return model
