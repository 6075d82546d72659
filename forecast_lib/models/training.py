"""Training: pooled networks learn from every ticker, and each ticker's model starts from them.

::

    |<- warm-up + window ->|<------ training cutoffs ------>|<- horizon ->|<-- validation cutoffs -->| last
                            targets end before validation ->|             |

Validation is the last part before the cutoff, never fitted on: it chooses the epoch, whether a ticker's own
fine-tuning is better than the pooled weights, and the shrinkage of the location. The gap of one horizon
keeps every training target's sessions out of it.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.errors import TickerError, TooFewSessions
from forecast_lib.models import engine
from forecast_lib.models.bundle import Bundle, Pool
from forecast_lib.models.forward import outputs
from forecast_lib.models.heads import (
    OUTPUTS_PER_STEP,
    combined,
    negative_log_likelihood,
    shrinkage_of,
)
from forecast_lib.models.network import Network, first_weights
from forecast_lib.models.variant import Float32
from forecast_lib.models.weights import Weights
from forecast_lib.windows.common import COMMON
from forecast_lib.windows.features import FEATURES, WARM_UP, SessionFeatures, session_features
from forecast_lib.windows.scaling import (
    Sample,
    VolatilityScale,
    fit_volatility_scale,
    future_log_returns,
    panel_slopes,
)
from forecast_lib.windows.sequences import Batches, Corpus, corpus, framing_for, sample, tile
from forecast_lib.windows.series import Array, TickerSeries
from forecast_lib.windows.volatility_inputs import (
    VOLATILITY_INPUTS,
    common_inputs,
    inputs_beside,
    scale_inputs,
)

__all__ = [
    "POOL",
    "Split",
    "Trained",
    "check_trainable",
    "drawn",
    "first_cutoff",
    "join_pool",
    "network_of",
    "poolable",
    "split_cutoffs",
    "ticker_seed",
    "train",
    "train_alone",
    "train_member",
]

POOL = "*"
"""In the place of a ticker: the networks that learn from all of them."""

_MIN_TRAINING_CUTOFFS = 60
_LARGEST_SCORE = 15.0  # standard deviations; a split nobody recorded must not make a gradient of its own size
_MOST_CONSTANT = 0.5  # share of unchanged closes in the last year above which there is nothing to learn
_WINDOW_BATCH = 64  # windows a step, for networks trained on windows
_VALIDATION_CHUNKS = 256  # of a pool: enough to choose an epoch by, whatever the universe
_POOL_TICKERS = (
    256  # that one pooled network learns from; a larger universe is drawn from, anew for each network
)


@dataclass(frozen=True)
class Split:
    """Cutoffs as half-open index ranges into the series."""

    training: tuple[int, int]
    validation: tuple[int, int]


@dataclass(frozen=True)
class Trained:
    """A ticker's model and how its training went.

    Attributes:
        bundle: the model.
        own: its weights are its own, not the pool's.
        epochs: of the member that took the most; 1 where the first one's first epoch gained nothing.
        validation_loss: before, and after fine-tuning where that went on.
        trained_by: what did the arithmetic, in words (`engine.Fit.trained_by`).
    """

    bundle: Bundle
    split: Split
    own: bool
    epochs: int
    validation_loss: tuple[float, ...]
    seconds: float
    trained_by: str


@dataclass(frozen=True)
class _Prepared:
    split: Split
    features: SessionFeatures
    scale: VolatilityScale
    scores: Array


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
            f"{sessions} sessions of history, but a window of {config.lookback} and a horizon of"
            f" {config.horizon} need about {needed} to train on",
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


def _data_sha256(series: Sequence[TickerSeries], names: tuple[str, ...], horizon: int) -> str:
    digest = hashlib.sha256()
    for each in series:
        for part in (each.sessions.astype("int64"), each.open, each.high, each.low, each.close, each.volume):
            digest.update(np.ascontiguousarray(part).tobytes())
        if each.missing is not None:
            digest.update(each.missing.tobytes())
        if each.inputs is not None and set(COMMON) <= set(each.inputs.names):
            digest.update(common_inputs(each).tobytes())
        more, ahead = inputs_beside(each, names, horizon)
        digest.update(more.tobytes())
        digest.update(b"" if ahead is None else ahead.tobytes())
    return digest.hexdigest()


def _scale_sample(series: TickerSeries, split: Split, names: tuple[str, ...], horizon: int) -> Sample:
    inputs, ahead = scale_inputs(series, names, horizon)
    return Sample(inputs, session_features(series), *split.training, ahead)


def pool_slopes(
    series: Sequence[TickerSeries],
    config: ModelConfig,
    train_config: TrainConfig,
    seed: int,
    names: tuple[str, ...],
) -> Array:
    """(inputs, horizon) of the volatility scale, the same for all members of a pool of these series."""
    return _panel(tuple(drawn(series, ticker_seed(seed, POOL))), config, train_config, names)


@functools.lru_cache(maxsize=2)  # its members ask, and who joins them
def _panel(
    chosen: tuple[TickerSeries, ...], config: ModelConfig, train_config: TrainConfig, names: tuple[str, ...]
) -> Array:
    splits = [split_cutoffs(len(each), config, train_config, each.ticker) for each in chosen]
    samples = [
        _scale_sample(each, split, names, config.horizon) for each, split in zip(chosen, splits, strict=True)
    ]
    return panel_slopes(samples, config.horizon, len(VOLATILITY_INPUTS))


def _prepared(
    series: TickerSeries,
    config: ModelConfig,
    train_config: TrainConfig,
    slopes: Array,
    names: tuple[str, ...],
) -> _Prepared:
    check_trainable(series, config, train_config)
    split = split_cutoffs(len(series), config, train_config, series.ticker)
    features = session_features(series)
    sample = _scale_sample(series, split, names, config.horizon)
    scale = fit_volatility_scale(sample, config.horizon, slopes, len(VOLATILITY_INPUTS))
    sigma = scale.sigma(*scale_inputs(series, names, config.horizon))
    scores = future_log_returns(features.log_close, config.horizon) / sigma
    return _Prepared(split, features, scale, np.clip(scores, -_LARGEST_SCORE, _LARGEST_SCORE))


def check_trainable(series: TickerSeries, config: ModelConfig, train_config: TrainConfig) -> None:
    """Refuse a history from which nothing can be learned.

    Raises:
        TooFewSessions: it is too short.
        TickerError: its price does not move.
    """
    split_cutoffs(len(series), config, train_config, series.ticker)
    _refuse_constant(series)


def poolable(series: TickerSeries, config: ModelConfig, train_config: TrainConfig) -> bool:
    """Whether a ticker's history is long and lively enough to learn from."""
    try:
        check_trainable(series, config, train_config)
    except TickerError:
        return False
    return True


