"""Alarms of a running feed: said to a person, handed to the ledger, and answered by what people say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.engine.alarms import RULE
from edge_runtime.engine.alarmtext import sentence
from edge_runtime.errors import EdgeDetectError, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.delivery.operator import OperatorFile
    from edge_runtime.engine.alarms import Change, Word
    from edge_runtime.engine.engine import Engine
    from edge_runtime.gateway.ruling import Ruling

__all__ = ["Alarming", "Looked"]

# People are taken up within a second; in a flood, so many lines a minute are as many as anybody reads.
LOOK_S, MINUTE_S, MAX_LINES = 1.0, 60.0, 20
# A change that tells a person nothing new is not said.
UNSAID = {"sensor", "replaced"}
# These are said, though nothing else of an alarm is from then on.
SUSPENDING = {"shelved", "out of service"}


class Looked(NamedTuple):
    """What came of a look at what people said, and at the clock.

    Attributes:
        changes: What changed in alarms.
        words: The mark of the last word that was taken up; None where there was none.
        rules: What the ledger has to say about rules from now on; None for what it says already.
    """

    changes: list[Change]
    words: str | None
    rules: str | None


class Alarming:
    """What the pipeline does about alarms beside passing them on.

    Args:
        engine: Which follows them.
        report: Called with one line for a person.
        clock: Monotonic clock, in seconds.
        now: Nanoseconds since the epoch, by the clock of those who shelve alarms.
        words: What people say; None where nobody can say anything.
        feed: Which feed's words these are.
        ruling: The on-site rules; None where nothing is known of them.
        believed: Whether `now` is believed to be the time; alarms are told again by it alone.
    """

    def __init__(
        self,
        engine: Engine,
        report: Callable[[str], None],
        clock: Callable[[], float],
        now: Callable[[], int],
        words: OperatorFile | None,
        feed: str,
        ruling: Ruling | None = None,
        believed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._engine = engine
        self._report = report
        self._clock = clock
        self._now = now
        self._words = words
        self._feed = feed
        self._ruling = ruling
        self._believed = believed
        self._mark: str | None = None
        self._lost = False  # what people said about rules, so that the ledger must not be overwritten
        self._complained: str | None = None
        self._next_look = clock()
        self._minute_ends, self._lines, self._unsaid = clock() + MINUTE_S, 0, 0

    def go_on(self, mark: str | None, rules: str | None) -> None:
        """Begins after the words that the ledger says were taken up, with the rules that it has."""
        self._mark = mark
        if self._ruling is not None:
            self._lost = not self._ruling.go_on(rules) and mark is not None

    def rules(self, *, everything: bool = False) -> str | None:
        """What the ledger has to say about rules from now on; None for what it says already.

        Args:
            everything: Whether the ledger may have lost it.
        """
        if self._ruling is None or self._lost:
            return None
        return self._ruling.unstored(everything=everything)

    def say(self, changes: Sequence[Change]) -> None:
        """Says what changed, a line each; in a flood, how many more there were."""
        if self._clock() >= self._minute_ends:
            self.say_rest()
            self._minute_ends, self._lines = self._clock() + MINUTE_S, 0
        for change in changes:
            told = change.told or change.change in SUSPENDING
            if change.change in UNSAID or not told:
                continue
            if self._lines < MAX_LINES:
                self._report(sentence(change))
                self._lines += 1
            else:
                self._unsaid += 1

    def say_rest(self) -> None:
        """Says how many changes were not said."""
        unsaid, self._unsaid = self._unsaid, 0
        if unsaid:
            more = counted(unsaid, "more change of an alarm", "more changes of alarms")
            hint = "" if self._words is None else "; `edge-detect alarms list` shows what is open"
            self._report(f"{more} in the last minute{hint}")

    def look(self) -> Looked:
        """At most once a second: ends shelvings, and takes up what people said."""
        if self._clock() < self._next_look:
            return Looked([], None, None)
        self._next_look = self._clock() + LOOK_S
        changes: list[Change] = []
        mark = None
        try:
            if self._lost:
                self._recover_rules()
            words, after = (
                ([], self._mark) if self._words is None else self._words.after(self._mark, self._feed)
            )
        except EdgeDetectError as error:
            if str(error) != self._complained:
                self._complained = str(error)
                self._report(f"alarms: {error}")
            words, after = [], self._mark
        else:
            self._complained = None
        if words:
            changes, refused = self._engine.tell([word for word in words if word.kind != RULE])
            for why in refused:
                self._report(f"alarms: {why}")
            if self._ruling is not None:
                self._ruling.tell([word for word in words if word.kind == RULE])
            self._mark = mark = after
        changes += self._engine.advance(self._now(), repeats=self._believed())
        self.say(changes)
        return Looked(changes, mark, self.rules())

    def _recover_rules(self) -> None:
        """Reads again what people said about rules, up to the word that was taken up last.

        Raises:
            LedgerUnavailableError: The operator file cannot be read.
        """
        from edge_runtime.delivery.operator import place_in  # noqa: PLC0415 - for a damaged ledger alone

        if self._words is None or self._ruling is None:
            return
        (identity, number), reached = place_in(self._mark), None
        said: list[Word] = []
        while True:
            words, reached = self._words.after(reached, self._feed)
            if self._words.is_busy:
                return
            if place_in(reached)[0] != identity:  # it was moved away, and what was said with it
                break
            said += [word for word in words if word.kind == RULE and word.number <= number]
            if not words or place_in(reached)[1] >= number:
                break
        self._lost = False
        self._ruling.recover(said)
