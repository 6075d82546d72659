"""What happened to one ticker: what was decided about its model, night by night, and what was odd in its
prices.
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from forecast_lib.report.frames import Record, day_of
from forecast_lib.report.sections.tickers import TickerState

__all__ = ["Decision", "Events", "Night", "PriceEvent", "events"]


@dataclass(frozen=True)
class Decision:
    """What was decided tonight for the ticker's model; the `trained_*` fields tell of a model trained in this
    run, if any.
    """

    decision: str | None
    trigger: str | None
    model_id: str | None
    seconds: float | None
    trained_id: str | None
    variant: str | None
    epochs: int | None
    gate_reason: str | None


class Night(NamedTuple):
    """How the ticker came out of an earlier night."""

    as_of: dt.date
    status: str
    made_by: str | None
    decision: str | None
    said: str | None


class PriceEvent(NamedTuple):
    """A row that was refused, or a verdict on an odd move. `what`: the rule, or the verdict."""

    session: dt.date | None
    known_at: dt.date | None
    what: str
    said: str
    released: bool


@dataclass(frozen=True)
class Events:
    """Tonight's decision, the nights before (the newest first), and what was odd in the prices (the newest
    first).
    """

    decision: Decision
    nights: tuple[Night, ...]
    prices: tuple[PriceEvent, ...]


def events(
    state: TickerState,
    model: Record | None,
    nights: Sequence[Record],
    refused: Sequence[Record],
    verdicts: Sequence[Record],
) -> Events:
    """The rows of one ticker in plain values. `model`: its row of `models` that this run trained."""
    odd = [*map(_refusal, refused), *map(_verdict, verdicts)]
    odd.sort(key=lambda each: (each.session or dt.date.min, each.known_at or dt.date.min), reverse=True)
    return Events(_decision(state, model or {}), tuple(map(_night, nights)), tuple(odd))


def _decision(state: TickerState, model: Record) -> Decision:
    return Decision(
        decision=state.decision,
        trigger=state.trigger,
        model_id=state.model_id,
        seconds=state.seconds,
        trained_id=model.get("model_id"),
        variant=model.get("variant"),
        epochs=None if model.get("epochs") is None else int(model["epochs"]),
        gate_reason=model.get("gate_reason"),
    )


def _night(row: Record) -> Night:
    said = "; ".join(text for text in (row.get("reason"), row.get("flags")) if text) or row.get("trigger")
    return Night(
        day_of(row["as_of"]) or dt.date.min, row["status"], row.get("made_by"), row.get("decision"), said
    )


def _refusal(row: Record) -> PriceEvent:
    return PriceEvent(
        day_of(row["session"]),
        day_of(row["known_at"]),
        row["rule"],
        row["reason"],
        row.get("released_at") is not None,
    )


def _verdict(row: Record) -> PriceEvent:
    return PriceEvent(
        day_of(row["session"]),
        day_of(row["known_at"]),
        f"judged {row['verdict']}",
        _evidence(row.get("evidence")),
        False,
    )


def _evidence(text: str | None) -> str:
    """Evidence as words: the sentence in it, or what a person noted, or its pairs."""
    try:
        found = json.loads(text or "")
    except ValueError:
        return text or ""
    if not isinstance(found, dict):
        return str(found)
    if found.get("by") == "person":
        return f"a person said so: {found.get('note', '')}"
    return str(found.get("sentence") or ", ".join(f"{name} {value}" for name, value in found.items()))