def _fit(
    network: Network,
    start: Weights,
    training: Corpus,
    held_out: Batches | None,
    schedule: engine.Schedule,
    shape: tuple[int, int],
    seed: int,
    purpose: int,
    ticker: str,
    goes_on: Callable[[Weights], bool] = lambda _: True,
) -> engine.Fit:
    framing = framing_for(network.lookback, looks_back=network.reads_backwards)
    steps, batch = shape if framing.positions > 1 else (shape[0], _WINDOW_BATCH)

    def epoch_batches(epoch: int) -> Batches:
        return sample(training, framing, (steps, batch), np.random.default_rng([seed, epoch, purpose]))

    return engine.fit(
        network,
        framing,
        start,
        epoch_batches,
        held_out,
        schedule,
        loss="student_t",
        seed=seed,
        ticker=ticker,
        goes_on=goes_on,
    )


def _corpora(prepared: Sequence[_Prepared]) -> tuple[Corpus, Corpus]:
    return tuple(  # type: ignore[return-value]
        corpus([(each.features.values, each.scores, getattr(each.split, part)) for each in prepared])
        for part in ("training", "validation")
    )


def drawn(series: Sequence[TickerSeries], seed: int) -> list[TickerSeries]:
    """256 of the series, or all where there are no more; which ones depends on their names and the
    seed only.
    """
    return sorted(series, key=lambda each: (ticker_seed(seed, each.ticker), each.ticker))[:_POOL_TICKERS]


