"""The report's tables. Whatever comes from the data or the disk is escaped here, in `table` and `facts`."""

from __future__ import annotations

from html import escape
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.calibration.absence import LOSS_NOTES
from trainer.calibration.alarm_findings import WITH, WITHOUT, alarm_rows, alarm_sentence
from trainer.data.rows import iso_times
from trainer.experiment.comparison import comparison_figures, comparison_notes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.bundle.metadata import Alarms, Degraded, Sensor, SensorStatus
    from trainer.evaluation.evaluate import Evaluation
    from trainer.experiment.comparison import Comparison
    from trainer.report.alarm_rate import Foretold, NormalRows
    from trainer.report.findings import Finding
    from trainer.report.scored import Scored

__all__ = [
    "absences_html",
    "alarms_html",
    "budget_table",
    "comparison_html",
    "facts",
    "findings_table",
    "kinds_table",
    "moment",
    "standing_html",
    "table",
    "tiles",
]

MAX_FINDINGS = 50


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, mark: int | None = None) -> str:
    """A table of plain text; cells that begin like numbers do not wrap, and a row may be marked."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    lines = [
        f"<tr{' class=mark' if i == mark else ''}>{''.join(_cell(cell) for cell in row)}</tr>"
        for i, row in enumerate(rows)
    ]
    body = "\n".join(lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _cell(text: str) -> str:
    number = text[:1].isdigit() or text[:1] == "-"
    return f"<td{' class=number' if number else ''}>{escape(text)}</td>"


def facts(pairs: Mapping[str, str]) -> str:
    """Names and what they are."""
    lines = [f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in pairs.items()]
    return "<dl>\n" + "\n".join(lines) + "\n</dl>"


def tiles(pairs: Mapping[str, tuple[str, str]]) -> str:
    """The figures that decide: a name to its figure, and what to know of it."""
    lines = [
        f"<div><span>{escape(name)}</span><b>{escape(figure)}</b><small>{escape(note)}</small></div>"
        for name, (figure, note) in pairs.items()
    ]
    return '<div class="tiles">\n' + "\n".join(lines) + "\n</div>"


def comparison_html(found: Comparison) -> str:
    """Tables of one row a method, the first one marked, and what their figures mean."""
    parts = []
    for one in comparison_figures(found):
        rows = [[name, *cells] for name, cells in one.rows.items()]
        parts += [f"<h3>{escape(one.title)}</h3>"] * bool(one.title)
        parts.append(table(["method", *one.columns], rows, mark=0))
    notes = "".join(f"<li>{escape(note)}</li>\n" for note in comparison_notes(found))
    return "\n".join([*parts, f"<ul>\n{notes}</ul>"])


def absences_html(sensors: Sequence[Sensor], degraded: Degraded, metrics: Mapping[str, Any]) -> str:
    """Thresholds without each sensor, and how much detection suffers; metrics are those of metrics.json."""
    recorded = metrics.get("without_a_sensor")
    rows = [["none", "", "", _auc(recorded.get("test_auc") if isinstance(recorded, dict) else None)]]
    for sensor, absence in zip(sensors, degraded.absent, strict=True):
        test = _of_sensor(recorded, sensor.name).get("test_auc")
        rows.append([sensor.name, f"{absence.threshold:.5g}", _auc(absence.auc_loss), _auc(test)])
    columns = ["without", "threshold", "expected loss of ROC AUC", "ROC AUC on test"]
    return f"{table(columns, rows)}\n<p>{escape(LOSS_NOTES[degraded.measured_on])}</p>"


def standing_html(sensors: Sequence[Sensor], status: SensorStatus, metrics: Mapping[str, Any]) -> str:
    """When each sensor is flat or too steep, and how often it was flat; metrics are those of metrics.json."""
    rows = []
    for sensor, limit in zip(sensors, status.limits, strict=True):
        own = _of_sensor(metrics.get("sensor_status"), sensor.name)
        unit = f" {sensor.unit}" if sensor.unit else ""
        flat = "may stand still" if limit.flat_rows is None else f"{limit.flat_rows:,} rows"
        rate = "-" if limit.max_rate is None else f"{limit.max_rate:.4g}{unit} a second"
        row = [sensor.name, _count(own.get("longest_run")), flat, f"{limit.within:.3g}{unit}", rate]
        rows.append([*row, _count(own.get("test_flat_rows")), _count(own.get("test_steep_rows"))])
    columns = ["sensor", "longest run", "flat from", "within", "fastest change", "flat rows of test"]
    columns.append("too steep rows of test")
    note = f"Longest run: the most consecutive readings without movement, in {status.rows:,} normal rows."
    return f"{table(columns, rows)}\n<p>{escape(note)}</p>"


def alarms_html(alarms: Alarms, metrics: Mapping[str, Any]) -> str:
    """When alarms are raised and return, and what that does; metrics are those of metrics.json."""
    note = f"<p>{escape(alarm_sentence(alarms))} Chosen on {alarms.rows:,} validation rows.</p>"
    rows = alarm_rows(metrics.get("alarms"))
    return f"{note}\n{table(['figure', WITHOUT, WITH], rows)}" if rows else note


def _of_sensor(recorded: object, name: str) -> Mapping[str, Any]:
    """What a part of metrics.json, which may be of any form, says of one sensor."""
    sensors = recorded.get("sensors") if isinstance(recorded, dict) else None
    own = sensors.get(name) if isinstance(sensors, dict) else None
    return own if isinstance(own, dict) else {}


def _auc(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float | int) else "-"


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "-"


def kinds_table(evaluation: Evaluation) -> str:
    """Events and rows found, kind by kind; empty where nobody named kinds."""
    events = evaluation.events
    if events is None or not any(events.by_kind):
        return ""
    rows = []
    for kind, (injected, found) in events.by_kind.items():
        recall = evaluation.recall_by_kind.get(kind)
        rows.append([kind or "unnamed", f"{found} of {injected}", "-" if recall is None else f"{recall:.3f}"])
    return table(["kind", "events found", "recall of rows"], rows)


def findings_table(found: Sequence[Finding], scored: Scored, sensors: Sequence[Sensor]) -> str:
    """What to look at, one row a finding."""
    columns = ["machine", "start, UTC", "length", "peak / threshold", "top sensor", "expected", "actual"]
    kinds, notes = any(one.stretch.kind for one in found), any(one.note for one in found)
    rows = []
    for one in found[:MAX_FINDINGS]:
        stretch, sensor = one.stretch, sensors[one.sensor]
        length = (stretch.stop - stretch.start + scored.step_ns(stretch.machine)) / 1e9
        unit = f" {sensor.unit}" if sensor.unit else ""
        row = [stretch.machine, moment(stretch.start), duration(length), f"{one.severity:.3g}", sensor.name]
        row += [f"{one.expected:.4g}{unit}", f"{one.actual:.4g}{unit}", *[one.note] * notes]
        rows.append([stretch.kind or "unnamed", *row] if kinds else row)
    more = len(found) - MAX_FINDINGS
    rest = f"<p>And {more:,} more.</p>" if more > 0 else ""
    return table([*["kind"] * kinds, *columns, *["note"] * notes], rows) + rest


def budget_table(budgets: Sequence[Foretold], splits: Mapping[str, NormalRows]) -> str:
    """What each budget's threshold is, what is foretold of it, and what it would have raised."""
    rows = []
    for one in budgets:
        if one.threshold is None:
            rows.append([str(one.budget), "none", one.why_not, *("" for _ in splits)])
            continue
        value, period = one.threshold.value, one.budget.period
        far = ", rarer than validation can show" if one.threshold.extrapolated else ""
        cells = [f"{value:.4g}", f"{one.threshold.low:.0f} to {ceil(one.threshold.high)} a {period}{far}"]
        for split in splits.values():
            count = split.alarms(value)
            cells.append(f"{count:,} in {split.machine_days:.3g} machine-days")
        rows.append([str(one.budget), *cells])
    columns = ["budget of a machine", "threshold", "predicted, 9 times out of 10"]
    return table([*columns, *(f"alarms in {name}" for name in splits)], rows)


def duration(seconds: float) -> str:
    """Seconds in the units that people use."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def moment(time: int) -> str:
    """A time in ns, to the second."""
    return str(iso_times(np.array([time // 10**9 * 10**9]))[0]).replace("T", " ").removesuffix("Z")
