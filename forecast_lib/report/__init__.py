"""The pages of one run, and of one recipe: frames -> plain values -> self-contained HTML files.

`sections/` has a module for each part of a page: its value, its builder and its template; `pages` puts them
together; `writing` puts the files in place. `report_pages` makes the texts from the frames,
`PagesBeside` and `show_latest` show them.
"""

from forecast_lib.report.frames import PAST_READ, ReportInput
from forecast_lib.report.pages import (
    INDEX,
    render_recipe,
    report_pages,
)
from forecast_lib.report.plots import Plot, Series
from forecast_lib.report.recipe import Figure, RecipeReport
from forecast_lib.report.sections.skill import SCORES_READ
from forecast_lib.report.writing import PagesBeside, show_latest, write_report

__all__ = [
    "INDEX",
    "PAST_READ",
    "SCORES_READ",
    "Figure",
    "PagesBeside",
    "Plot",
    "RecipeReport",
    "ReportInput",
    "Series",
    "render_recipe",
    "report_pages",
    "show_latest",
    "write_report",
]
