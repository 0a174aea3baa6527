"""What can alarm at a machine: the machine itself or one of its sensors, with its open alarm.

A state machine without clock, file or network. A condition has one open alarm at most. It may be shelved by
a person until a time, or out of service: both keep its alarms from being told, and neither changes their
states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.engine.alarms import HIGH, Cause, Change, State, Suspension
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from edge_runtime.engine.alarms import Alarm, Word

__all__ = ["Condition"]

# A person's word, and the change that it leads to.
SAID = {
    "shelve": "shelved",
    "unshelve": "unshelved",
    "out of service": "out of service",
    "in service": "in service",
}


@dataclass(slots=True)
class Condition:
    """What can alarm: a machine, or one of its sensors, with what is known of it.

    Attributes:
        alarm: The open alarm; None where there is none.
        forming: What would be the next alarm, once it has lasted for the on-delay.
        clear: First row of the run without the condition, while the alarm is active; nanoseconds.
        shelved: By whom and until when; None where it is not.
        out_of_service: By whom and why; None where it is in service.
        latched: Whether the alarm would have returned, and a rule keeps it active until it is reset.
        told: When a high alarm that nobody acknowledged was told last, by the clock of `repeat`; None where
            there is none.
    """

    alarm: Alarm | None = None
    forming: Alarm | None = None
    clear: int | None = None
    shelved: Suspension | None = None
    out_of_service: Suspension | None = None
    latched: bool = False
    told: int | None = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to remember of it."""
        return self.alarm is None and self.forming is None and self.suspended is None

    @property
    def suspended(self) -> Suspension | None:
        """Why its alarms are not told; None where they are."""
        return self.out_of_service or self.shelved

    @property
    def watches(self) -> bool:
        """Whether a row without the condition would change anything."""
        return self.forming is not None or (self.alarm is not None and self.alarm.active)

    def rise(self, time: int) -> list[Change]:
        """The condition has lasted for its on-delay: what is forming is an alarm now."""
        raised, self.forming, self.clear = self.forming, None, None
        self.latched = False
        if raised is None:
            return []
        changes = []
        if self.alarm is not None:
            self.alarm.revision += 1
            changes.append(self._change("replaced", time, self.alarm))
        self.alarm, self.told = raised, None
        raised.follow(Cause.RAISED)
        return [*changes, self._change("raised", time, raised)]

    def fall(self, time: int) -> list[Change]:
        """The condition has been gone for its off-delay."""
        alarm = self.alarm
        if alarm is None or not alarm.follow(Cause.RETURNED):
            return []
        alarm.returned, self.clear = time if self.clear is None else self.clear, None
        self.latched = False
        return [self._closed("returned", time, alarm)]

    def ask_again(self, time: int, priority: str) -> list[Change]:
        """The open alarm has a higher priority now."""
        alarm = self.alarm
        if alarm is None or not alarm.follow(Cause.PRIORITY):
            return []
        alarm.priority = priority
        return [self._change("priority", time, alarm)]

    def further(self, time: int) -> list[Change]:
        """The open alarm has a further sensor, which asks for no acknowledgement."""
        if self.alarm is None:
            return []
        self.alarm.revision += 1
        return [self._change("sensor", time, self.alarm)]

    def repeat(self, now: int, after: int) -> list[Change]:
        """Tells a high alarm again that is active and that nobody has acknowledged for so long.

        Args:
            now: Nanoseconds since the epoch, by the gateway's clock.
            after: Nanoseconds.
        """
        alarm = self.alarm
        asks = alarm is not None and alarm.priority == HIGH and alarm.active and not alarm.acked
        if alarm is None or not asks or self.suspended is not None:
            self.told = None
            return []
        if self.told is None or now < self.told:  # a clock that was set back
            self.told = now
        if now - self.told < after:
            return []
        self.told = now
        alarm.revision += 1
        return [self._change("again", now, alarm)]

    def tell(self, word: Word) -> tuple[list[Change], str | None]:
        """Takes up what a person said.

        Returns:
            What changed, and why nothing did; None where something did.
        """
        if word.word in ("ack", "comment", "reset"):
            return self._of_alarm(word)
        if word.word in SAID:
            why = self._suspend(word)
            return ([], why) if why else (self._said(SAID[word.word], word.at), None)
        return [], f"there is no word '{word.word}'"

    def _suspend(self, word: Word) -> str | None:
        """Takes up a word on shelving or service; returns why it changes nothing, or None."""
        suspension = Suspension(word.by, word.at, word.text or "", word.until)
        if word.word == "shelve":
            if word.until is None or word.until <= word.at:
                return "a shelving needs an end after its beginning"
            self.shelved = suspension
        elif word.word == "out of service":
            self.out_of_service = suspension
        elif word.word == "unshelve":
            if self.shelved is None:
                return "it is not shelved"
            self.shelved = None
        else:
            if self.out_of_service is None:
                return "it is in service"
            self.out_of_service = None
        return None

    def end_shelving(self, now: int) -> list[Change]:
        """Ends a shelving whose time is over."""
        if self.shelved is None or self.shelved.until is None or now < self.shelved.until:
            return []
        self.shelved = None
        return self._said("unshelved", now)

    def forget_after(self, latest: int) -> list[Change]:
        """Ends an alarm that begins after this time, without a return; what is forming is forgotten."""
        if self.forming is not None and self.forming.raised > latest:
            self.forming = None
        alarm = self.alarm
        if alarm is None or alarm.raised <= latest:
            return []
        self.alarm, self.clear, self.latched = None, None, False
        alarm.revision += 1
        alarm.active = False
        return [self._change("forgotten", latest, alarm)]

    def _of_alarm(self, word: Word) -> tuple[list[Change], str | None]:
        alarm = self.alarm
        if alarm is None or alarm.event_id != word.event_id:
            return [], "the alarm is not open any more"
        if word.word == "comment":
            alarm.comment = word.text
            alarm.revision += 1
            return [self._change("comment", word.at, alarm)], None
        if word.word == "reset":
            why = self._not_to_reset(alarm)
            return ([], why) if why else (self.fall(word.at), None)
        if (word.revision or 0) < alarm.asked:
            return [], "its priority has risen since; look at it again"
        if not alarm.follow(Cause.ACKNOWLEDGED):
            return [], "it is acknowledged already"
        alarm.acknowledged, alarm.acknowledged_by = word.at, word.by
        alarm.comment = word.text or alarm.comment
        return [self._closed("acknowledged", word.at, alarm)], None

    def _not_to_reset(self, alarm: Alarm) -> str | None:
        """Why an alarm cannot be reset; None where it can."""
        if not self.latched:
            return "it is not latched, so it needs no reset"
        return None if alarm.acked else "it has to be acknowledged first"

    def _closed(self, change: str, time: int, alarm: Alarm) -> Change:
        if alarm.state is State.NORMAL:
            self.alarm = None
        return self._change(change, time, alarm)

    def _said(self, change: str, time: int) -> list[Change]:
        if self.alarm is None:
            return []
        self.alarm.revision += 1
        return [self._change(change, time, self.alarm)]

    def _change(self, change: str, time: int, alarm: Alarm) -> Change:
        return Change(change, time, self.suspended is None, self.fields(alarm))

    def fields(self, alarm: Alarm) -> dict[str, Any]:
        """An alarm's fields, JSON-ready, in the order of `docs/alarms.md`."""
        shelved = self.shelved
        return {
            "event_id": alarm.event_id,
            "revision": alarm.revision,
            "machine_id": alarm.machine_id,
            "kind": alarm.kind,
            "subject": alarm.subject,
            "active": alarm.active,
            "acked": alarm.acked,
            "priority": alarm.priority,
            "severity": alarm.severity,
            "raised": format_time(alarm.raised),
            "returned": _time(alarm.returned),
            "acknowledged": _time(alarm.acknowledged),
            "acknowledged_by": alarm.acknowledged_by,
            "comment": alarm.comment,
            "shelved_until": None if shelved is None else _time(shelved.until),
            "out_of_service": self.out_of_service is not None,
            "sensors": [dict(sensor) for sensor in alarm.sensors],
            "rows": alarm.rows,
            "bundle": alarm.bundle,
        }


def _time(moment: int | None) -> str | None:
    return None if moment is None else format_time(moment)
