"""The frames of one run -> its pages: a first page, one for each ticker, and a glossary. Nothing is read or
written here.

Every text is escaped by Jinja2 (`autoescape`), those of a drawing by `drawing`, and each page forbids itself
foreign parts and foreign scripts by its own content security policy: a hostile name or reason from a price
source stays text, also for a reader of a page mailed around. The one script, which sorts and searches the
table of the first page, is named in the policy by its hash.
"""

import base64
import functools
import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import pandas as pd
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from forecast_lib.report import words
from forecast_lib.report.compiled import KeptCode
from forecast_lib.report.drawing import bar, svg
from forecast_lib.report.frames import (
    FORECASTS_READ,
    NO_CLOSES,
    Closes,
    Past,
    Record,
    ReportInput,
    by_ticker,
    closes_of,
    pasts,
    records,
)
from forecast_lib.report.glossary import GLOSSARY
from forecast_lib.report.plots import draw_lines
from forecast_lib.report.recipe import RecipeReport
from forecast_lib.report.sections.about import RunFacts, about
from forecast_lib.report.sections.attention import Attention, attention
from forecast_lib.report.sections.beside import Trial, trials
from forecast_lib.report.sections.changes import Changes, changes
from forecast_lib.report.sections.charts import Charts, charts
from forecast_lib.report.sections.coverage import Coverage, coverage_rows
from forecast_lib.report.sections.drivers import Driver, drivers_of
from forecast_lib.report.sections.events import Events, events
from forecast_lib.report.sections.lately import CARD, LARGE, Picture, Size, chosen, pictures
from forecast_lib.report.sections.makers import Makers, makers, step_weights
from forecast_lib.report.sections.quality import Quality, quality
from forecast_lib.report.sections.record import TickerRecord, ticker_record
from forecast_lib.report.sections.skill import Skill, newest_scores, skill, ticker_scores
from forecast_lib.report.sections.tickers import (
    TickerLine,
    TickerState,
    states,
    status_counts,
    ticker_lines,
)
from forecast_lib.report.sections.tonight import Tonight, tonight
from forecast_lib.report.words import FILTERS, page_name

__all__ = ["INDEX", "IndexPage", "TickerPage", "pages_of", "render_recipe", "report_pages"]

INDEX = "index.html"
_SECTIONS = (
    *("about", "attention", "beside", "changes", "charts", "events", "makers", "quality", "record", "skill"),
    *("tickers", "tonight"),
)
_MOST_PAGES = 1000
"""Pages of more tickers take longer than the night's prices; then those that the first page speaks of have
theirs.
"""


@dataclass(frozen=True)
class IndexPage:
    """Everything on the first page of a run."""

    run: RunFacts
    statuses: tuple[tuple[str, int], ...]
    horizon: int
    charts: Charts
    attention: Attention
    changes: Changes
    lines: tuple[TickerLine, ...]
    skill: Skill
    quality: Quality
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class TickerPage:
    """Everything on the page of one ticker; `before` and `after` are its neighbours by name."""

    run: RunFacts
    state: TickerState
    large: Picture | None
    small: Picture | None
    tonight: Tonight | None
    record: TickerRecord
    makers: Makers
    events: Events
    before: str | None
    after: str | None


@dataclass(frozen=True)
class _Known:
    """What both kinds of pages are made of."""

    report: ReportInput
    run: RunFacts
    states: tuple[TickerState, ...]
    closes: Mapping[str, Closes]
    past: Mapping[str, Mapping[int, Past]]
    forecasts: Mapping[str, Sequence[Record]]
    drivers: Mapping[str, Sequence[Driver]]
    coverage: Sequence[Coverage]
    scores: pd.DataFrame

    def pictures(self, state: TickerState, *sizes: Size) -> tuple[Picture, ...]:
        """One of each size, or none at all."""
        ticker = state.ticker
        return pictures(
            state,
            self.closes.get(ticker, NO_CLOSES),
            self.forecasts.get(ticker, ()),
            self.past.get(ticker, {}),
            sizes,
            simulated=self.report.simulated,
        )


def _known(report: ReportInput) -> _Known:
    forecasts = by_ticker(report.forecasts, FORECASTS_READ)
    return _Known(
        report=report,
        run=about(report),
        states=states(report),
        closes=closes_of(report.prices),
        past=pasts(report.past),
        forecasts={ticker: sorted(rows, key=itemgetter("step")) for ticker, rows in forecasts.items()},
        drivers=drivers_of(report.drivers),
        coverage=coverage_rows(report.coverage, "ticker"),
        scores=newest_scores(report),
    )


