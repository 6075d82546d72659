"""Plain values -> one self-contained page, and the page -> its place in the workspace.

Every text is escaped by Jinja2 (`autoescape`), and the page forbids itself scripts and foreign parts by its own content
security policy: a hostile name or reason from a price source stays text, also for a reader of a page mailed around.
"""

import datetime as dt
import functools
import math
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from forecast_lib.errors import UsageError
from forecast_lib.report.plots import draw_lines
from forecast_lib.report.recipe import RecipeReport
from forecast_lib.report.summary import Summary

__all__ = ["PLOTS_OPEN", "render_recipe", "render_report", "write_report"]

PLOTS_OPEN = 24
"""Plots shown at once; the rest wait, folded, in groups of as many."""

MISSING = "–"
_LONGEST_TEXT = 300  # a source's error text may be a whole web page
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)

_STATUS_WORDS = {"fresh": "fresh", "last_good": "last good model", "naive": "naive only", "ended": "ended", "none": "no forecast"}
_STATUS_TONES = {"fresh": "good", "last_good": "warn", "naive": "warn", "ended": "warn", "none": "bad", "degraded": "warn", "failed": "bad"}


def render_report(summary: Summary) -> str:
    """The page of one run, as HTML text."""
    groups = [summary.plots[at : at + PLOTS_OPEN] for at in range(0, len(summary.plots), PLOTS_OPEN)]
    return _environment().get_template("run.html").render(s=summary, run=summary.run, plot_groups=groups)


def render_recipe(report: RecipeReport) -> str:
    """The page of one recipe, as HTML text."""
    drawings = [(plot, draw_lines(plot)) for plot in report.plots]
    return _environment().get_template("recipe.html").render(r=report, drawings=drawings)


def write_report(workspace: Path, run_id: str, html: str, *, latest: bool = True) -> Path:
    """Puts the page at `reports/RUN_ID/index.html`, and where asked a copy at `reports/latest.html`, each in one step.

    A reader sees the old page or the new one, never a part, also after a power cut. The files' mode is 0644.

    Returns:
        The path of the run's own page.

    Raises:
        UsageError: a run id that is no plain file name.
        OSError: the disk refuses; the older pages are untouched then.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(f"run id {run_id[:40]!r} cannot name a folder: expected 1 to 128 of A-Z a-z 0-9 . _ -, no leading dot")
    reports = workspace / "reports"
    page = reports / run_id / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    data = html.encode("utf-8", errors="replace")  # a lone surrogate in a foreign text must not cost the page
    _replace_file(page, data)
    if latest:
        _replace_file(reports / "latest.html", data)
    return page


def _replace_file(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".new", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("forecast_lib.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        clip=_clip,
        count=_count,
        figure=_figure,
        fixed=_fixed,
        moment=_moment,
        percent=_percent,
        price=_price,
        seconds=_seconds,
        short_id=_short_id,
        status_word=lambda status: _STATUS_WORDS.get(status, status),
        tone=lambda status: _STATUS_TONES.get(status, "plain"),
    )
    return environment


def _clip(text: str | None) -> str:
    """Text of a bearable length on one line; a dash for none."""
    line = " ".join((text or "").split())
    return (line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…") or MISSING


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _price(value: float | None) -> str:
    """A price with two decimals, or four significant digits below 1.

    >>> [_price(value) for value in (1234.5, 0.01234, None)]
    ['1,234.50', '0.01234', '–']
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"


def _fixed(value: float | None, decimals: int) -> str:
    return f"{value:,.{decimals}f}" if _finite(value) else MISSING


def _percent(share: float | None, decimals: int = 1) -> str:
    """A share of 1 as per cent.

    >>> _percent(0.8125)
    '81.2 %'
    """
    return MISSING if share is None or not math.isfinite(share) else f"{100 * share:.{decimals}f} %"


def _seconds(value: float | None) -> str:
    """A duration in words that stay short.

    >>> [_seconds(value) for value in (0.04, 3.21, 75, 3723.0)]
    ['40 ms', '3.2 s', '1 min 15 s', '1 h 2 min']
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _figure(value: Any) -> str:
    """A recipe's figure: six significant digits, or the text as it is.

    >>> [_figure(value) for value in (0.00081234567, 1200, "no", None)]
    ['0.000812346', '1,200', 'no', '–']
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _clip(None if value is None else str(value))
    return f"{value:,.6g}" if math.isfinite(value) else MISSING


def _count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> _count(1, "ticker"), _count(1200, "ticker")
    ('1 ticker', '1,200 tickers')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _moment(value: dt.datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"


def _short_id(identifier: str | None) -> str:
    return identifier[:10] if identifier else MISSING
