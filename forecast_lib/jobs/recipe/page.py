"""The words and figures of a recipe's page: what the walkthrough reports, and beside it the honest answer on
the same targets.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import mean_squared_error

from forecast_lib.backtest.significance import compare_losses
from forecast_lib.jobs.recipe.series import ReadSeries
from forecast_lib.recipes.catalogue import Recipe
from forecast_lib.recipes.run import FREE_STEPS, Attempt, free_running, naive, next_value, rmse
from forecast_lib.recipes.series import sine_beyond
from forecast_lib.recipes.splits import Parts, held_out_parts
from forecast_lib.report import Figure, Plot, RecipeReport, Series
from forecast_lib.windows.series import Array

__all__ = ["Answers", "Ours", "recipe_page"]

_ZOOM = 60  # targets in the plot that shows the lag
_PRICE = "price"


@dataclass(frozen=True)
class Ours:
    """Our default model's answers on the held-out targets, or why there are none."""

    tested: Array | None
    reason: str = ""


@dataclass(frozen=True)
class Answers:
    """What was run.

    Attributes:
        honest: the same network, its scaler fitted on training data only; None where that is the walkthrough
            itself.
        improved: a sine's network, better trained; None for prices.
    """

    published: Attempt
    honest: Attempt | None
    ours: Ours
    improved: Attempt | None = None


def _actual(read: ReadSeries, targets: range) -> Array:
    return read.series.values[np.asarray(targets)]


def _epochs(attempt: Attempt) -> str:
    count = len(attempt.learned.losses)
    return f"{count} epoch{'' if count == 1 else 's'}"


def _mse(predicted: Array, actual: Array) -> float:
    return float(mean_squared_error(actual, predicted))


# --- prices


def _published_prices(read: ReadSeries, attempt: Attempt) -> tuple[Figure, ...]:
    fitted = rmse(attempt.fitted, _actual(read, attempt.parts.train))
    seconds = Figure(
        "training time", attempt.learned.seconds, "s", f"{_epochs(attempt)}, compilation included"
    )
    if attempt.parts.test is None:
        error = _mse(attempt.fitted, _actual(read, attempt.parts.train))
        return (
            Figure("MSE on the training data", error, "price²"),
            Figure("RMSE on the training data", fitted, _PRICE),
            seconds,
        )
    tested = rmse(attempt.tested, _actual(read, attempt.parts.test))
    note = f"{len(attempt.parts.test)} targets"
    return (
        Figure("train RMSE", fitted, _PRICE, f"{len(attempt.parts.train)} targets"),
        Figure("test RMSE", tested, _PRICE, note),
        seconds,
    )


def _beside_naive(
    label: str, predicted: Array, read: ReadSeries, targets: range, where: str
) -> tuple[Figure, ...]:
    actual, stays = _actual(read, targets), naive(read.series, targets)
    _, pvalue = compare_losses((predicted - actual) ** 2, (stays - actual) ** 2, 1)
    test = f"Diebold–Mariano p = {pvalue:.2g}" if np.isfinite(pvalue) else "too few targets for a test"
    if np.array_equal(predicted, stays):
        test = "the same as naive: it found nothing to add"
    error, of_naive = rmse(predicted, actual), rmse(stays, actual)
    if not of_naive:
        test = "naive is exact: the price never moved"
    return (
        Figure(f"{label}: RMSE", error, _PRICE, where),
        Figure(
            f"{label}: RMSE ÷ naive RMSE",
            error / of_naive if of_naive else None,
            "",
            f"below 1 is better than naive; {test}",
        ),
    )


def _where(parts: Parts, read: ReadSeries) -> str:
    targets = parts.test if parts.test is not None else parts.train
    kind = "test" if parts.test is not None else "training"
    return (
        f"{len(targets)} {kind} targets, {read.series.labels[targets[0]]} to"
        f" {read.series.labels[targets[-1]]}"
    )


def _lag(to_day_before: float, to_day_itself: float) -> Figure:
    lags = (
        "; smaller than against the day itself: the curve lags the price"
        if to_day_before < to_day_itself
        else ""
    )
    return Figure(
        "the walkthrough's predictions against the day before", to_day_before, _PRICE, f"RMSE{lags}"
    )


