"""People who say something about alarms and rules while a gateway lives, and how its lives end."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any

from support.alarmfeed import HOUR, SECOND, T0, Case
from support.lives import Ending

if TYPE_CHECKING:
    import random

__all__ = ["People", "some_ending"]


def some_ending(chosen: random.Random, points: int) -> Ending:
    """At a point, or at some moment."""
    if chosen.random() < 0.6:
        return Ending(at=chosen.randrange(1, points // 3))
    return Ending(after_s=chosen.uniform(0.03, 0.4))


class People:
    """Who say something about alarms, most of it about those that are open.

    Args:
        case: Where.
        chosen: What.
    """

    def __init__(self, case: Case, chosen: random.Random) -> None:
        self._case, self._chosen, self._at = case, chosen, count(T0 * SECOND, 10 * SECOND)
        self._rules: set[str] = set()

    def say_something(self) -> None:
        """One word; about an alarm that is over, or not there yet, now and then."""
        chosen, case = self._chosen, self._case
        if chosen.random() < 0.25:
            self._say_something_of_a_rule()
            return
        word = chosen.choices(
            ["ack", "comment", "reset", "shelve", "unshelve", "out of service", "in service"],
            [6, 2, 3, 3, 2, 1, 2],
        )[0]
        alarms = [one.condition.fields(one.alarm) for one in case.kept().open()]
        if not alarms or chosen.random() < 0.15:
            alarms = case.feed.log
        alarm = chosen.choice(alarms)
        target = (alarm["machine_id"], alarm["subject"])
        text = f"word {len(case.words) + 1}"
        if word == "ack":
            seen = max(1, alarm["revision"] - chosen.choice([0, 0, 0, 1]))
            case.say(word, *target, event_id=alarm["event_id"], revision=seen, text=text)
        elif word in ("comment", "reset"):
            case.say(word, *target, event_id=alarm["event_id"], text=text)
        elif word == "shelve" and chosen.random() < 0.3:  # one that is over before it begins
            at = next(self._at)
            case.say(word, *target, at=at, until=at + SECOND, text=text)
        elif word == "shelve":
            case.say(word, *target, until=time.time_ns() + 24 * HOUR, text=text)
        else:
            case.say(word, *target, text=text)

    def _say_something_of_a_rule(self) -> None:
        """Sets one, or takes back one that was set."""
        name = self._chosen.choice(["a", "b"])
        if name in self._rules and self._chosen.random() < 0.5:
            self._rules.remove(name)
            self._case.say_of_rule("rule removed", name)
            return
        self._rules.add(name)
        rules: list[dict[str, Any]] = [
            {"sensor": "vibration", "least_deviation": 3.0, "machine": "m0"},
            {"threshold_factor": 4.0, "machine": "m1"},
            {"on_delay_s": 6.0, "off_delay_s": 7.0, "machine": "m*"},
            {"kind": "sensor", "priority": "medium", "on_delay_s": 14.0},
            {"priority": "low", "sensor": "vibration"},
            {"latch": True, "machine": "m2"},
        ]
        self._case.say_of_rule("rule", name, self._chosen.choice(rules))

    def say_it_now_and_then(self) -> None:
        """For a moment of a life."""
        if self._chosen.random() < 0.4:
            self.say_something()
