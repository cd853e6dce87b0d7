"""Results -> an SVG: one panel a scenario, services on x, seconds on y, both logarithmic; a line a contender.

The same results give the same bytes. The text stays text, and the background is white, also on a dark page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from .statistics import summarise
from .values import Results, Scenario

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "golabs-infra",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#57606a",
    "axes.labelcolor": "#24292f",
    "text.color": "#24292f",
    "xtick.color": "#24292f",
    "ytick.color": "#24292f",
}
_LINES = {
    "direct": ("#0b57d0", "o"),
    "psql": ("#24292f", "s"),
    "psql-script": ("#8250df", "D"),
    "pgroles": ("#1a7f37", "^"),
    "terraform": ("#953800", "v"),
    "golabs-pulumi": ("#0a8a9c", "P"),
    "pulumi": ("#bf3989", "X"),
    "ansible": ("#cf222e", "*"),
}
_OTHER = ("#6e7781", ".")


def draw(results: Results, file: Path) -> None:
    """Writes the plot."""
    with matplotlib.rc_context(_STYLE):
        _figure(results).savefig(file, format="svg", metadata={"Date": None})


def _figure(results: Results) -> Figure:
    figure = Figure(figsize=(10.5, 8.4), facecolor="white")
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, scenario in zip(grid.flat, Scenario, strict=True):
        _panel(axes, results, scenario)
    for axes in grid[1]:
        axes.set_xlabel("services")
    for axes in grid[:, 0]:
        axes.set_ylabel("seconds (whole command)")
    handles = {label: line for axes in grid.flat for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    ordered = [entrant.label for entrant in results.entrants if entrant.label in handles]
    figure.legend(
        [handles[label] for label in ordered], ordered, loc="lower center", ncols=4, frameon=False, fontsize=10
    )
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    return figure


def _panel(axes: Axes, results: Results, scenario: Scenario) -> None:
    axes.set_title(scenario, loc="left", fontweight="bold")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(results.sizes[0] / 1.4, results.sizes[-1] * 1.4)
    axes.grid(True, which="major", color="#d0d7de", linewidth=0.8)
    axes.grid(True, which="minor", axis="y", color="#eaeef2", linewidth=0.5)
    axes.set_axisbelow(True)
    for entrant in results.entrants:
        found = [results.find(entrant.key, size, scenario) for size in results.sizes]
        points = [(one.size, summary) for one in found if one and not one.error and (summary := summarise(one.seconds))]
        if not points:
            continue
        color, marker = _LINES.get(entrant.key, _OTHER)
        ours = entrant.key == "direct"
        axes.plot(
            [size for size, _ in points],
            [summary.median for _, summary in points],
            color=color,
            marker=marker,
            markersize=8 if marker == "*" else 6,
            linewidth=2.8 if ours else 1.6,
            zorder=4 if ours else 3,
            label=entrant.label,
        )
        axes.vlines(
            [size for size, _ in points],
            [summary.low for _, summary in points],
            [summary.high for _, summary in points],
            colors=color,
            linewidth=1.2,
            zorder=2,
        )
    axes.set_xticks(results.sizes)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
