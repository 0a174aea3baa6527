"""On-site rules: what a plant asks of an anomaly, beside the bundle's threshold, before it is an alarm.

Rules only narrow: each makes alarms rarer, later or of another priority, and none changes a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from math import isfinite
from typing import TYPE_CHECKING, Any

from edge_runtime.config import fill, nearest, setting, settings_of
from edge_runtime.engine.alarms import CONTROL, CONTROL_IN_TEXT, KINDS, MACHINE, PRIORITIES, SENSOR
from edge_runtime.engine.quiet import QuietTimes
from edge_runtime.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIRECTIONS", "MAX_RULES", "Rule", "document_of", "rule_of", "summary"]

ABOVE, BELOW, BOTH = DIRECTIONS = ("above", "below", "both")
MAX_NAME_LETTERS, MAX_TEXT_LETTERS = 100, 2000
MAX_RULES = 1000
MAX_DELAY_S = 30 * 86_400.0
OF_ANOMALIES = ("direction", "least_deviation", "threshold_factor")
OF_ALL = ("on_delay_s", "off_delay_s", "quiet", "priority", "latch")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; of several that are for the same machine and sensor, all hold."""

    name: str = setting("", "Name of the rule, by which it is listed, replaced and switched off.")
    why: str = setting("", "Why there is this rule; it is kept, and listed with it.")
    machine: str = setting(
        "*", 'Machine that it is for; * stands for any letters, as in "press-*".', flag="--machine"
    )
    sensor: str | None = setting(None, "Sensor that it is for; every sensor unless given.", flag="--sensor")
    kind: str = setting(
        MACHINE,
        'Alarms that it is for: "machine" for anomalies, "sensor" for readings that cannot be used.',
        flag="--kind",
    )
    direction: str = setting(
        BOTH,
        'Only a reading "above" or "below" what was expected counts, or "both".',
        flag="--direction",
    )
    least_deviation: float | None = setting(
        None,
        "How far a reading must be from what was expected to count, in the unit of the sensor.",
        flag="--least-deviation",
    )
    threshold_factor: float | None = setting(
        None, "How many times the threshold a row's score must reach to count.", flag="--threshold-factor"
    )
    on_delay_s: float | None = setting(
        None,
        "How long it must last before an alarm is raised; the bundle's delay if that is longer.",
        unit="s",
        flag="--on-delay",
    )
    off_delay_s: float | None = setting(
        None,
        "How long it must be over before the alarm returns; the bundle's delay if that is longer.",
        unit="s",
        flag="--off-delay",
    )
    quiet: tuple[str, ...] = setting(
        (),
        'Times of the week in which nothing is raised, such as "Mon-Fri 05:45-06:15" or "Sat, Sun".',
        flag="--quiet",
    )
    time_zone: str = setting("UTC", "Zone of the quiet times, such as Europe/Berlin.", flag="--time-zone")
    priority: str | None = setting(
        None,
        'Priority of its alarms, "low", "medium" or "high", instead of the one by severity.',
        flag="--priority",
    )
    latch: bool = setting(
        False, "Whether its alarms stay active until they are acknowledged and reset.", flag="--latch"
    )

    def __post_init__(self) -> None:
        try:
            self._check()
        except UsageError as error:
            where = f"rule {printable(self.name)}" if self.name.strip() else "rule"
            raise UsageError(
                error.what, where=f"{where}: {error.where}" if error.where else where, hint=error.hint
            ) from None

    def _check(self) -> None:
        for name, text, most in (
            ("name", self.name, MAX_NAME_LETTERS),
            ("why", self.why, MAX_TEXT_LETTERS),
            ("machine", self.machine, MAX_TEXT_LETTERS),
            ("sensor", self.sensor or "-", MAX_TEXT_LETTERS),
        ):
            _check_text(name, text, most)
        if self.sensor == "":
            raise UsageError("it is empty", where="sensor", hint="leave it out for every sensor")
        _check_is_one_of("kind", self.kind, KINDS)
        _check_is_one_of("direction", self.direction, DIRECTIONS)
        if self.priority is not None:
            _check_is_one_of("priority", self.priority, PRIORITIES)
        if self.kind == SENSOR:
            for name in OF_ANOMALIES:
                if getattr(self, name) not in (None, BOTH):
                    raise UsageError("only a rule for anomalies has that", where=name, hint="leave out kind")
        if self.least_deviation is not None and self.sensor is None:
            raise UsageError("it needs a sensor, whose unit it has", where="least_deviation")
        _check_number("least_deviation", self.least_deviation, 0.0, float("inf"))
        _check_number("threshold_factor", self.threshold_factor, 1.0, float("inf"))
        _check_number("on_delay_s", self.on_delay_s, 0.0, MAX_DELAY_S)
        _check_number("off_delay_s", self.off_delay_s, 0.0, MAX_DELAY_S)
        if self.quiet or self.time_zone != "UTC":
            QuietTimes(self.quiet, self.time_zone)
        asked = [getattr(self, name) for name in (*OF_ANOMALIES, *OF_ALL)]
        if all(one is False or one in (None, BOTH, ()) for one in asked):
            raise UsageError("it asks for nothing", hint=f"give one of {', '.join((*OF_ANOMALIES, *OF_ALL))}")

    def is_for(self, machine: str) -> bool:
        """Whether it is for a machine's alarms, or for those of its sensors."""
        return fnmatchcase(machine, self.machine.replace("[", "[[]").replace("?", "[?]"))


