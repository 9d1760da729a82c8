"""The figures of benchmarks.truth as a picture: for each floor the recall over the poll interval, ours and without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from tests.truth import Score

OURS, ALONE, GRID = "#0b6e99", "#c2571a", "#d9d9d9"


def plot(totals: Mapping[tuple[str, float], tuple[Score, Score]], out: Path) -> None:
    """Write the SVG; the same figures give the same bytes."""
    mpl.rcParams |= {"svg.hashsalt": "streamer", "svg.fonttype": "none", "font.size": 9, "axes.edgecolor": "#777777"}
    floors = list(dict.fromkeys(name for name, _ in totals))
    columns = 4
    rows = -(-len(floors) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(11, 2.6 * rows), sharex=True, sharey=True, squeeze=False)
    for place, name in zip(axes.flat, floors, strict=False):
        intervals = [interval for floor, interval in totals if floor == name]
        alone = [100 * totals[name, interval][0].shares[0] for interval in intervals]
        ours = [100 * totals[name, interval][1].shares[0] for interval in intervals]
        place.plot(intervals, ours, color=OURS, marker="o", markersize=3, label="streamer")
        place.plot(intervals, alone, color=ALONE, marker="s", markersize=3, linestyle="--", label="states compared")
        place.set_title(name, fontsize=9)
        place.set_xscale("log")
        place.set_xticks(intervals, [f"{interval:g}" for interval in intervals])
        place.minorticks_off()
        place.set_ylim(0, 104)
        place.grid(color=GRID, linewidth=0.6)
    for place in axes.flat[len(floors) :]:
        place.set_visible(False)
    axes[0][0].legend(loc="lower left", frameon=False)
    figure.supxlabel("seconds between two polls")
    figure.supylabel("true transitions told, %")
    figure.tight_layout()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
