"""Training one ticker's model from its series: what is fitted on, what is held out, what comes out.

::

    |<- warm-up + window ->|<------ training cutoffs ------>|<- horizon ->|<-- validation cutoffs -->| last session
                            targets end before validation ->|             |

Validation is the last part before the cutoff, never fitted on: it chooses the epoch and the shrinkage of the location. The gap of
one horizon keeps every training target's sessions out of it.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.errors import TickerError, TooFewSessions
from forecast_lib.models.bundle import Bundle
from forecast_lib.models.forward import forward
from forecast_lib.models.heads import OUTPUTS_PER_STEP, shrinkage_of, standardised
from forecast_lib.models.network import Network, first_weights
from forecast_lib.windows.features import FEATURES, WARM_UP, SessionFeatures, session_features
from forecast_lib.windows.scaling import VolatilityScale, fit_volatility_scale, future_log_returns
from forecast_lib.windows.sequences import Batches, cut_windows, framing_for, sample, tile
from forecast_lib.windows.series import Array, TickerSeries

__all__ = ["Split", "Trained", "first_cutoff", "network_of", "split_cutoffs", "ticker_seed", "train"]

_MIN_TRAINING_CUTOFFS = 60
_LARGEST_SCORE = 15.0  # standard deviations; a split nobody recorded must not make a gradient of its own size
_MOST_CONSTANT = 0.5  # share of unchanged closes in the last year above which there is nothing to learn
_WINDOW_BATCH = 64  # windows a step, for networks trained on windows


@dataclass(frozen=True)
class Split:
    """Cutoffs as half-open index ranges into the series."""

    training: tuple[int, int]
    validation: tuple[int, int]


@dataclass(frozen=True)
class Trained:
    """A model and how its training went."""

    bundle: Bundle
    split: Split
    epochs: int
    validation_loss: tuple[float, ...]
    seconds: float


def network_of(config: ModelConfig) -> Network:
    """The network that forecasts with this config."""
    return Network(
        variant=config.variant,
        layers=config.layers or 1,
        units=config.units,
        inputs=len(FEATURES),
        outputs=OUTPUTS_PER_STEP * config.horizon,
        lookback=config.lookback,
        dropout=config.dropout,
    )


def ticker_seed(seed: int, ticker: str) -> int:
    """The run's seed made the ticker's own: independent of which other tickers are asked for."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{ticker}".encode()).digest()[:4], "big") % 2**31


def first_cutoff(lookback: int) -> int:
    """Index of the first session whose window holds no warm-up session."""
    return WARM_UP + lookback - 1


def split_cutoffs(sessions: int, config: ModelConfig, train: TrainConfig, ticker: str) -> Split:
    """Training and validation cutoffs of a series of so many sessions.

    Raises:
        TooFewSessions: not enough are left to train on.
    """
    first = first_cutoff(config.lookback)
    last_known = sessions - 1  # cutoffs below it have at least their first target
    held_out = min(train.validation_sessions, max((last_known - first) // 4, 1))
    split = Split((first, last_known - held_out - config.horizon), (last_known - held_out, last_known))
    if split.training[1] - split.training[0] < _MIN_TRAINING_CUTOFFS:
        needed = first + 1 + (_MIN_TRAINING_CUTOFFS + config.horizon) * 4 // 3 + 1
        raise TooFewSessions(
            ticker,
            f"{sessions} sessions of history, but a window of {config.lookback} and a horizon of {config.horizon} need about "
            f"{needed} to train on",
            rule="too_short",
        )
    return split


def _refuse_constant(series: TickerSeries) -> None:
    changes = np.diff(series.close[-251:])
    constant = float((changes == 0).mean())
    if constant > _MOST_CONSTANT:
        raise TickerError(
            series.ticker,
            f"{constant:.0%} of the last {len(changes)} closes repeat the one before: nothing to learn from",
            rule="constant",
        )


def _data_sha256(series: TickerSeries) -> str:
    digest = hashlib.sha256()
    for part in (series.sessions.astype("int64"), series.open, series.high, series.low, series.close, series.volume):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _scores(features: SessionFeatures, scale: VolatilityScale, horizon: int) -> Array:
    scores = future_log_returns(features.log_close, horizon) / scale.sigma(features)
    return np.clip(scores, -_LARGEST_SCORE, _LARGEST_SCORE)


def train(series: TickerSeries, config: ModelConfig, train_config: TrainConfig, *, seed: int, parent: Bundle | None = None) -> Trained:
    """Train on everything in `series`: from the seed, or, given a parent, on from its weights and scale (fine-tuning).

    Args:
        seed: the run's; the ticker's own is derived from it.

    Raises:
        TooFewSessions, TrainingDiverged, TickerError: there is no model for this ticker tonight.
    """
    from forecast_lib.models import engine  # TensorFlow takes seconds to import; only training needs it

    split = split_cutoffs(len(series), config, train_config, series.ticker)
    _refuse_constant(series)
    network = network_of(config)
    if parent is not None and parent.network != network:
        raise TickerError(series.ticker, "the last good model has another shape: retrain it", rule="parent_shape")
    features = session_features(series)
    scale = parent.scale if parent else fit_volatility_scale(features, config.horizon, *split.training)
    scores = _scores(features, scale, config.horizon)
    own_seed = ticker_seed(seed, series.ticker)
    framing = framing_for(config.lookback, looks_back=network.reads_backwards)
    batch = train_config.batch_size if framing.positions > 1 else _WINDOW_BATCH

    def epoch_batches(epoch: int) -> Batches:
        random = np.random.default_rng([own_seed, epoch, 1 if parent else 0])
        return sample(features.values, scores, split.training, framing, (train_config.steps_per_epoch, batch), random)

    fitted = engine.fit(
        network,
        framing,
        parent.weights if parent else first_weights(network, own_seed),
        epoch_batches,
        tile(features.values, scores, split.validation, framing, -(-train_config.validation_sessions // framing.positions)),
        engine.Schedule(
            epochs=train_config.fine_tune_epochs if parent else train_config.epochs,
            learning_rate=train_config.fine_tune_learning_rate if parent else train_config.learning_rate,
            patience=train_config.patience,
            clip_norm=1.0,
        ),
        loss="student_t",
        seed=own_seed,
        ticker=series.ticker,
    )
    cutoffs = np.arange(*split.validation)
    raw = forward(network, fitted.weights, cut_windows(features.values, cutoffs, config.lookback))
    shrinkage = shrinkage_of(standardised(raw, config.horizon).location, scores[cutoffs])
    bundle = Bundle(
        network=network,
        horizon=config.horizon,
        weights=fitted.weights,
        scale=scale,
        shrinkage=shrinkage,
        trained_through=str(series.sessions[-1]),
        data_sha256=_data_sha256(series),
        seed=own_seed,
    )
    return Trained(bundle, split, fitted.epochs, fitted.validation_loss, fitted.seconds)
