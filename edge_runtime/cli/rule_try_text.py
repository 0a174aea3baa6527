"""What trying rules found, as text and as a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_runtime.cli.alarm_past import past_row
from edge_runtime.errors import counted, printable
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_runtime.cli.history_span import Span
    from edge_runtime.history.matching import FoundAlarm, Match
    from edge_runtime.history.trying import Tried
    from edge_runtime.loading.load import Bundle

__all__ = ["document", "lines"]

MOST_ALARMS, MOST_LEFT_OUT = 50, 20
DAY_S = 86_400.0
# What people said plays no part when rules are tried.
OF_PEOPLE = {"acked", "acknowledged", "acknowledged_by", "comment", "shelved_until", "out_of_service"}


def lines(path: Path, bundle: Bundle, span: Span, found: Tried) -> Iterator[str]:
    """Each machine with its alarms, totals, the alarms that are lost, and those that differ."""
    from edge_runtime.cli.ledger_options import table_lines

    yield f"history {path} from {format_time(span.start)} to {format_time(span.stop - 1)}"
    new = any(one.new for one in found.machines)
    yield from table_lines(
        [
            {
                "machine": printable(one.machine_id),
                "rows": one.rows,
                "before": one.before,
                "after": one.after,
                "lost": one.lost,
                **({"new": one.new} if new else {}),
            }
            for one in found.machines
        ]
    )
    yield ""
    yield from (f"  {line}" for line in _totals(found))
    yield from _left_out(found, bundle)
    lost = [one for match in found.matches if match.lost for one in match.before]
    changed = [match for match in found.matches if match.changed]
    if lost:
        yield ""
        yield f"{counted(len(lost), 'alarm is', 'alarms are')} lost:"
        for one in lost[:MOST_ALARMS]:
            yield ""
            yield from _shown(one)
        yield from _more(len(lost))
    if changed:
        yield ""
        count = counted(len(changed), "alarm differs", "alarms differ")
        yield f"{count} in when it is raised, in its priority, or in the number of alarms:"
        yield from table_lines([_changed_row(match) for match in changed[:MOST_ALARMS]])
        yield from _more(len(changed))


def _totals(found: Tried) -> Iterator[str]:
    before, after, lost, new = (
        sum(getattr(one, name) for one in found.machines) for name in ("before", "after", "lost", "new")
    )
    rows, anomalous = (sum(getattr(one, name) for one in found.machines) for name in ("rows", "anomalous"))
    days = _days(found)
    more = f", {new:,} new" if new else ""
    yield f"{counted(before, 'alarm')} before, {after:,} after; {lost:,} lost{more}"
    if days > 0:
        yield f"alarms a day and machine: {before / days:,.3g} before, {after / days:,.3g} after"
    yield f"of {counted(rows, 'row')}, {anomalous:,} anomalous, in {days:,.3g} machine-days"


def _days(found: Tried) -> float:
    """The time of all machines together."""
    return sum(one.covered_s for one in found.machines) / DAY_S


def _left_out(found: Tried, bundle: Bundle) -> Iterator[str]:
    if not found.left_out:
        return
    rows = sum(one.rows for one in found.left_out)
    count = counted(rows, "row is", "rows are")
    yield f"  {count} left out, which another bundle judged than {bundle.digest}:"
    for one in found.left_out[:MOST_LEFT_OUT]:
        when = f"from {format_time(one.since)} to {format_time(one.until)}"
        yield f"    {one.rows:,} of {printable(one.machine_id)} {when} by {one.bundle}"
    if len(found.left_out) > MOST_LEFT_OUT:
        yield f"    … and at {counted(len(found.left_out) - MOST_LEFT_OUT, 'other time')}; --json prints all"


def _shown(alarm: FoundAlarm) -> Iterator[str]:
    """All that is known of an alarm."""
    from edge_runtime.engine.alarmtext import described

    row = _row(alarm)
    for name, value in (("alarm", row.pop("id")), *row.items()):
        yield f"  {name:<16}{value}"
    for number, sensor in enumerate(alarm.fields["sensors"]):
        yield f"  {'' if number else 'sensors':<16}{printable(described(sensor))}"


def _row(alarm: FoundAlarm) -> dict[str, str]:
    row = past_row({**alarm.fields, "state": ""})
    return {
        name: row[name] for name in ("id", "machine", "what", "priority", "severity", "raised", "returned")
    }


def _changed_row(match: Match) -> dict[str, str]:
    row = _row(match.before[0])
    later, (before, after) = match.delay_s, match.priorities
    when = f"{abs(later):,.6g} s {'later' if later > 0 else 'earlier'}" if later else "as before"
    return {
        **{name: row[name] for name in ("id", "machine", "what", "raised")},
        "told": when,
        "priority": _instead(after, before),
        "alarms": _instead(len(match.after), len(match.before)),
    }


def _instead(after: object, before: object) -> str:
    return str(after) if after == before else f"{after} instead of {before}"


def _more(count: int) -> Iterator[str]:
    if count > MOST_ALARMS:
        yield ""
        yield f"  … {count - MOST_ALARMS:,} more; --json prints all"


def document(path: Path, bundle: Bundle, span: Span, found: Tried) -> dict[str, Any]:
    """The same, JSON-ready, with all alarms; those that belong together stand together."""
    days = _days(found)
    return {
        "history": str(path),
        "bundle": bundle.digest,
        "start": format_time(span.start),
        "stop": format_time(span.stop),
        **{
            name: sum(getattr(one, name) for one in found.machines)
            for name in ("rows", "anomalous", "covered_s", "before", "after", "lost", "new")
        },
        "alarms_per_day_and_machine": {
            side: sum(getattr(one, side) for one in found.machines) / days if days > 0 else None
            for side in ("before", "after")
        },
        "machines": [one._asdict() for one in found.machines],
        "alarms": [_match(match) for match in found.matches],
        "left_out": [
            {**one._asdict(), "since": format_time(one.since), "until": format_time(one.until)}
            for one in found.left_out
        ],
    }


def _match(match: Match) -> dict[str, Any]:
    paired = bool(match.before and match.after)
    return {
        "outcome": "lost" if match.lost else "new" if match.new else "changed" if match.changed else "same",
        "delay_s": match.delay_s if paired else None,
        "before": _fields(match.before),
        "after": _fields(match.after),
    }


def _fields(alarms: Sequence[FoundAlarm]) -> list[dict[str, Any]]:
    return [
        {"told": format_time(one.told)}
        | {name: value for name, value in one.fields.items() if name not in OF_PEOPLE}
        for one in alarms
    ]
