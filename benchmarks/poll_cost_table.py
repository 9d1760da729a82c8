"""The figures of benchmarks.poll_cost as tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.poll_cost_systems import BARE, OURS, PEER

Found = Mapping[str, Any]
COLUMNS = [*((system, True) for system in (PEER, *BARE)), *((system, False) for system in BARE)]
"""The others: each at the common interval, the bare minima also without a rest."""

LATE = 1.05
"""Times the interval, from one poll to the next."""

OWN = ("decode", "gate+step", "encode")
"""The stages that are ours alone: neither the network's nor Kafka's."""


def tables(data: Found) -> str:
    """All of them, and on which machine they were measured."""
    parts = [f"{data['machine']}."]
    if data["whole"]:
        parts.append(_whole(data))
    if data["stages"]:
        parts.append(_stages(data["stages"]))
    return "\n\n".join(parts)


def cells(found: Iterable[Found]) -> list[tuple[int, float, bool]]:
    """Rows, share and whether the order changes, of all that was measured."""
    return sorted({(one["rows"], one["share"], one["shuffled"]) for one in found}, key=lambda cell: (cell[2], *cell))


def figures(data: Found, cell: tuple[int, float, bool], system: str, *, resting: bool = True) -> dict[int, Found]:
    """A system's figures of one cell, by repetition: at the common interval, or without a rest."""
    return {
        one["rep"]: one
        for one in data["whole"]
        if (one["rows"], one["share"], one["shuffled"]) == cell
        and one["system"] == system
        and bool(one["interval"]) == resting
    }


def median(found: Mapping[int, Found], name: str = "cpu_ms") -> float | None:
    """Over the repetitions; None if it was not measured."""
    return statistics.median(one[name] for one in found.values()) if found else None


def ratio(ours: Mapping[int, Found], theirs: Mapping[int, Found]) -> float | None:
    """Ours over theirs: the median of the repetitions' ratios."""
    both = [ours[rep]["cpu_ms"] / theirs[rep]["cpu_ms"] for rep in ours.keys() & theirs.keys()]
    return statistics.median(both) if both else None


def late(found: Mapping[int, Found]) -> str:
    """A mark where polls came later than the interval asks for."""
    return "*" if any(0 < one["interval"] * LATE * 1e3 < one["every_ms"] for one in found.values()) else ""


def _whole(data: Found) -> str:
    reps = 1 + max(one["rep"] for one in data["whole"])
    heads = ["rows", "changed", "order", "every", "ours", "wall"]
    for system, resting in COLUMNS:
        heads.append(system if resting else f"{system}, no rest")
    lines = [
        f"CPU ms of the whole process per poll, median of {reps}; in brackets ours divided by it. `wall`: ms from our "
        "request to the commit of its events. *: it did not keep to the interval.",
        "",
        _line(heads),
        _line(["---"] * len(heads)),
    ]
    for cell in cells(data["whole"]):
        ours = figures(data, cell, OURS)
        if not ours:
            continue
        every = next(iter(ours.values()))["interval"]
        row = [*_named(cell), f"{every:g} s", _ms(median(ours)) + late(ours), _ms(median(ours, "wall_ms"))]
        for system, resting in COLUMNS:
            theirs = figures(data, cell, system, resting=resting)
            value, times = median(theirs), ratio(ours, theirs)
            row.append("–" if value is None or times is None else f"{_ms(value)}{late(theirs)} ({times:.2f})")
        lines.append(_line(row))
    return "\n".join(lines)


def _stages(found: list[Found]) -> str:
    names = list(dict.fromkeys(stage for one in found for stage in one["cpu"]))
    heads = ["rows", "changed", "order", *names, "own", "orjson.loads", "own ÷ loads", "own, µs per row"]
    lines = [
        f"CPU ms by stage, median over the polls; own: {' + '.join(OWN)}.",
        "",
        _line(heads),
        _line(["---"] * len(heads)),
    ]
    for one in sorted(found, key=lambda one: (one["shuffled"], one["rows"], one["share"])):
        stages, loads = one["cpu"], one["orjson.loads"]
        own = sum(value for stage, value in stages.items() if stage in OWN)
        row = [*_named((one["rows"], one["share"], one["shuffled"])), *(_ms(stages.get(name)) for name in names)]
        row += [_ms(own), _ms(loads), f"{own / loads:.2f}", f"{1e3 * own / one['rows']:.3f}"]
        lines.append(_line(row))
    return "\n".join(lines)


def _named(cell: tuple[int, float, bool]) -> list[str]:
    rows, share, shuffled = cell
    return [f"{rows:,}", f"{share:.0%}", "shuffled" if shuffled else "stable"]


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    places = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{places}f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
