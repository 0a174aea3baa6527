"""The loop: read, check, score, store, deliver. The only file that knows the order of things."""

from __future__ import annotations

import queue
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_runtime.accounts import Accounts
from edge_runtime.bundle.selftest import replay
from edge_runtime.delivery.backoff import Backoff
from edge_runtime.errors import LedgerUnavailableError, SelfTestError, SourceUnavailableError
from edge_runtime.quality import QualityCheck
from edge_runtime.records import Results
from edge_runtime.scoring.scorer import Scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge_runtime.bundle.load import Bundle
    from edge_runtime.delivery.ledger import Ledger
    from edge_runtime.delivery.sender import Sender
    from edge_runtime.records import Readings
    from edge_runtime.sinks.base import Sink
    from edge_runtime.sources.base import Batch, Source

__all__ = ["Pipeline"]

COMMIT_ROWS = 100
COMMIT_S = 1.0
STOP_WITHIN_S = 5.0
PROVE_EVERY_S = 86_400.0


@dataclass
class _Pending:
    """What was scored and is not committed yet."""

    results: list[Results] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    checkpoint: str | None = None
    rows: int = 0
    since: float = 0.0

    def add(self, results: Results, counted: Mapping[str, int], clock: Callable[[], float]) -> None:
        """A block, and what the accounts counted of it."""
        if not self.rows:
            self.since = clock()
        for name, number in counted.items():
            self.counters[name] = self.counters.get(name, 0) + number
        self.results.append(results)
        self.rows += counted.get("read", 0)


