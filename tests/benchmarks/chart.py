"""Draws the results as bars, in colours that are readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from .serving import OURS
from .speed import Round

MEASURES = {
    "per_second": ("Requests per second, more is better", "{:.0f}"),
    "cpu_ms": ("Server CPU per request, ms", "{:.2f}"),
    "p50_ms": ("Latency p50, ms", "{:.1f}"),
    "p99_ms": ("Latency p99, ms", "{:.1f}"),
}
BLUE, GREY, TEXT = "#2f81f7", "#8b949e", "#7d8590"
STYLE = {
    **dict.fromkeys(["text.color", "ytick.color", "axes.titlecolor", "axes.edgecolor"], TEXT),
    "axes.titlesize": 8,
    "font.size": 8,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "benchmarks",  # the same results give the same file
}


def draw(results: Mapping[str, Round], path: Path) -> None:
    """Write an SVG: a row for each database, a column for each measure, a bar for each candidate."""
    with rc_context(STYLE):
        figure = Figure(figsize=(12, 3.2 * len(results)), layout="constrained")
        rows = figure.subplots(len(results), len(MEASURES), squeeze=False)
        for (database, candidates), axes in zip(results.items(), rows, strict=True):
            colours = [BLUE if name in OURS else GREY for name in candidates]
            for axis, (measure, (title, form)) in zip(axes, MEASURES.items(), strict=True):
                values = [getattr(result, measure) for result in candidates.values()]
                axis.bar_label(axis.barh(list(candidates), values, color=colours), fmt=form, padding=3)
                axis.set_title(f"{database}: {title}")
                axis.invert_yaxis()
                axis.margins(x=0.2)
                axis.set_xticks([])
                axis.tick_params(left=False)
                axis.spines[["top", "right", "bottom"]].set_visible(False)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
