"""The live view as lines of text that fit a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from edge_runtime.gateway.viewing.lines import GREY, STYLES, Line, MachineLines, max_id_cells, stands_out
from edge_runtime.gateway.viewing.state import State
from edge_runtime.gateway.viewing.words import age, cut, duration, moment, shortened, shown, width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.bundle.metadata import Sensor
    from edge_runtime.gateway.viewing.anomalies import Anomaly
    from edge_runtime.gateway.viewing.state import Snapshot

__all__ = ["draw"]

MIN_FOR_TITLE = 6
MIN_FOR_HEADER = 8
MIN_FOR_LONG_CAPTION = 10
MIN_FOR_DATE = 60
MIN_LIST = 3  # with its heading
KEPT_FOR_LIST = 4
FEW = 10
TOGETHER = "\N{NO-BREAK SPACE}"


def draw(snapshot: Snapshot, title: str, sensors: Sequence[Sensor], columns: int, rows: int) -> list[Line]:
    """At most `rows` lines, none wider than `columns` cells.

    Machines come first, as many as there is room for, then a line that sums up the others, then the last
    anomalies. These take the lines that machines leave, and four of those of normal machines, but never
    one of a machine that is not normal, and never more than half.

    Args:
        snapshot: What to show, with as many machines as there are rows, or all.
        title: The first line.
        sensors: The bundle's.
        columns: The terminal's width in cells.
        rows: The terminal's height in lines.
    """
    caption = _caption(snapshot, columns, 2 if rows >= MIN_FOR_LONG_CAPTION else 1)
    lines: list[Line] = []
    if rows >= MIN_FOR_TITLE:
        lines.append([(cut(shown(title), columns), "bold")])
    room = rows - len(lines) - len(caption) - (rows >= MIN_FOR_HEADER)
    listed = _lines_of_list(snapshot, room)
    room -= listed
    total = len(snapshot.states)
    count = total if total <= room else max(min(room, 1), room - 1)
    machines = snapshot.machines[:count]
    layout = MachineLines(machines, sensors, columns)
    if rows >= MIN_FOR_HEADER:
        lines.append([(cut(text, columns), style) for text, style in layout.header()])
    lines.extend(layout.line(machine) for machine in machines)
    if count < min(total, room):
        lines.append(_summary(snapshot.states[count:], columns))
    if listed:
        lines.append([(cut("Last anomalies", columns), "bold")])
        newest = snapshot.anomalies[: listed - 1]
        lines.extend(_entry(anomaly, snapshot, sensors, columns) for anomaly in newest)
    return lines + caption


def _lines_of_list(snapshot: Snapshot, room: int) -> int:
    """How many lines the last anomalies get, with their heading."""
    if not snapshot.anomalies:
        return 0
    wanted = 1 + len(snapshot.anomalies)
    free = room - len(snapshot.states)
    pressing = sum(state is not State.NORMAL for state in snapshot.states)
    if free < min(wanted, KEPT_FOR_LIST) and room - KEPT_FOR_LIST >= max(pressing + 1, room // 2):
        free = KEPT_FOR_LIST
    return min(wanted, free) if free >= MIN_LIST else 0


def _counted(states: Sequence[State]) -> str:
    """The number of machines in each state, the most frequent first."""
    count = len(states)
    words = []
    for state, times in Counter(states).most_common():
        word = "anomalies" if state is State.ANOMALY and times > 1 else state.label
        words.append(f"{times:,}{TOGETHER}{word}")
    return f"machine{'s' if count != 1 else ''}: {', '.join(words)}"


def _summary(states: Sequence[State], columns: int) -> Line:
    style = STYLES[State.ANOMALY] if State.ANOMALY in states else GREY
    text = f"{len(states):,} more {_counted(states)}".replace(TOGETHER, " ")
    return [(cut(text, columns), style)]


def _entry(anomaly: Anomaly, snapshot: Snapshot, sensors: Sequence[Sensor], columns: int) -> Line:
    began = moment(anomaly.since)
    if columns < MIN_FOR_DATE:
        began = began[11:19]
    name = shortened(shown(anomaly.machine), max_id_cells(columns))
    if (ended := anomaly.ended) is not None:
        ending = f", lasted {duration(ended - anomaly.since)}"
    else:
        ending = ", goes on" if anomaly in snapshot.going_on else ", end not seen"
    before = f"{began}  {name}  "
    sensor = sensors[anomaly.sensor]
    room = columns - width(before)
    what = stands_out(sensor, anomaly.actual, anomaly.expected, (ending, ending), room)
    return [(cut(before + what, columns), GREY if snapshot.stalled else "")]


def _caption(snapshot: Snapshot, columns: int, most: int) -> list[Line]:
    """Sentences, a number and its word never in different lines."""
    rate = f"{snapshot.rate:,.0f}" if snapshot.rate >= FEW else f"{snapshot.rate:.2g}"
    rows = f"{snapshot.rows:,}{TOGETHER}row{'s' if snapshot.rows != 1 else ''}"
    states = snapshot.states
    sentences = [
        f"{rows}, {rate} a second.",
        f"{len(states):,} {_counted(states)}." if states else "No machine yet.",
        f"Ctrl-C{TOGETHER}ends.",
    ]
    if snapshot.stalled:
        sentences.insert(0, f"No row has come for {age(snapshot.quiet)}.")
    lines = textwrap.wrap(
        " ".join(sentences), columns, max_lines=most, placeholder="…", break_on_hyphens=False
    )
    style = STYLES[State.UNKNOWN] if snapshot.stalled else ""
    return [[(line.replace(TOGETHER, " "), style)] for line in lines]