def rule_of(values: Mapping[str, Any], where: str) -> Rule:
    """A rule as it is written in TOML, or stored.

    Args:
        values: By the names of its settings.
        where: The file, for messages.

    Raises:
        UsageError: It is none.
    """
    known = [one.name for one in settings_of(Rule)]
    of = values.get("name")
    named = f"{where}: rule {printable(of)}" if isinstance(of, str) and of else where
    for key in values:
        if key not in known:
            raise UsageError(f"a rule has no '{printable(key)}'", where=named, hint=nearest(key, known))
    try:
        return fill(Rule, values, f"rule {printable(of)}" if isinstance(of, str) and of else "rule", where)
    except UsageError as error:
        if error.where and error.where.startswith(where):
            raise
        raise UsageError(error.what, where=f"{where}: {error.where}", hint=error.hint) from None


def document_of(rule: Rule) -> dict[str, Any]:
    """A rule, JSON-ready, as `rule_of` takes it; what is as it is without being given is left out."""
    found = {one.name: getattr(rule, one.name) for one in fields(rule)}
    defaults = {one.name: one.default for one in settings_of(Rule)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in found.items()
        if value != defaults[name]
    }


def summary(rule: Rule) -> str:
    """What a rule is for and what it asks, in a few words for a person."""
    words = [printable(f"machines {rule.machine}" if "*" in rule.machine else f"machine {rule.machine}")]
    if rule.sensor is not None:
        words.append(f"sensor {printable(rule.sensor)}")
    if rule.kind == SENSOR:
        words.append("readings that cannot be used")
    for name, text in ASKED.items():
        value = getattr(rule, name)
        if value is not False and value not in (None, BOTH, ()):
            shown = printable("; ".join(value)) if isinstance(value, tuple) else value
            words.append(text.format(shown, printable(rule.time_zone)))
    return ", ".join(words)


# What a rule asks, as a person reads it.
ASKED = {
    "direction": "only {} what is expected",
    "least_deviation": "from a deviation of {:g} on",
    "threshold_factor": "from {:g} times the threshold on",
    "on_delay_s": "raised after {:g} s at the earliest",
    "off_delay_s": "returned after {:g} s at the earliest",
    "quiet": "quiet {} ({})",
    "priority": "{} priority",
    "latch": "latched until reset",
}


def _check_text(name: str, text: str, most: int) -> None:
    if not text.strip():
        hints = {"why": "say why there is this rule", "name": "give it a name"}
        raise UsageError("it is missing", where=name, hint=hints.get(name, ""))
    if len(text) > most:
        raise UsageError(f"it is longer than {most:,} letters", where=name)
    if (CONTROL_IN_TEXT if name == "why" else CONTROL).search(text):
        raise UsageError("it has a control character in it", where=name)


def _check_is_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"'{printable(value)}' is none", where=name, hint=f"write {' or '.join(known)}")


def _check_number(name: str, value: float | None, least: float, most: float) -> None:
    if value is None:
        return
    if not isfinite(value) or not least <= value <= most:
        limits = f"from {least:g} to {most:,.0f}" if isfinite(most) else f"a finite number, {least:g} or more"
        raise UsageError(f"{value} is not {limits}", where=name)
