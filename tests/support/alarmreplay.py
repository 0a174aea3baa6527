"""An order of rows and words in which one engine, never interrupted, gives exactly what an alarm log holds.

When a word was taken up is a matter of moments, and a ledger tells only what was true when it was looked at:
so many rows, so many words. Between two such looks every order is tried until one explains the log, where
words come between two blocks of rows.
"""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from edge_runtime.delivery.keptrules import RulesKept
from edge_runtime.engine.alarms import RULE
from edge_runtime.engine.alarmwatch import AlarmWatch
from edge_runtime.engine.rulebook import Rulebook
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.delivery.openalarms import Key
    from edge_runtime.engine.alarms import Change, Word
    from edge_runtime.engine.condition import Condition
    from edge_runtime.loading.load import Bundle
    from edge_runtime.records import Results

__all__ = ["Replay", "Told"]

MOST_STEPS = 20_000


@dataclass(frozen=True)
class Told:
    """What became known of a feed with alarms.

    Attributes:
        log: The changes in the alarm log, in its order.
        words: All that was said, in its order.
        looks: Rows and words that were committed, at each look into the ledger; the last is the end.
        refused: Everything that was said about words that changed nothing.
        begun: Before the first life, nanoseconds since the epoch.
        ended: After the last one.
    """

    log: Sequence[dict[str, Any]]
    words: Sequence[Word]
    looks: Sequence[tuple[int, int]]
    refused: frozenset[str]
    begun: int
    ended: int


@dataclass
class _Step:
    """So far.

    Attributes:
        watch: What is known of alarms.
        rows: How many were taken.
        words: How many.
        lines: How many of the log are explained.
        look: The next look that must be met.
        due: Whether the clock has still to end a shelving.
        refused: Words that changed nothing.
    """

    watch: AlarmWatch
    rows: int = 0
    words: int = 0
    lines: int = 0
    look: int = 0
    due: bool = False
    refused: tuple[int, ...] = ()
    rules: RulesKept = field(default_factory=RulesKept)

    def next(self, **changed: Any) -> _Step:
        watch = copy(self.watch)
        watch._machines = deepcopy(self.watch._machines)
        watch._watched = set(self.watch._watched)
        return replace(self, watch=watch, rules=deepcopy(self.rules), **changed)


class Replay:
    """Explains alarm logs of one feed.

    Args:
        bundle: What judges it.
        results: Its rows, judged, in the feed's order.
        blocks: Numbers of rows that are read at once, one after the other.
    """

    def __init__(self, bundle: Bundle, results: Results, blocks: Sequence[int]) -> None:
        self._bundle, self._results = bundle, results
        ends = list(accumulate(blocks))
        assert ends[-1] == len(results)
        self._blocks = {end - size: end for end, size in zip(ends, blocks, strict=True)}

    def uninterrupted(self) -> list[dict[str, Any]]:
        """The log of a feed about which nobody says anything."""
        return [change.to_dict() for change in self._watch().watch(self._results)]

    def explain(self, told: Told) -> tuple[dict[Key | tuple[str, str, str], Condition], tuple[int, ...]]:
        """Finds an order.

        Returns:
            The conditions that are known in the end, by machine, kind and subject; and the numbers of the
            words that changed nothing.

        Raises:
            AssertionError: There is no such order.
        """
        stack, seen, furthest = [_Step(self._watch())], set[str](), 0
        for _ in range(MOST_STEPS):
            if not stack:
                break
            step = stack.pop()
            furthest = max(furthest, step.lines)
            if (known := repr((step.rows, step.words, step.lines, step.due, step.watch._machines))) in seen:
                continue  # it led nowhere
            seen.add(known)
            while step.look < len(told.looks) and told.looks[step.look] == (step.rows, step.words):
                step.look += 1
            if step.look == len(told.looks) and not step.due:
                if step.lines == len(told.log):
                    conditions = {
                        (machine, *of): one
                        for machine, some in step.watch._machines.items()
                        for of, one in some.items()
                    }
                    return conditions, step.refused
                continue
            stack.extend(reversed(list(self._further(step, told))))
        line = told.log[furthest] if furthest < len(told.log) else None
        raise AssertionError(
            f"no order of rows and words explains line {furthest + 1} of the log: {line}\n"
            + "\n".join(map(str, [told.looks, *told.words, *sorted(told.refused)]))
        )

    def _watch(self) -> AlarmWatch:
        return AlarmWatch(self._bundle.metadata, self._bundle.digest)

    def _further(self, step: _Step, told: Told) -> Iterator[_Step]:
        """What may come next: the clock, a word, or rows."""
        rows, words = told.looks[step.look] if step.look < len(told.looks) else (step.rows, step.words)
        if step.due:
            after = step.next(due=False)
            yield from self._fits(after, after.watch.advance(told.begun), told, by_clock=True)
        if step.words < words:
            word = told.words[step.words]
            after = step.next(words=step.words + 1)
            changes, why = self._told(after, word)
            if not why or why[0] in told.refused:
                after.refused += (word.number,) if why else ()
                after.due |= word.until is not None and word.until <= told.begun
                yield from self._fits(after, changes, told)
        if step.rows < rows and not step.due:
            upto = rows if step.words == words else self._blocks[step.rows]
            after = step.next(rows=upto)
            changes = after.watch.watch(self._results.take(slice(step.rows, upto)))
            yield from self._fits(after, changes, told)

    def _told(self, step: _Step, word: Word) -> tuple[list[Change], list[str]]:
        """What changes with a word, and why nothing does."""
        if word.kind != RULE:
            return step.watch.tell([word])
        assert step.rules.tell(word) is None
        step.watch.rulebook = Rulebook(step.rules.in_force(), self._bundle.metadata.sensor_names)
        return [], []

    @staticmethod
    def _fits(
        step: _Step, changes: Sequence[Change], told: Told, *, by_clock: bool = False
    ) -> Iterator[_Step]:
        """The step, if the log goes on with these changes."""
        wanted = [change.to_dict() for change in changes]
        found = list(told.log[step.lines : step.lines + len(wanted)])
        if by_clock:
            if not all(told.begun <= parse_time(line["time"], 0) <= told.ended for line in found):
                return
            found = [{**line, "time": None} for line in found]
            wanted = [{**line, "time": None} for line in wanted]
        if found == wanted:
            step.lines += len(wanted)
            yield step
