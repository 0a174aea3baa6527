"""The live view's machine lines, for any width."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge_runtime.gateway.viewing.state import State
from edge_runtime.gateway.viewing.words import age, cut, number, padded, shown, since, width
from edge_runtime.records import COMPLETE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.bundle.metadata import Sensor
    from edge_runtime.gateway.viewing.state import Seen

__all__ = ["GREY", "STYLES", "Line", "MachineLines", "max_id_cells", "stands_out"]

# Pieces of text, each with its rich style.
Line = list[tuple[str, str]]

GREY = "dim"
STYLES = {State.ANOMALY: "bold red", State.UNKNOWN: "yellow", State.SILENT: GREY, State.NORMAL: "green"}
GAP = "  "
AGE_CELLS = 6
VERDICT_CELLS = 7
SEVERITY_CELLS = 4
STANDS_OUT = "stands out: actual (expected), since"
STANDS_OUT_CELLS = 38
MIN_STANDS_OUT = 8
READING_CELLS = 15  # the usual width, so that the columns seldom move
BAR_CELLS = (3, 10)
FULL_BAR_SEVERITY = 2.0
MIN_FOR_AGE = 36
MIN_ID_CELLS = 10
ID_SHARE = 6


class MachineLines:
    """Where everything stands in a line; the more columns there are, the more sensors' readings.

    Args:
        machines: Those to be shown.
        sensors: The bundle's.
        columns: The terminal's width in cells.
    """

    def __init__(self, machines: Sequence[Seen], sensors: Sequence[Sensor], columns: int) -> None:
        self._sensors = sensors
        longest = max((width(shown(machine.name)) for machine in machines), default=0)
        self._id = min(max(longest, len("machine")), max_id_cells(columns))
        self._has_age = columns >= MIN_FOR_AGE
        rest = columns - self._id - len(GAP) - (AGE_CELLS + len(GAP)) * self._has_age
        beside = VERDICT_CELLS + len(GAP) + 1 + SEVERITY_CELLS
        fewest, most = BAR_CELLS
        self._bar = min(most, max(fewest, rest - beside - len(GAP) - STANDS_OUT_CELLS))
        if rest < beside + fewest:
            self._bar = 0
        extra = rest - beside - most - len(GAP) - STANDS_OUT_CELLS
        self._readings: list[int] = []  # the width of each sensor's column
        for place, sensor in enumerate(sensors):
            cells = [width(_reading(machine, place)) for machine in machines]
            wide = max(READING_CELLS, width(_heading(sensor)), *cells)
            if wide + len(GAP) > extra:
                break
            self._readings.append(wide)
            extra -= wide + len(GAP)
        self._status = rest - sum(wide + len(GAP) for wide in self._readings)

    def header(self) -> Line:
        """What stands in each column."""
        text = "verdict"
        if self._bar:
            text = GAP.join((text, "severity".ljust(self._bar + 1 + SEVERITY_CELLS), STANDS_OUT))
        titles = [_heading(sensor) for sensor in self._sensors]
        before = f"{'machine'.ljust(self._id)}{GAP}{self._age('age')}"
        return [(before + self._status_and_readings(text, titles), "bold")]

    def line(self, machine: Seen) -> Line:
        """One machine."""
        style = STYLES[machine.state]
        name = padded(shown(machine.name), self._id) + GAP
        before = name + self._age(age(machine.age))
        readings = [_reading(machine, place) for place in range(len(self._readings))]
        after = self._status_and_readings(status := self._words(machine), readings)
        if machine.state is State.SILENT:
            return [(before + after, GREY)]
        shown_status = cut(status, self._status)
        return [(before, ""), (shown_status, style), (after[len(shown_status) :], "")]

    def _age(self, text: str) -> str:
        return text.rjust(AGE_CELLS) + GAP if self._has_age else ""

    def _status_and_readings(self, status: str, readings: Sequence[str]) -> str:
        text = cut(status, self._status)
        if not self._readings:
            return text
        columns = (
            GAP + padded(cell, wide, right=True) for cell, wide in zip(readings, self._readings, strict=False)
        )
        return padded(text, self._status) + "".join(columns)

    def _last(self, machine: Seen) -> str:
        """The last verdict, with the sensors that are the reason where it is unknown."""
        if not machine.faults or machine.missing != COMPLETE:
            return machine.last
        names = ", ".join(shown(self._sensors[place].name) for place in machine.faults)
        return f"{machine.last} ({names})"

    def _words(self, machine: Seen) -> str:
        anomaly = machine.anomaly
        began = since(anomaly.since, machine.time) if anomaly else ""
        if machine.state is State.UNKNOWN:
            return self._last(machine) + (f", anomaly since {began}" if anomaly else "")
        if machine.state is State.SILENT:
            was = f"anomaly since {began}" if anomaly else self._last(machine)
            return f"{machine.state.label.ljust(VERDICT_CELLS)}{GAP}was {was}"
        words = machine.state.label
        if self._bar:
            words = GAP.join((words.ljust(VERDICT_CELLS), _bar(machine.severity, self._bar)))
        if machine.missing != COMPLETE:
            words += f"{GAP}without {shown(self._sensors[machine.missing].name)}"
            if fault := machine.faults.get(machine.missing):
                words += f" ({fault.label})"
        room = self._status - width(words) - len(GAP)
        if machine.state is State.ANOMALY and room >= MIN_STANDS_OUT:
            place = machine.sensor
            actual, expected = float(machine.values[place]), float(machine.expected[place])
            ending = (f", since {began}", f" {began}")
            words += GAP + stands_out(self._sensors[place], actual, expected, ending, room)
        return words


def max_id_cells(columns: int) -> int:
    """How wide a machine's id may be on a terminal of so many columns, in cells."""
    return max(MIN_ID_CELLS, columns // ID_SHARE)


def stands_out(sensor: Sensor, actual: float, expected: float, ending: tuple[str, str], cells: int) -> str:
    """A sensor with its actual and expected reading.

    Args:
        sensor: Its name and unit.
        actual: Raw units.
        expected: Raw units.
        ending: What follows, and what follows where there is less room.
        cells: Where it takes more, the expected reading is in brackets.
    """
    reading = f"{shown(sensor.name)} {number(actual)} {shown(sensor.unit)}".rstrip()
    long = f"{reading}, expected {number(expected)}{ending[0]}"
    return long if width(long) <= cells else f"{reading} ({number(expected)}){ending[1]}"


def _heading(sensor: Sensor) -> str:
    return shown(f"{sensor.name} {sensor.unit}".rstrip())


def _reading(machine: Seen, sensor: int) -> str:
    return f"{number(machine.values[sensor])} ({number(machine.expected[sensor])})"


def _bar(severity: float, cells: int) -> str:
    """Full at twice the threshold."""
    known = not math.isnan(severity)
    filled = round(max(0.0, min(severity / FULL_BAR_SEVERITY, 1.0)) * cells) if known else 0
    texts = (f"{severity:.2f}", f"{severity:.1f}", f"{severity:.0f}", ">1e4") if known else ("-",)
    text = next(text for text in texts if len(text) <= SEVERITY_CELLS)
    return f"{'█' * filled}{'·' * (cells - filled)} {text.rjust(SEVERITY_CELLS)}"