def _index(known: _Known) -> IndexPage:
    report = known.report
    lines = ticker_lines(known.states, known.forecasts, known.closes, known.past)
    found = attention(known.states, known.past, known.coverage)
    shown = chosen(known.states, [each.ticker for each in found.surprises])
    cards = [made for state in shown for made in known.pictures(state, CARD)]
    return IndexPage(
        run=known.run,
        statuses=status_counts(known.states),
        horizon=max((line.last.step for line in lines if line.last), default=1),
        charts=charts(lines, known.past, cards),
        attention=found,
        changes=changes(report, known.drivers, known.closes),
        lines=lines,
        skill=skill(report, known.scores),
        quality=quality(report, known.states),
        trials=trials(report),
    )


def pages_of(report: ReportInput) -> tuple[IndexPage, list[TickerState], Iterator[TickerPage]]:
    """The first page's values, the tickers that have a page of their own, and the values of each of them, by
    name.

    Raises:
        ValueError: `run` is not exactly one row.
    """
    known = _known(report)
    index = _index(known)
    shown = _with_pages(known, index)
    return index, shown, _tickers(known, shown, index.changes)


def _tickers(known: _Known, shown: Sequence[TickerState], changed: Changes) -> Iterator[TickerPage]:
    report = known.report
    why = {each.ticker: each.text for each in changed.widths}
    run_id = known.run.run_id
    of = {name: by_ticker(getattr(report, name)) for name in ("nights", "refused", "verdicts")}
    weights = step_weights(report.weights)
    models = {row["ticker"]: row for row in records(report.models) if row["run_id"] == run_id}
    coverage: dict[str, list[Coverage]] = {}
    for row in known.coverage:
        coverage.setdefault(row.of, []).append(row)
    scores = ticker_scores(known.scores)
    for at, state in enumerate(shown):
        name = state.ticker
        large, small = known.pictures(state, LARGE, CARD) or (None, None)
        yield TickerPage(
            run=known.run,
            state=state,
            large=large,
            small=small,
            tonight=tonight(name, known.forecasts.get(name, ())),
            record=ticker_record(name, known.past.get(name, {}), coverage.get(name, ())),
            makers=makers(
                name,
                weights.get(name, ()),
                known.drivers.get(name, ()),
                scores.get(name, ()),
                why.get(name),
            ),
            events=events(
                state,
                models.get(name),
                *(of[part].get(name, ()) for part in ("nights", "refused", "verdicts")),
            ),
            before=shown[at - 1].ticker if at else None,
            after=shown[at + 1].ticker if at + 1 < len(shown) else None,
        )


def _with_pages(known: _Known, index: IndexPage) -> list[TickerState]:
    """The tickers that have a page of their own, by name: all; of very many, and of a run that takes in
    prices only, those that the first page speaks of.
    """
    found = known.states
    if len(found) <= _MOST_PAGES and known.run.kind != "ingest":
        return sorted(found, key=lambda state: state.ticker)
    parts = index.attention
    named = {
        each.ticker
        for part in (parts.degraded, parts.ended, parts.flagged, parts.behind, parts.surprises)
        for each in part
    }
    named |= {each.ticker for each in index.changes.shown}
    named |= {each.of for each in parts.uncovered} | {each.state.ticker for each in index.charts.pictures}
    return sorted((state for state in found if state.ticker in named), key=lambda state: state.ticker)


def report_pages(report: ReportInput) -> Iterator[tuple[str, str]]:
    """File names and HTML texts of a run's pages; links between them begin with `./`."""
    index, shown, tickers = pages_of(report)
    paged = {state.ticker for state in shown}
    yield INDEX, _template("index.html").render(s=index, run=index.run, paged=paged)
    yield "glossary.html", _template("glossary.html").render(terms=GLOSSARY)
    template = _template("ticker.html")
    for page in tickers:
        yield page_name(page.state.ticker), template.render(p=page, run=page.run)


def render_recipe(report: RecipeReport) -> str:
    """The page of one recipe, as HTML text."""
    drawings = [(plot, draw_lines(plot)) for plot in report.plots]
    return _template("recipe.html").render(r=report, drawings=drawings)


def _template(name: str) -> Template:
    """A template of a page, in which the macros of each section, and those of all, go by its name."""
    environment = _environment()
    parts = {part: environment.get_template(f"{part}.html").module for part in ("macros", *_SECTIONS)}
    return environment.get_template(name, globals=parts)


@functools.cache
def _environment() -> Environment:
    loader = ChoiceLoader(
        [PackageLoader("forecast_lib.report"), PackageLoader("forecast_lib.report", "sections")]
    )
    environment = Environment(
        loader=loader,
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=KeptCode([inspect.getsource(words), inspect.getsource(_environment)]),
    )
    environment.filters.update(FILTERS, bar=bar, svg=svg)
    script = _source(environment, "tickers.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals.update(
        glossary=GLOSSARY,
        style=Markup(_source(environment, "style.css").rstrip()),
        script=Markup(script),
        script_hash=Markup(f"'sha256-{digest}'"),
    )
    return environment


def _source(environment: Environment, name: str) -> str:
    loader: Any = environment.loader
    text: str = loader.get_source(environment, name)[0]
    return text
