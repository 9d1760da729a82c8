"""The figures of benchmarks.poll_cost as a picture: CPU of a poll over the rows, for each share that changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.poll_cost_systems import OURS, PEER
from benchmarks.poll_cost_table import cells, figures, median

GRID = "#d9d9d9"
LOOKS = {
    OURS: ("streamer", "#0b6e99", "o", "-"),
    PEER: ("Redpanda Connect", "#7a4fa3", "^", "-."),
    "orjson+aiokafka": ("bare orjson and aiokafka", "#c2571a", "s", "--"),
    "raw+batch": ("bare comparison of bytes", "#777777", "D", ":"),
}
"""System → its name, colour, mark and line."""


def plot(data: Mapping[str, Any], out: Path) -> None:
    """Write the SVG; the same figures give the same bytes. All at the common interval, rows in the same order."""
    mpl.rcParams |= {"svg.hashsalt": "streamer", "svg.fonttype": "none", "font.size": 9, "axes.edgecolor": "#777777"}
    found = [cell for cell in cells(data["whole"]) if not cell[2]]
    sizes, shares = sorted({rows for rows, _, _ in found}), sorted({share for _, share, _ in found})
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, squeeze=False)
    for place, (title, across, by) in zip(
        axes.flat,
        (
            (f"{shares[len(shares) // 2]:.0%} of the rows change", sizes, "rows"),
            (f"{sizes[len(sizes) // 2]:,} rows", shares, "share"),
        ),
        strict=True,
    ):
        for system, (name, colour, mark, line) in LOOKS.items():
            values = [_cpu(data, system, one, by, sizes, shares) for one in across]
            points = [(n, value) for n, value in enumerate(values) if value is not None]
            if points:
                place.plot(*zip(*points, strict=True), color=colour, marker=mark, markersize=4, ls=line, label=name)
        place.set_title(title, fontsize=9)
        place.set_xticks(range(len(across)), [f"{one:,}" if by == "rows" else f"{one:.0%}" for one in across])
        place.set_xlabel("rows of an answer" if by == "rows" else "rows that change from answer to answer")
        place.set_yscale("log")
        place.yaxis.set_major_formatter(FuncFormatter(_plain))
        place.yaxis.set_minor_formatter(NullFormatter())
        place.grid(color=GRID, linewidth=0.6)
    axes[0][0].set_ylabel("CPU of the whole process, ms a poll")
    axes[0][0].legend(loc="upper left", frameon=False)
    figure.tight_layout()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})


def _cpu(
    data: Mapping[str, Any], system: str, value: float, by: str, sizes: list[int], shares: list[float]
) -> float | None:
    """A system's figure where `by` has this value and the other is in the middle of what was measured."""
    cell = (int(value), shares[len(shares) // 2]) if by == "rows" else (sizes[len(sizes) // 2], value)
    return median(figures(data, (*cell, False), system))


def _plain(value: float, _: int | None) -> str:
    return f"{value:g}"
