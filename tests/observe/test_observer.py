"""Observers: everyone is told everything, and nobody who fails takes others with him."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from streamer.observe.observer import CALLS, Observer, Observers
from tests.observe.metrics_page import everything


class Broken(Observer):
    """Fails when it is told of polls and problems."""

    def polling(self, source: str, late: float) -> None:
        raise ZeroDivisionError(source)

    def problem(self, what: str, **details: object) -> None:
        raise KeyError(what)


def listening(told: list[str]) -> Observer:
    """An observer that keeps the names of its calls."""
    observer = Observer()
    for name in CALLS:
        setattr(observer, name, _noting(told, name))
    return observer


def _noting(told: list[str], name: str) -> Callable[..., None]:
    return lambda *_, **__: told.append(name)


def test_everyone_is_told_everything_in_order() -> None:
    """Each call once, with what it was given."""
    first, second = list[str](), list[str]()
    both = Observers(listening(first), listening(second))
    everything(both)
    both.released("floor")
    assert first == second
    assert set(first) == set(CALLS)


def test_one_that_fails_costs_nobody_anything_and_is_told_of_once_for_each_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever comes after it is told, whoever calls goes on, and the log is not filled poll by poll."""
    told: list[str] = []
    both = Observers(Broken(), listening(told))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            everything(both)
    assert told.count("polling") == told.count("problem") == 3
    assert [record.getMessage().split()[-5:-4] for record in caplog.records] == [["polling;"], ["problem;"]]
    assert "ZeroDivisionError" in caplog.text
