"""The rules in force, as the ledger keeps them: those of the configuration, and what people said since."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_runtime.delivery.openalarms import kept_text
from edge_runtime.delivery.words import rule_in
from edge_runtime.engine.rules import MAX_RULES, Rule, document_of, rule_of
from edge_runtime.errors import LedgerError, UsageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from edge_runtime.engine.alarms import Word

__all__ = ["CONFIGURED", "RulesKept", "Set", "kept_rules"]

# Who has set a rule of the configuration.
CONFIGURED = "configuration"
NAME = "rules"


class Set(NamedTuple):
    """A rule, and since when it is so.

    Attributes:
        rule: What it asks; None where a rule of this name is switched off.
        by: Who has said so; `CONFIGURED` for the configuration.
        at: When, nanoseconds since the epoch; of the configuration when it was first in force.
        why: Why.
    """

    rule: Rule | None
    by: str
    at: int
    why: str


@dataclass
class RulesKept:
    """What a ledger says about rules.

    Attributes:
        sensors: Those of the bundle that judged last.
        configured: Rules of the configuration by name.
        said: What people said, which comes before the configuration, by the name of the rule.
        unusable: Why `run` cannot follow a rule that was set, by its name.
    """

    sensors: tuple[str, ...] = ()
    configured: dict[str, Set] = field(default_factory=dict)
    said: dict[str, Set] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    _held: dict[str, Any] = field(default_factory=dict)  # those rules as they are stored

    @classmethod
    def read(cls, text: str, *, anew: bool = False) -> RulesKept:
        """What `text` gave.

        Args:
            text: As the ledger has it.
            anew: Whether to try again what could not be followed, as `run` does; whoever only reads believes
                what `run` found.

        Raises:
            UsageError: It is none.
        """
        kept = cls()
        try:
            found = json.loads(text)
            kept.sensors = tuple(map(str, found["sensors"]))
            for key, of in zip(KEYS, (kept.configured, kept.said), strict=True):
                for one in found[key]:
                    try:
                        why_not = None if anew else one.get("why_not")
                        if why_not is None:
                            of[str(one["name"])] = _set(one)
                    except UsageError as error:
                        why_not = str(error)
                    # Such as a time zone that went with an update. It is kept until it can be followed.
                    if why_not is not None and of is kept.said:
                        kept._hold(one, str(why_not))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            raise UsageError("what it says about rules cannot be read", where="ledger") from None
        return kept

    def text(self) -> str:
        """All of it, as `read` takes it."""
        document: dict[str, Any] = {"sensors": self.sensors}
        for key, of in zip(KEYS, (self.configured, self.said), strict=True):
            held = [one for name, one in self._held.items() if of is self.said and name not in of]
            document[key] = held + [
                {"name": name, "by": one.by, "at": one.at, "why": one.why}
                | ({} if one.rule is None else {"rule": document_of(one.rule)})
                for name, one in of.items()
            ]
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    def all(self) -> dict[str, Set]:
        """What holds of each name, in the order of names; also what is switched off.

        Of a name whose rule cannot be followed nothing holds: what the configuration asks under it may be
        more than the person wanted who set another rule in its place.
        """
        every = {**self.configured, **self.said}
        return {name: every[name] for name in sorted(every) if name not in self.unusable}

    def in_force(self) -> list[Rule]:
        """The rules that hold, by name."""
        return [one.rule for one in self.all().values() if one.rule is not None]

    def unknown_sensor(self, rule: Rule) -> bool:
        """Whether a rule is for a sensor that the bundle does not have, so that it has no effect."""
        return rule.sensor is not None and bool(self.sensors) and rule.sensor not in self.sensors

    def configure(self, rules: Sequence[Rule], now: int) -> None:
        """Takes up the rules of the configuration; one that is as before keeps its time."""
        before, self.configured = self.configured, {}
        for rule in rules:
            old = before.get(rule.name)
            new = Set(rule, CONFIGURED, now, rule.why)
            self.configured[rule.name] = old if old is not None and old.rule == rule else new

    def tell(self, word: Word) -> str | None:
        """Takes up what a person said about a rule; returns why it changes nothing, or None."""
        name = word.subject
        if word.word == "rule":
            return self._take(word)
        if word.word == "rule off":
            one = self.all().get(name)
            if one is None and name not in self.unusable:
                return "there is no rule of this name"
            if one is not None and one.rule is None:
                return "it is switched off already"
            self.said[name] = Set(None, word.by, word.at, word.text or "")
            self._forget(name)
        elif name not in self.said and name not in self.unusable:
            return "it is as the configuration has it" if name in self.configured else "there is no such rule"
        else:
            self.said.pop(name, None)
            self._forget(name)
        return None

    def _take(self, word: Word) -> str | None:
        """Takes up a rule; one that cannot be followed here is kept until it can."""
        name = word.subject
        if name not in self.said and len(self.said) >= MAX_RULES:
            return f"there are {MAX_RULES:,} rules already"
        try:
            rule = rule_in(word)
        except UsageError as error:
            try:
                about = {**json.loads(word.rule or ""), "name": name, "why": word.text}
            except (ValueError, TypeError, RecursionError):
                return str(error)
            self.said.pop(name, None)
            held = {"name": name, "by": word.by, "at": word.at, "why": word.text, "rule": about}
            self._hold(held, str(error))
            return f"{error}; it is not in force"
        self.said[name] = Set(rule, word.by, word.at, word.text or "")
        self._forget(name)
        return None

    def _hold(self, one: dict[str, Any], why_not: str) -> None:
        name = one["name"]
        self.unusable[name], self._held[name] = why_not, {**one, "why_not": why_not}

    def _forget(self, name: str) -> None:
        self.unusable.pop(name, None)
        self._held.pop(name, None)


KEYS = ("configured", "said")


def kept_rules(db: sqlite3.Connection) -> RulesKept:
    """What a ledger says about rules; empty where it says nothing.

    Raises:
        UsageError: It cannot be read.
        LedgerError: It is damaged.
        sqlite3.Error: The ledger cannot be read.
    """
    text = kept_text(db, NAME)
    if text is not None:
        return RulesKept.read(text)
    if db.execute("SELECT 1 FROM about WHERE name = ?", (NAME,)).fetchone():
        raise LedgerError(
            "what it says about rules is damaged",
            where="ledger",
            hint="the next start of `edge-detect run` mends it",
        )
    return RulesKept()


def _set(value: Any) -> Set:
    rule = rule_of(value["rule"], "ledger") if "rule" in value else None
    by, at, why = value["by"], value["at"], value["why"]
    if not isinstance(by, str) or type(at) is not int or not isinstance(why, str):
        raise ValueError("it does not say who, when and why")
    return Set(rule, by, at, why)