class Pipeline:
    """One source, one bundle, some sinks.

    Args:
        source: Where readings come from.
        bundle: What scores them.
        direct: Sinks that get each block at once and keep nothing, such as standard output.
        ledger: Where everything else is committed; None when all sinks are direct.
        senders: One for each sink behind the ledger.
        report: Called with one line for a person.
        watch: Called with each block of results; None for nobody.
        most_rows: Stop after so many rows; None to go on.
        clock: Seconds that only rise.
        wait: Sleeps so many seconds, or until `stop` is called.
    """

    def __init__(  # noqa: PLR0913 - the parts of a pipeline
        self,
        source: Source,
        bundle: Bundle,
        *,
        direct: Sequence[Sink] = (),
        ledger: Ledger | None = None,
        senders: Sequence[Sender] = (),
        report: Callable[[str], None],
        watch: Callable[[Results], None] | None = None,
        most_rows: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], Any] | None = None,
    ) -> None:
        self.accounts = Accounts()
        self._source = source
        self._bundle = bundle
        self._scorer = Scorer(bundle)
        self._quality = QualityCheck(bundle.metadata)
        self._direct = direct
        self._ledger = ledger
        self._senders = senders
        self._report = report
        self._watch = watch
        self._most_rows = most_rows
        self._clock = clock
        # What a signal handler may wake: an Event holds a lock for a moment, and could wait for itself.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wait = wait or self._wait_for_stop
        self._backoff = Backoff()
        self._pending = _Pending()
        self._checkpoint: str | None = None
        self._stopping = False
        self._proved = clock()

    def stop(self) -> None:
        """Ends `run` after the rows under way; safe from a signal handler."""
        self._stopping = True
        self._wake.put(None)
        self._source.close()

    def _wait_for_stop(self, seconds: float) -> None:
        with suppress(queue.Empty):
            self._wake.get(timeout=seconds)

    def run(self) -> None:
        """Runs until the source ends or `stop` is called; commits and delivers what it can before it returns.

        Raises:
            SelfTestError: The bundle no longer gives its golden scores; what is not committed never will be.
            EdgeDetectError: The source failed for good; what was scored before is committed.
        """
        if self._ledger is not None:
            self._restore(self._ledger)
        for sender in self._senders:
            sender.start()
        try:
            self._read()
        finally:
            self._commit()
            for sender in self._senders:
                sender.stop(STOP_WITHIN_S)

    def _restore(self, ledger: Ledger) -> None:
        self._checkpoint = ledger.checkpoint()
        states = ledger.states()
        if "quality" in states:
            self._quality.restore(states["quality"])
        self._scorer.restore(states)

    def _read(self) -> None:
        away = False
        while not self._stopping:
            try:
                for batch in self._source.batches(self._checkpoint):
                    if away:
                        self._report(f"{self._source.name}: answers again")
                        away = False
                        self._backoff.reset()
                    self._take(batch)
                    if self._done():
                        return
            except SourceUnavailableError as error:
                # What was read before the outage is worth committing before the wait.
                self._commit()
                if not away:
                    self._report(f"{self._source.name}: {error}; trying again")
                away = True
                self._wait(self._backoff.next_wait())
            else:
                return

    def _done(self) -> bool:
        return self._most_rows is not None and self.accounts.counters["read"] >= self._most_rows

    def _prove_again(self) -> None:
        """Once a day the golden rows, on the session that scores: memory and processors fail, too."""
        if self._clock() - self._proved < PROVE_EVERY_S:
            return
        try:
            replay(self._bundle.session, self._bundle.metadata.model, self._bundle.metadata.golden)
        except SelfTestError as error:
            self._pending = _Pending()  # scored by what can no longer be trusted, so neither stored nor sent
            raise SelfTestError(
                f"the daily replay failed: {error.what}",
                where=self._bundle.name,
                mend="start again; if it comes back, this machine's memory or processor is failing",
            ) from None
        self._proved = self._clock()

    def _take(self, batch: Batch) -> None:
        self._prove_again()
        readings, checkpoint = batch.readings, batch.checkpoint
        if self._most_rows is not None and self._ledger is None:
            # Without a checkpoint to respect, exactly so many rows; with one, a block is whole or not at all.
            readings = readings.take(slice(0, self._most_rows - self.accounts.counters["read"]))
        if checkpoint is not None:
            self._checkpoint = self._pending.checkpoint = checkpoint
        if len(readings) or batch.skipped:
            results = self._score(readings)
            counted = self.accounts.add(results, batch.skipped, batch.unreadable)
            self._hand_on(results)
            if self._ledger is None:
                self._source.acknowledge()
            else:
                self._pending.add(results, counted, self._clock)
        self._commit_in_time(held=batch.held)

    def _commit_in_time(self, *, held: bool) -> None:
        pending = self._pending
        late = pending.rows and (held or self._clock() - pending.since >= COMMIT_S)
        if late or pending.rows >= COMMIT_ROWS:
            self._commit()

    def _score(self, readings: Readings) -> Results:
        return self._scorer.score(readings, reasons=self._quality.check(readings))

    def _hand_on(self, results: Results) -> None:
        if not len(results):
            return
        for sink in self._direct:
            sink.deliver([sink.encode(results)])
        if self._watch is not None:
            self._watch(results)

    def _commit(self) -> None:
        """Stores what is pending, and tells the source; waits while the disk does not take it."""
        pending, self._pending = self._pending, _Pending()
        if pending.rows and self._ledger is not None and self._store(pending, self._ledger):
            self._source.acknowledge()

    def _store(self, pending: _Pending, ledger: Ledger) -> bool:
        """Whether it was stored; only a stop ends the trying, for nothing may be lost."""
        blocks = [block for block in pending.results if len(block)]
        payloads = {}
        if blocks:
            results = Results.joined(blocks)
            payloads = {s.sink.name: (s.sink.encode(results), len(results)) for s in self._senders}
        states = {"quality": self._quality.state(), **self._scorer.changes()}
        backoff, away = Backoff(), False
        while True:
            try:
                ledger.commit(
                    checkpoint=pending.checkpoint,
                    state=states,
                    payloads=payloads,
                    counters=pending.counters,
                )
            except LedgerUnavailableError as error:
                if self._stopping:
                    # Not acknowledged, so not lost: the next start reads these rows again.
                    self._report(f"ledger: {error}; {pending.rows} rows are left to the next start")
                    return False
                if not away:
                    self._report(f"ledger: {error}; reading waits until it can be written")
                away = True
                self._wait(backoff.next_wait())
            else:
                if away:
                    self._report("ledger: can be written again")
                for sender in self._senders:
                    sender.wake()
                return True