def _honest_prices(recipe: Recipe, read: ReadSeries, answers: Answers) -> tuple[Figure, ...]:
    published, held_out = answers.published, held_out_parts(recipe, read.series)
    targets = published.parts.scored
    figures = [
        Figure(
            "naive (the price stays): RMSE",
            rmse(naive(read.series, targets), _actual(read, targets)),
            _PRICE,
            _where(published.parts, read),
        )
    ]
    figures += _beside_naive(
        "the walkthrough's network", published.scored, read, targets, _where(published.parts, read)
    )
    figures.append(
        _lag(
            rmse(published.scored, naive(read.series, targets)),
            rmse(published.scored, _actual(read, targets)),
        )
    )
    where = _where(held_out, read)
    if published.parts.test is None:
        stays = rmse(naive(read.series, held_out.scored), _actual(read, held_out.scored))
        figures.append(Figure("naive on held-out data: RMSE", stays, _PRICE, where))
    if answers.honest is not None:
        figures += _beside_naive(
            "same network, scaler from training data only",
            answers.honest.tested,
            read,
            held_out.scored,
            where,
        )
    else:
        figures.append(
            Figure(
                "same network, scaler from training data only",
                "as above",
                "",
                "this walkthrough fits its scaler on the training file",
            )
        )
    if answers.ours.tested is not None:
        figures += _beside_naive("our default model", answers.ours.tested, read, held_out.scored, where)
    else:
        figures.append(Figure("our default model", None, "", f"not trained: {answers.ours.reason}"))
    return (*figures, *_checks(read))


def _checks(read: ReadSeries) -> tuple[Figure, ...]:
    rules = ", ".join(f"{rule} {count}" for rule, count in read.refused)
    note = f"of {read.rows}" + (
        f"; {rules}; used here, because the recipe takes them as they stand" if rules else ""
    )
    figures = [
        Figure(
            "rows that the night's checks would refuse", sum(count for _, count in read.refused), "rows", note
        )
    ]
    if read.held:
        figures.append(Figure("the night would not forecast from this file", "held", "", read.held))
    return tuple(figures)


def _price_plots(recipe: Recipe, read: ReadSeries, answers: Answers) -> list[Plot]:
    series, targets = read.series, answers.published.parts.scored
    first = targets.start if recipe.split in ("none", "files") else 0
    shown = range(first, len(series.values))
    predicted = dict(zip(targets, answers.published.scored.tolist(), strict=True))
    zoom = targets[-_ZOOM:]
    return [
        Plot(
            "As the walkthrough draws it: actual prices and one-day-ahead predictions",
            [series.labels[at] for at in shown],
            [
                Series("actual", [float(series.values[at]) for at in shown]),
                Series("predicted", [predicted.get(at) for at in shown], "forecast"),
            ],
            _PRICE,
        ),
        Plot(
            f"The last {len(zoom)} targets: the prediction beside the price of the day before",
            [series.labels[at] for at in zoom],
            [
                Series("actual", _actual(read, zoom).tolist()),
                Series("predicted", [predicted[at] for at in zoom], "forecast"),
                Series("naive: the day before", naive(series, zoom).tolist(), "baseline"),
            ],
            _PRICE,
        ),
    ]


# --- sines


def _note_of_published(recipe: Recipe, name: str) -> str:
    value = dict(recipe.published).get(name)
    return f"published: {value:g}" if value is not None else ""


def _scaled_mse(attempt: Attempt, read: ReadSeries) -> float:
    """Of the test windows, in the units of the scaler."""
    return _mse(
        attempt.scaler.scale(attempt.scored), attempt.scaler.scale(_actual(read, attempt.parts.scored))
    )


def _published_sine(recipe: Recipe, read: ReadSeries, attempt: Attempt) -> tuple[Figure, ...]:
    seconds = Figure(
        "training time", attempt.learned.seconds, "s", f"{_epochs(attempt)}, compilation included"
    )
    if attempt.parts.test is None:
        truth = sine_beyond(recipe, 1)[0]
        return (
            Figure("next value", next_value(attempt, read.series), "", f"the sine itself: {truth:.4f}"),
            seconds,
        )
    last = attempt.parts.test[-1]
    truth = f"the sine itself is {read.series.values[last]:.4g} there"
    return (
        Figure(
            "scaled test MSE", _scaled_mse(attempt, read), "", _note_of_published(recipe, "test_mse_scaled")
        ),
        Figure(
            "forecast from the last test window",
            float(attempt.tested[-1]),
            "",
            f"{_note_of_published(recipe, 'forecast_last_window')}; {truth}",
        ),
        seconds,
    )


