"""What a comparison found, as tables and sentences for people."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainer.calibration.treatment import ALIKE
from trainer.evaluation.chance import SHIFTS
from trainer.evaluation.figures import NO_ANOMALIES, UNLABELLED
from trainer.evaluation.wording import ABOUT, FOUND, JOINED, MINUTES, UP_BEFORE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer.evaluation.evaluate import Evaluation

__all__ = [
    "Added",
    "Comparison",
    "Figures",
    "comparison_figures",
    "comparison_notes",
    "comparison_table",
]

OF_ROWS = {
    "F1": "f1",
    "precision": "precision",
    "recall": "recall",
    "ROC AUC": "roc_auc",
    "avg prec": "average_precision",
    "VUS-PR": "vus_pr",
    "random F1": "f1_of_random_alarms",
    "random prec": "precision_of_random_alarms",
}
EVENT_COLUMNS = [
    *("normal flagged", "minutes a day", "alarms", "precision", "false a day"),
    *("events", "random", "up before", "delay"),
]
RANDOM = f"random: what the same alarms find at random times, the mean of {SHIFTS} trials"
SPREAD = "±: half of the 90 % interval, from resampled blocks of time"


@dataclass(frozen=True, slots=True)
class Added:
    """What a trained detector adds to the best of the simple ones that are treated alike.

    Attributes:
        name: The detector.
        simple: The simple one with the highest F1 on the same test rows.
        f1: The detector's F1 less that of the simple one.
        low: Lower end of the difference's 90 % interval; NaN where there is none.
        high: Its upper end.
    """

    name: str
    simple: str
    f1: float
    low: float
    high: float

    def __str__(self) -> str:
        interval = f"90 % interval {self.low:+.3f} to {self.high:+.3f}"
        if math.isnan(self.low):
            interval = "too few anomalies for an interval"
        if self.low > 0:
            found = f"adds {self.f1:.3f} of F1 ({interval})"
        elif self.high < 0:
            found = f"adds nothing: its F1 is {-self.f1:.3f} lower ({interval})"
        else:
            found = f"adds nothing that these rows can show: its F1 differs by {self.f1:+.3f} ({interval})"
        return f"To {self.simple}, the best of the simple detectors on these very rows, {self.name} {found}."

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        low, high = (None if math.isnan(end) else end for end in (self.low, self.high))
        return {"to": self.simple, "f1": self.f1, "low": low, "high": high}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Methods on the same test rows.

    Attributes:
        methods: Method to its figures: trained detectors, then each simple one as it is and treated alike.
        treatment: What "treated alike" means, for people.
        like: The detector that has the same; None for the default recipe's.
        left_out: Simple detectors that the rows do not allow, and why.
        added: What each trained detector adds; empty without anomalies.
    """

    methods: Mapping[str, Evaluation]
    treatment: str
    like: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    added: Sequence[Added] = ()

    def to_dict(self) -> dict[str, Any]:
        """Every figure of every method, JSON-ready."""
        added = {one.name: {"adds": one.to_dict()} for one in self.added}
        return {name: {**one.to_dict(), **added.get(name, {})} for name, one in self.methods.items()}


@dataclass(frozen=True, slots=True)
class Figures:
    """A table of a comparison, for people.

    Attributes:
        title: Of what the figures are; empty where there is but one table.
        columns: The columns' names, without that of the method.
        rows: Method to its cells; "-" where a figure is undefined.
    """

    title: str
    columns: list[str]
    rows: dict[str, list[str]]


def comparison_figures(found: Comparison) -> list[Figures]:
    """Every method's figures of rows, and those of alarms and events.

    Without labels, or labelled anomalies, what is flagged is all that is known.
    """
    evaluations = found.methods.items()
    if not any(evaluation.labelled for _, evaluation in evaluations):
        return [Figures("", ["flagged"], {name: [f"{one.alarm_rate:.2%}"] for name, one in evaluations})]
    if not any(evaluation.has_anomalies for _, evaluation in evaluations):
        rows = {
            name: [
                _cell(one, "false_alarm_rate", ".2%"),
                _cell(one, "alarm_minutes_per_day", ",.1f"),
                _cell(one, "alarms", ",.0f"),
                _cell(one, "false_alarms_per_day", ".1f"),
            ]
            for name, one in evaluations
        }
        return [Figures("", ["flagged", "minutes a day", "alarms", "false a day"], rows)]
    of_rows = {name: [_cell(one, key, ".3f") for key in OF_ROWS.values()] for name, one in evaluations}
    return [
        Figures("Rows", list(OF_ROWS), of_rows),
        Figures("Alarms and events", EVENT_COLUMNS, {name: _event_cells(one) for name, one in evaluations}),
    ]


def _event_cells(evaluation: Evaluation) -> list[str]:
    events = evaluation.events
    return [
        _cell(evaluation, "false_alarm_rate", ".2%"),
        _cell(evaluation, "alarm_minutes_per_day", ",.1f"),
        _cell(evaluation, "alarms", ",.0f"),
        _cell(evaluation, "alarm_precision", ".3f"),
        _cell(evaluation, "false_alarms_per_day", ".1f"),
        "-" if events is None else f"{events.found}/{events.injected}",
        _cell(evaluation, "events_found_by_random_alarms", ".1f"),
        _cell(evaluation, "events_in_alarm_since_before", ".0f"),
        "-" if events is None or events.delays_s is None else f"{events.delays_s.median:.0f} s",
    ]


def _cell(evaluation: Evaluation, figure: str, form: str) -> str:
    """A figure, and half the width of its interval if it has one."""
    figures = evaluation.metrics()
    if figure not in figures:
        return "-"
    shown = format(figures[figure], form)
    if figure not in evaluation.intervals:
        return shown
    low, high = evaluation.intervals[figure]
    return f"{shown} ± {format((high - low) / 2, form).removesuffix('%')}"


def comparison_notes(found: Comparison) -> list[str]:
    """Sentences on what the detector adds, what the figures mean, and what the comparison cannot know."""
    like = "the default recipe" if found.like is None else found.like
    notes = [
        *map(str, found.added),
        f"{ALIKE.strip()}: as {like}, with {found.treatment}",
        *(f"left out is {name}: {why}" for name, why in found.left_out.items()),
    ]
    if not any(evaluation.labelled for evaluation in found.methods.values()):
        return [*notes, UNLABELLED]
    notes += [SPREAD, f"minutes a day: in alarm, {MINUTES}", f"alarms: {JOINED}"]
    one = next((evaluation for evaluation in found.methods.values() if evaluation.has_anomalies), None)
    if one is None:
        return [NO_ANOMALIES, *notes]
    return [
        *notes,
        f"precision: the part of the alarms that {ABOUT}; false: the others",
        f"events: found where {FOUND}",
        f"up before: {UP_BEFORE}",
        "delay: from an event's start to that alarm, the median of those that were found",
        RANDOM,
        one.always_line,
    ]


def comparison_table(found: Comparison) -> str:
    """For people: one line a method in each table, and notes."""
    parts = [_lines(figures) for figures in comparison_figures(found)]
    return "\n\n".join(["\n".join(lines) for lines in [*parts, comparison_notes(found)]])


def _lines(figures: Figures) -> list[str]:
    table = [figures.columns, *figures.rows.values()]
    widths = [max(map(len, cells)) + 2 for cells in zip(*table, strict=True)]
    names = ["method", *figures.rows]
    width = max(map(len, names))
    return [figures.title] * bool(figures.title) + [
        f"{name:<{width}}" + "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        for name, cells in zip(names, table, strict=True)
    ]
