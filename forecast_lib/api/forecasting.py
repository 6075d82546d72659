"""Forecasts of a long frame: by baselines, or by networks trained on it as a night trains its own."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from forecast_lib.api.frames import like
from forecast_lib.api.long import OURS, long_columns
from forecast_lib.api.panel import coming_sessions, market_of, series_in
from forecast_lib.config import ModelConfig, TrainConfig
from forecast_lib.errors import TickerError, UsageError
from forecast_lib.forecast import COMBINED, Forecasts, combined_forecast, forecast_with_baseline
from forecast_lib.jobs.refresh.pool import pool_members, train_members
from forecast_lib.models.baselines import BASELINES
from forecast_lib.models.bundle import Bundle, Pool, load_bundle, load_pool, save, sha256
from forecast_lib.models.engine import Fit
from forecast_lib.models.training import check_trainable, join_pool, train
from forecast_lib.tables import QUANTILE_COLUMNS
from forecast_lib.windows.series import TickerSeries

__all__ = ["Networks", "forecast_long", "refuse_unknown", "train_long"]


_INDEX, _FORMAT = "networks.json", 1


def refuse_unknown(name: str, known: tuple[str, ...]) -> None:
    """Only one of the known names will do.

    Raises:
        UsageError: it is none of them.
    """
    if name not in known:
        raise UsageError(f"model {name!r} is not known here: expected one of {', '.join(known)}")


@dataclass(frozen=True)
class Networks:
    """What `train_long` has learned: pooled networks, and what each series made of them.

    Attributes:
        model, training: what was asked for.
        pool: the pooled networks.
        bundles: each series' model, by its `unique_id` as text.
        problems: why the other series have none; baselines answer for them.
    """

    model: ModelConfig
    training: TrainConfig
    pool: Pool
    bundles: Mapping[str, Bundle]
    problems: Mapping[str, str]

    def __repr__(self) -> str:
        without = f", {len(self.problems)} without" if self.problems else ""
        learned = f"{len(self.bundles)} series{without}"
        return f"<Networks: {self.model.variant}, {self.model.horizon} steps ahead, {learned}>"

    def save(self, folder: str | Path) -> None:
        """Write the networks to a folder, made where there is none: weights as `SHA256.npz`, as those of a
        night, and `networks.json`, which names them. Data only; `Networks.load` reads them.

        Raises:
            UsageError: nothing can be written there; says why.
        """
        where = Path(folder).expanduser()
        try:
            index = {
                "format": _FORMAT,
                "model": dataclasses.asdict(self.model),
                "training": dataclasses.asdict(self.training),
                "pool": save(self.pool, where),
                "bundles": {name: save(bundle, where) for name, bundle in self.bundles.items()},
                "problems": dict(self.problems),
            }
            (where / _INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"networks cannot be written to {where}: {error.strerror}") from None

    @classmethod
    def load(cls, folder: str | Path) -> "Networks":
        """The networks that `save` wrote to a folder.

        Raises:
            UsageError: there are none, or they are not what this version reads; says what is wrong.
            ModelDamaged: a file of weights is missing, or not what was written.
        """
        where = Path(folder).expanduser()
        try:
            index = json.loads((where / _INDEX).read_text(encoding="utf-8"))
            if index["format"] != _FORMAT:
                raise ValueError(f"format {index['format']}, expected {_FORMAT}")
            model = TypeAdapter(ModelConfig).validate_python(index["model"])
            training = TypeAdapter(TrainConfig).validate_python(index["training"])
            weights, pool, problems = dict(index["bundles"]), str(index["pool"]), dict(index["problems"])
        except OSError as error:
            raise UsageError(f"there are no networks in {where}: {_INDEX}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError) as error:
            said = f"is not understood: {' '.join(str(error).split())}"
            raise UsageError(f"{where / _INDEX} {said}; train the networks again") from None
        bundles = {name: load_bundle(where, digest, name) for name, digest in weights.items()}
        return cls(model, training, load_pool(where, pool), bundles, problems)

    def forecast(self, frame: Any) -> Any:
        """What a night would answer from the end of each series: networks and baselines together.

        Args:
            frame: the one that was learned from, or the same series with newer rows. A series that was not
                learned from is answered for by baselines alone.

        Returns:
            `unique_id`, `ds`, `tickercast` and the bounds of its intervals, a frame of the kind of `frame`.

        Raises:
            UsageError: the frame is not as expected; says why.
        """
        named = series_in(frame)
        known = market_of(named, self.model, self.training).series
        parts = []
        for name, each in named.items():
            series = known[each.ticker]
            made = combined_forecast(self.bundles.get(series.ticker), series, self.model.horizon).forecasts
            parts.append(_rows(name, series, OURS, made))
        return like(pd.concat(parts, ignore_index=True), frame)


def _rows(name: Any, series: TickerSeries, model: str, made: Forecasts) -> pd.DataFrame:
    columns = long_columns(
        model, made.point[0], pd.DataFrame(made.quantiles[0], columns=list(QUANTILE_COLUMNS))
    )
    return pd.DataFrame({"unique_id": name, "ds": coming_sessions(series, made.point.shape[1]), **columns})


def train_long(
    frame: Any, *, model: ModelConfig = ModelConfig(), training: TrainConfig = TrainConfig(), seed: int = 0
) -> Networks:
    """Train on a long frame as a night does: networks of all series together, then each series' own part.

    Args:
        frame: of pandas, polars or Arrow: `unique_id`, `ds`, `y` (closes) and, where they are known, `open`,
            `high`, `low`, `volume`.
        model: the network, and how many steps ahead it looks (`ModelConfig(horizon=1)`).
        training: how much is trained.
        seed: the same one gives the same networks on the same machine.

    Raises:
        UsageError: the frame is not as expected, or none of its series can be learned from; says why.
    """
    series = market_of(series_in(frame), model, training).series
    problems = {name: said for name, each in series.items() if (said := _why_not(each, model, training))}
    taught = [each for name, each in series.items() if name not in problems]
    if not taught:
        name, said = next(iter(problems.items()))
        raise UsageError(f"no series can be learned from: {name}: {said}; forecast_long asks the baselines")
    members = train_members(pool_members(taught, model, training, seed), model, training, seed)
    fits = [each for each in members if isinstance(each, Fit)]
    if not fits:
        raise UsageError("; ".join(each.reason for each in members if not isinstance(each, Fit)))
    pool = join_pool(fits, taught, model, training, seed)
    bundles, digest = dict[str, Bundle](), sha256(pool)
    for each in taught:
        try:
            made = train(each, model, training, start=pool, seed=seed, pool_sha256=digest)
            bundles[each.ticker] = made.bundle
        except TickerError as error:
            problems[each.ticker] = error.reason
    return Networks(model, training, pool, bundles, problems)


def _why_not(series: TickerSeries, model: ModelConfig, training: TrainConfig) -> str:
    """Why nothing can be learned from the series; empty where something can."""
    try:
        check_trainable(series, model, training)
    except TickerError as error:
        return error.reason
    return ""


def forecast_long(frame: Any, *, horizon: int = 5, model: str = COMBINED) -> Any:
    """Forecasts from the end of each series by our baselines, calibrated by the series' own past.

    Args:
        frame: as for `train_long`.
        horizon: steps ahead.
        model: combined (har, ewma and naive, weighed by their losses), naive, drift, ar1, ewma, garch, har,
            ets or empirical. `har` looks at ranges, so give it `high` and `low`.

    Returns:
        `unique_id`, `ds`, the point and the bounds of the central intervals, a frame of the kind of `frame`.

    Raises:
        UsageError: the frame or the model is not as expected; says which.
    """
    refuse_unknown(model, (COMBINED, *BASELINES))
    network = ModelConfig(horizon=horizon)
    named = series_in(frame)
    known = market_of(named, network, TrainConfig()).series
    parts = []
    for name, each in named.items():
        series = known[each.ticker]
        if model == COMBINED:
            made = combined_forecast(None, series, horizon).forecasts
        else:
            made = forecast_with_baseline(model, series, horizon, (len(series) - 1, len(series)))
        parts.append(_rows(name, series, model, made))
    return like(pd.concat(parts, ignore_index=True), frame)