def _honest_sine(
    recipe: Recipe, read: ReadSeries, published: Attempt, improved: Attempt
) -> tuple[Figure, ...]:
    targets = improved.parts.scored
    held_out = f"{len(targets)} windows not trained on"
    scaler = "" if recipe.scaled == "no" else "; scaler from training data only"
    error = "test MSE" if recipe.scaled == "no" else "scaled test MSE"
    stays = _mse(
        improved.scaler.scale(naive(read.series, targets)), improved.scaler.scale(_actual(read, targets))
    )
    figures = [Figure(f"naive (the value stays): {error}", stays, "", held_out)]
    if published.parts.test is None:
        figures.append(
            Figure("the walkthrough's setting: MSE where it was trained", _scaled_mse(published, read))
        )
    figures.append(
        Figure(f"improved setting: {error}", _scaled_mse(improved, read), "", f"{held_out}{scaler}")
    )
    for name, attempt in (("the walkthrough's setting", published), ("improved setting", improved)):
        figures.append(
            Figure(
                f"{name}: {FREE_STEPS} steps ahead on its own answers, RMSE",
                rmse(*free_running(attempt, recipe, read.series)),
            )
        )
    batches = "batches of 16, learning rate falling from a higher start to zero along a cosine"
    note = f"{_epochs(improved)}; {batches}; compilation included"
    figures.append(Figure("improved setting: training time", improved.learned.seconds, "s", note))
    figures.append(
        Figure("our default model", None, "", "none: it forecasts log returns, and a sine is no price")
    )
    return tuple(figures)


def _sine_plots(recipe: Recipe, read: ReadSeries, published: Attempt, improved: Attempt) -> list[Plot]:
    before, truth = free_running(published, recipe, read.series)
    after, _ = free_running(improved, recipe, read.series)
    labels = [str(len(read.series.values) + step) for step in range(FREE_STEPS)]
    title = f"{FREE_STEPS} steps ahead, fed with its own answers only"
    return [
        Plot(
            f"{title}: {name}",
            labels,
            [Series("sine", truth.tolist()), Series("forecast", answer.tolist(), "forecast")],
        )
        for name, answer in (("the walkthrough's setting", before), ("improved setting", after))
    ]


# --- the page


def _attention_plot(attempt: Attempt) -> list[Plot]:
    if attempt.attention is None:
        return []
    labels = [str(age) for age in range(-len(attempt.attention), 0)]
    shares = attempt.attention.astype(float)
    level = [1 / len(shares)] * len(shares)
    title = "Attention: how much the decoder weighs each value of the window, mean over the scored windows"
    return [
        Plot(
            title,
            labels,
            [Series("weight", shares.tolist(), "forecast"), Series("equal weights", level, "baseline")],
            "share of 1",
        )
    ]


def _about(recipe: Recipe, changes: dict[str, object]) -> str:
    network = f"{recipe.layers} × {recipe.variant}({recipe.units})" + (
        f" with dropout {recipe.dropout:g}" if recipe.dropout else ""
    )
    scaled = {
        "whole": "scaled to 0..1 over the whole series",
        "training": "scaled to 0..1 over the training part",
        "no": "not scaled",
    }[recipe.scaled]
    split = {
        "none": "trained and scored on the same data",
        "parts": "first 80 % of the values to train on, last 20 % to test, windows cut inside each part",
        "files": "one file to train on, one to test",
        "windows": "first 80 % of the windows to train on, last 20 % to test",
    }[recipe.split]
    changed = (
        "; changed by you: " + ", ".join(f"{name} {value}" for name, value in changes.items())
        if changes
        else ""
    )
    return (
        f"Windows of {recipe.lookback} values, {scaled}; {network} and a dense layer; Adam, mean squared"
        f" error, {recipe.epochs} epochs, batches of {recipe.batch}; {split}{changed}."
    )


def recipe_page(
    recipe: Recipe,
    changes: dict[str, object],
    read: ReadSeries,
    answers: Answers,
    origin: tuple[tuple[str, str], ...],
) -> RecipeReport:
    """The page's content."""
    published, improved = answers.published, answers.improved
    other = read.series.name if recipe.ticker not in (None, read.series.name) else None
    changes = ({"ticker": other} if other else {}) | changes
    if improved is not None:
        figures, honest = (
            _published_sine(recipe, read, published),
            _honest_sine(recipe, read, published, improved),
        )
        plots = _sine_plots(recipe, read, published, improved)
    else:
        figures, honest = _published_prices(read, published), _honest_prices(recipe, read, answers)
        plots = _price_plots(recipe, read, answers)
    return RecipeReport(
        name=recipe.name,
        title=f"{recipe.title}, here {other}'s" if other else recipe.title,
        figures=figures,
        honest=honest,
        flattery=recipe.flattery,
        plots=(*plots, *_attention_plot(published)),
        about=_about(recipe, changes),
        origin=origin,
    )
