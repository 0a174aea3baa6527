"""On-site rules of a running feed: those of the configuration, and what people say about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.delivery.keptrules import RulesKept
from edge_runtime.engine.rules import summary
from edge_runtime.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edge_runtime.delivery.keptrules import Set
    from edge_runtime.engine.alarms import Word
    from edge_runtime.engine.engine import Engine
    from edge_runtime.engine.rules import Rule

__all__ = ["Ruling", "no_such_sensor"]

MAX_LETTERS, MAX_LINES = 1000, 20


class Ruling:
    """Which rules are in force, and who has said so.

    Args:
        engine: Which follows them.
        report: Called with one line for a person.
        now: Nanoseconds since the epoch, by the gateway's clock, right or wrong.
        configured: The rules of the configuration.
    """

    def __init__(
        self,
        engine: Engine,
        report: Callable[[str], None],
        now: Callable[[], int],
        configured: Sequence[Rule],
    ) -> None:
        self._engine = engine
        self._report = report
        self._now = now
        self._configured = configured
        self._kept = RulesKept()
        self._changed = False  # since the ledger got it

    def go_on(self, text: str | None) -> bool:
        """Begins with what the ledger says, and says which rules are in force.

        Returns:
            Whether the ledger says anything about rules that can be read.
        """
        known = text is not None
        try:
            self._kept = RulesKept() if text is None else RulesKept.read(text, anew=True)
        except UsageError as error:
            self._report(f"rules: {error}; those of the configuration are in force")
            known = False
        before = self._kept.all()
        self._kept.sensors = self._engine.bundle.metadata.sensor_names
        self._kept.configure(self._configured, self._now())
        self._changed = self._kept.text() != text
        self._say_all()
        for name in before:
            if name not in self._kept.all():
                self._report(f"{_named(name)} is not in the configuration any more")
        for name, why in self._kept.unusable.items():
            self._report(f"{_named(name)}: {why}; it is not in force")
        self._engine.narrow(self._kept.in_force())
        return known

    def recover(self, words: Iterable[Word]) -> None:
        """Takes up again what people said before, where the ledger has lost it."""
        before = self._kept.all()
        for word in words:
            self._kept.tell(word)
        self._changed = True
        if self._kept.all() != before:
            self._report("rules: the ledger had lost what people said about rules; the operator file has it:")
            self._say_all()
        self._engine.narrow(self._kept.in_force())

    def tell(self, words: Iterable[Word]) -> None:
        """Takes up what people said, from the next row on."""
        for word in words:
            named, by = _named(word.subject), printable(word.by)
            why = self._kept.tell(word)
            self._changed = True
            if why is not None:
                self._report(f"{named}: {word.word} by {by}: {why}")
                continue
            one = self._kept.all().get(word.subject)
            if word.word == "rule removed":
                self._report(f"{named} is removed by {by}: {_one_line(word.text)}")
            if one is not None:
                self._say(word.subject, one)
        self._engine.narrow(self._kept.in_force())

    def unstored(self, *, everything: bool = False) -> str | None:
        """What the ledger has to say from now on; None where that is what it says already.

        Args:
            everything: Whether the ledger may have lost it.
        """
        if not self._changed and not everything:
            return None
        self._changed = False
        return self._kept.text()

    def _say_all(self) -> None:
        every = self._kept.all()
        for name, one in list(every.items())[:MAX_LINES]:
            self._say(name, one)
        if len(every) > MAX_LINES:
            self._report(f"and {len(every) - MAX_LINES:,} rules more; `edge-detect rules list` shows them")

    def _say(self, name: str, one: Set) -> None:
        by, why = printable(one.by), _one_line(one.why)
        if one.rule is None:
            self._report(f"{_named(name)} is switched off by {by}: {why}")
            return
        if self._kept.unknown_sensor(one.rule):
            self._report(f"{_named(name)} of {by}: {no_such_sensor(one.rule, self._kept.sensors)}")
        else:
            self._report(f"{_named(name)} of {by} is in force: {summary(one.rule)}; {why}")


def no_such_sensor(rule: Rule, sensors: Sequence[str]) -> str:
    """What there is to say of a rule for a sensor that the bundle does not have."""
    from edge_runtime.config import nearest  # noqa: PLC0415 - for mistakes alone

    return (
        f"it has no effect, because the bundle has no sensor '{printable(rule.sensor or '')}'; "
        f"{nearest(rule.sensor or '', sensors)}"
    )


def _named(name: str) -> str:
    return f"rule {printable(name)}"


def _one_line(text: str | None) -> str:
    return printable(" ".join((text or "").split()), MAX_LETTERS)