def drawn_by(member: int, series: Sequence[TickerSeries], seed: int) -> list[TickerSeries]:
    """What one of a pool's networks learns from: 256 of the series, drawn for it, or all where there are no
    more.
    """
    return drawn(series, ticker_seed(seed, f"{POOL}{member}"))


def train_member(
    series: Sequence[TickerSeries],
    config: ModelConfig,
    train_config: TrainConfig,
    *,
    seed: int,
    member: int,
    inputs: tuple[str, ...] = (),
    slopes: Array | None = None,
) -> engine.Fit:
    """Train one of a pool's networks on what it draws of the series.

    Args:
        series: those of the pool, or `drawn_by` the member.
        member: 0, 1, ...: its place in the pool; each has a seed of its own.
        inputs: what the volatility scale reads beside the usual, by name.
        slopes: `pool_slopes`, where the series are not all of the pool's; None: made of the series.

    Raises:
        TrainingDiverged: the network became NaN or infinite.
    """
    own_seed = ticker_seed(seed, f"{POOL}{member}")
    if slopes is None:
        slopes = pool_slopes(series, config, train_config, seed, inputs)
    own = drawn_by(member, series, seed)
    chosen = [_prepared(each, config, train_config, slopes, inputs) for each in own]
    training, validation = _corpora(chosen)
    network = network_of(config)
    framing = framing_for(network.lookback, looks_back=network.reads_backwards)
    schedule = engine.Schedule(
        train_config.epochs, train_config.learning_rate, train_config.patience, clip_norm=1.0
    )
    shape = (train_config.steps_per_epoch, train_config.batch_size)
    held_out = tile(validation, framing, most=_VALIDATION_CHUNKS)
    return _fit(
        network, first_weights(network, own_seed), training, held_out, schedule, shape, own_seed, 0, POOL
    )


def join_pool(
    members: Sequence[engine.Fit],
    series: Sequence[TickerSeries],
    config: ModelConfig,
    train_config: TrainConfig,
    seed: int,
    inputs: tuple[str, ...] = (),
    slopes: Array | None = None,
) -> Pool:
    """The pool that these networks, trained on these series and inputs, make up; `slopes` as in
    `train_member`.
    """
    if slopes is None:
        slopes = pool_slopes(series, config, train_config, seed, inputs)
    return Pool(
        network=network_of(config),
        horizon=config.horizon,
        members=tuple(fit.weights for fit in members),
        slopes=slopes,
        trained_through=str(max(each.sessions[-1] for each in series)),
        data_sha256=_data_sha256(
            # whatever the order they were asked for in
            sorted(series, key=lambda each: each.ticker),
            inputs,
            config.horizon,
        ),
        seed=seed,
        inputs=inputs,
    )


def _tuned(
    prepared: _Prepared,
    network: Network,
    members: Sequence[Weights],
    config: TrainConfig,
    seed: int,
    ticker: str,
    goes_on: Callable[[Weights], bool],
) -> list[engine.Fit]:
    """All members, each with the epoch that is best on the validation; the first alone, after an epoch, where
    `goes_on` says no.
    """
    framing = framing_for(network.lookback, looks_back=network.reads_backwards)
    training, validation = _corpora([prepared])
    schedule = engine.Schedule(
        config.fine_tune_epochs, config.fine_tune_learning_rate, config.patience, clip_norm=1.0
    )
    shape, held_out = (config.fine_tune_steps, config.fine_tune_batch_size), tile(validation, framing)

    def tuned(member: int, goes_on: Callable[[Weights], bool] = lambda _: True) -> engine.Fit:
        start, own_seed = members[member], seed + member
        return _fit(network, start, training, held_out, schedule, shape, own_seed, 1, ticker, goes_on=goes_on)

    first = tuned(0, goes_on)
    return [first, *map(tuned, range(1, len(members) if first.validation_loss else 1))]


@dataclass(frozen=True)
class _Held:
    """What members say on the validation.

    Attributes:
        loss: (cutoffs,) of all of them combined, mean over the known steps.
        location: (cutoffs, horizon) of all.
    """

    loss: Array
    location: Array


