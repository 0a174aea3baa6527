"""What the figures of alarms and events mean, in the words in which every table says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.data.stretches import ALARM_JOIN_NS, SECOND_NS, SLACK_NS

if TYPE_CHECKING:
    from trainer.evaluation.chance import RandomAlarms
    from trainer.evaluation.events import EventReport

__all__ = ["ABOUT", "FOUND", "JOINED", "MINUTES", "UP_BEFORE", "chance_line", "event_lines"]

# Half of a day.
MOST = 720.0
TOLERANCE = f"{SLACK_NS // SECOND_NS} s"
JOINED = f"flagged rows of a machine no more than {ALARM_JOIN_NS // SECOND_NS} s apart are one alarm"
MINUTES = "of one machine's normal time; an alarm that is always up has 1,440"
MOSTLY_UP = "of one machine's 1,440 of normal time: it is up more often than not"
ABOUT = f"touch an event, or lie within {TOLERANCE} of one"
FOUND = f"an alarm begins, or rises again, in the event or at most {TOLERANCE} before it"
UP_BEFORE = "missed: the alarm was up since before, so nothing told of them"


def chance_line(events: EventReport) -> str:
    """What the same alarms find at random times; empty where nothing can be found."""
    found: RandomAlarms | None = events.random_alarms
    if found is None:
        return ""
    figures = f"{found.events_found:.1f} of {events.injected} events found"
    return (
        f"The same alarms at random times: {figures}, F1 {found.f1:.3f}, precision {found.precision:.3f} "
        f"(mean of {found.shifts})."
    )


def event_lines(events: EventReport, interval: str) -> list[str]:
    """The figures of alarms and events, a line each; `interval` is that of the false alarms a day."""
    lines = [""]
    if events.false_alarm_rate is not None:
        lines.append(_line("normal rows flagged", f"{events.false_alarm_rate:.2%}"))
    if events.alarm_minutes_per_day is not None:
        minutes = events.alarm_minutes_per_day
        lines.append(
            _line("alarm minutes a day", f"{minutes:,.1f}", MOSTLY_UP if minutes > MOST else MINUTES)
        )
    lines.append(_line("alarms", f"{events.alarms:,}", JOINED))
    if events.alarm_precision is not None:
        about = f"{events.alarms - events.false_alarms:,} of {events.alarms:,} {ABOUT}"
        lines.append(_line("alarm precision", f"{events.alarm_precision:.3f}", about))
    a_day = f"{events.false_alarms_per_day:.1f} per machine and day" + (f", {interval}" if interval else "")
    lines.append(_line("false alarms", f"{events.false_alarms:,}", a_day))
    if not events.injected:
        return lines
    lines.append(_line("events found", f"{events.found} of {events.injected}", FOUND))
    lines += [
        _line(f"  {kind}", f"{found} of {injected}")
        for kind, (injected, found) in events.by_kind.items()
        if kind
    ]
    if events.in_alarm_since_before:
        lines.append(_line("  up since before", f"{events.in_alarm_since_before}", UP_BEFORE))
    if events.delays_s is not None:
        delays = events.delays_s
        within = f"90 % within {delays.p90:.0f} s, from the event's start to the beginning of that alarm"
        lines.append(_line("delay, median", f"{delays.median:.0f} s", within))
    return lines


def _line(name: str, figure: str, note: str = "") -> str:
    return f"{name:<20}{figure:>12}" + (f"  ({note})" if note else "")
