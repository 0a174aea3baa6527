"""How the places of machines in a feed are written in a checkpoint, in this version and the ones before."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["machines_in", "steps_of", "text_of", "times_of"]


def text_of(document: Mapping[str, Any]) -> str:
    """A checkpoint's text."""
    return json.dumps(document, separators=(",", ":"))


def machines_in(document: Mapping[str, Any], lateness_ns: int) -> tuple[int, dict[str, list[Any]]]:
    """The first time of all, and machine to its place, of a checkpoint that has all of them in its text.

    In an earlier version there was one newest time for all of them: every row up to it was read, but for late
    ones.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is none.
    """
    start = int(document["start"])
    if "machines" in document:
        told = document.get("conflicts", {})
        return start, {
            machine: [*own, told[machine]] if machine in told else own
            for machine, own in document["machines"].items()
        }
    newest = int(document["newest"])
    found = {machine: times_of(newest, steps) for machine, steps in document["seen"].items()}
    places = {m: [max(times), steps_of(max(times), times)] for m, times in found.items() if times}
    return max(start, newest - lateness_ns + 1), places


def steps_of(newest: int, times: Iterable[int]) -> list[list[int]]:
    """Times as steps back from the newest, each with how often it is taken."""
    back = sorted(newest - time for time in times)
    steps = np.diff(back, prepend=0).tolist()
    return [[step, sum(1 for _ in same)] for step, same in groupby(steps)]


def times_of(newest: int, steps: Iterable[list[int]]) -> set[int]:
    """The times that `steps_of` wrote."""
    times, moment = set(), newest
    for step, count in steps:
        for _ in range(int(count)):
            moment -= int(step)
            times.add(moment)
    return times
