"""The page of one run, and of one recipe: frames -> plain values -> one self-contained HTML file.

`build_summary` reduces the frames to plain values, `render_report` turns those into a page without scripts or external
parts, `write_report` puts it in place in one step.
"""

from forecast_lib.report.plots import Plot, Series
from forecast_lib.report.recipe import Figure, RecipeReport
from forecast_lib.report.render import render_recipe, render_report, write_report
from forecast_lib.report.summary import ReportInput, Summary, build_summary

__all__ = [
    "Figure",
    "Plot",
    "RecipeReport",
    "ReportInput",
    "Series",
    "Summary",
    "build_summary",
    "render_recipe",
    "render_report",
    "write_report",
]