def _asked(network: Network, members: Sequence[Weights], prepared: _Prepared) -> list[Float32]:
    cutoffs, first = np.arange(*prepared.split.validation), first_cutoff(network.lookback)
    return outputs(network, members, prepared.features.values, cutoffs, first=first)


def _held_out(raw: Sequence[Float32], prepared: _Prepared, horizon: int) -> _Held:
    head, scores = combined(raw, horizon), prepared.scores[slice(*prepared.split.validation)]
    return _Held(np.asarray(np.nanmean(negative_log_likelihood(head, scores), axis=1)), head.location)


def _clearly_better(tuned: Array, pooled: Array) -> bool:
    """Better by more than one standard error of the mean difference: a tie goes to what all tickers
    agree on.
    """
    gain = pooled - tuned
    return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))


def train(
    series: TickerSeries,
    config: ModelConfig,
    train_config: TrainConfig,
    *,
    start: Pool | Bundle,
    seed: int,
    pool_sha256: str | None = None,
) -> Trained:
    """A ticker's model: fine-tuned from `start` on everything in `series`, or `start` itself where that is as
    good.

    The first member tries: where one epoch does not make it clearly better on the validation, no more is
    spent on the ticker (a race, Maron and Moore 1994).

    Args:
        start: the pool, or the ticker's last model.
        seed: the run's; the ticker's own is derived from it.
        pool_sha256: of the file that holds `start`, where it is a pool.

    Raises:
        TooFewSessions, TrainingDiverged, TickerError: there is no model for this ticker tonight.
    """
    if start.network != network_of(config):
        raise TickerError(
            series.ticker, "the last good model has another shape: retrain it", rule="parent_shape"
        )
    parent = start if isinstance(start, Bundle) else None
    prepared = _prepared(series, config, train_config, start.slopes, start.inputs)
    own_seed = ticker_seed(seed, series.ticker)
    network, members = start.network, start.members
    raw = _asked(network, members, prepared)
    before = served = _held_out(raw, prepared, config.horizon)
    losses, first_before = [before.loss], _held_out(raw[:1], prepared, config.horizon).loss

    def goes_on(first: Weights) -> bool:
        tried = _held_out(_asked(network, [first], prepared), prepared, config.horizon)
        return _clearly_better(tried.loss, first_before)

    fits = _tuned(prepared, network, members, train_config, own_seed, series.ticker, goes_on)
    if fits[0].validation_loss:
        after = _held_out(_asked(network, [fit.weights for fit in fits], prepared), prepared, config.horizon)
        losses.append(after.loss)
        served = after if _clearly_better(after.loss, before.loss) else before
    better = served is not before
    cutoffs = np.arange(*prepared.split.validation)
    shrinkage = shrinkage_of(served.location, prepared.scores[cutoffs])
    bundle = Bundle(
        network=network,
        horizon=config.horizon,
        members=tuple(fit.weights for fit in fits) if better else members,
        slopes=start.slopes,
        pool_sha256=None if better else parent.pool_sha256 if parent else pool_sha256,
        scale=prepared.scale,
        shrinkage=shrinkage,
        trained_through=str(series.sessions[-1]),
        data_sha256=_data_sha256([series], start.inputs, config.horizon),
        seed=own_seed,
        inputs=start.inputs,
    )
    own = bundle.pool_sha256 is None
    validation_loss = tuple(float(loss.mean()) for loss in losses)
    epochs = max(fit.epochs for fit in fits)
    seconds = sum(fit.seconds for fit in fits)
    return Trained(bundle, prepared.split, own, epochs, validation_loss, seconds, fits[0].trained_by)


def train_alone(
    series: TickerSeries, config: ModelConfig, train_config: TrainConfig, *, seed: int
) -> Trained:
    """A model of one ticker that nothing else was learned from: its pool is its own history.

    Raises:
        TooFewSessions, TrainingDiverged, TickerError: nothing can be learned from it.
    """
    check_trainable(series, config, train_config)
    fits = [
        train_member([series], config, train_config, seed=seed, member=member)
        for member in range(train_config.members)
    ]
    return train(
        series, config, train_config, start=join_pool(fits, [series], config, train_config, seed), seed=seed
    )
