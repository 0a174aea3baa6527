"""The loop: read, check, score, store, deliver. The only file that knows the order of things."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge_runtime.delivery.pending import Pending, store
from edge_runtime.engine.accounts import Accounts
from edge_runtime.errors import (
    LedgerUnavailableError,
    SelfTestError,
    SourceUnavailableError,
)
from edge_runtime.gateway.feedwatch import FeedWatch
from edge_runtime.loading.selftest import DailyReplay
from edge_runtime.records import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.checkpoint import Checkpoint
    from edge_runtime.delivery.backoff import Backoff
    from edge_runtime.delivery.ledger import Ledger
    from edge_runtime.delivery.sender import Sender
    from edge_runtime.delivery.senders import Senders
    from edge_runtime.engine.alarms import Change
    from edge_runtime.engine.engine import Engine
    from edge_runtime.engine.judged import Judged
    from edge_runtime.gateway.alarming import Alarming
    from edge_runtime.gateway.journal import Journal
    from edge_runtime.history.history import History
    from edge_runtime.records import Readings
    from edge_runtime.sinks.base import Sink
    from edge_runtime.sinks.outlet import Outlet
    from edge_runtime.sources.base import Batch, Source

__all__ = ["Pipeline"]

COMMIT_ROWS = 100
COMMIT_S = 1.0
MINUTE_S = 60.0
WORD_S = 1.0


class Pipeline:
    """One source, one engine, some sinks.

    Args:
        source: Where readings come from.
        engine: What judges them.
        direct: Sinks that get each block at once and keep nothing, such as standard output.
        some: Such sinks that do not get every row, or get alarms.
        ledger: Where everything else is committed; None when all sinks are direct.
        senders: One for each sink behind the ledger.
        report: Called with one line for a person.
        watch: Called with each block of results; None for nobody.
        make_history: Makes what remembers all that this ledger stores; None for nothing.
        make_alarming: Makes what is done about alarms, when there are any or a ledger; None for nothing.
        max_rows: Stop after so many rows that were not judged before; None to go on.
        now: For a live source, the gateway's clock: nanoseconds since the epoch, or None while it is not
            believed. It is shown the times of live rows. None for a source that is not live: a file's rows
            cannot be in the future.
        arrival: The time that a row gets which came without one, nanoseconds since the epoch.
        clock: Monotonic clock, in seconds.
        wait: Sleeps so many seconds, or until `stop` is called.
    """

    def __init__(  # noqa: PLR0913 - the parts of a pipeline
        self,
        source: Source,
        engine: Engine,
        *,
        direct: Sequence[Sink] = (),
        some: Sequence[Outlet] = (),
        ledger: Ledger | None = None,
        senders: Sequence[Sender] = (),
        report: Callable[[str], None],
        watch: Callable[[Results], None] | None = None,
        make_history: Callable[[Ledger], History] | None = None,
        make_alarming: Callable[[], Alarming] | None = None,
        max_rows: int | None = None,
        now: Callable[[NDArray[np.int64] | None], int | None] | None = None,
        arrival: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], Any] | None = None,
    ) -> None:
        self.accounts = Accounts(engine.bundle.metadata.sensor_names)
        self._source = source
        self._engine = engine
        self._direct = direct
        self._some = some
        self._ledger = ledger
        self._senders = _together(senders, ledger, clock) if senders else None
        self._report = report
        self._watch = watch
        self._make_history = make_history
        self._history: History | None = None
        self._make_alarming = make_alarming
        self._alarming: Alarming | None = None
        self._max_rows = max_rows
        self._now = now or _no_clock
        self._arrival = arrival
        self._clock = clock
        # What a signal handler may release: an Event holds a lock for a moment, and could wait for itself.
        self._asleep = threading.Lock()
        self._asleep.acquire()
        self._wait = wait or self._wait_for_stop
        self._pending = Pending()
        self._checkpoint: Checkpoint | None = None  # of all that was read
        self._stopping = False
        self._acknowledges = True
        self._mended = 0  # the ledger, so often, when all was stored last
        self._new_rows = 0
        self._feed_watch = FeedWatch(source, engine.bundle.metadata.sensor_names, report, clock)
        self._journal: Journal | None = None
        self._next_minute = clock() + MINUTE_S
        self._believed = True
        self._daily_replay = DailyReplay(engine.bundle, clock)

    def stop(self) -> None:
        """Ends `run` after the rows under way; safe from a signal handler."""
        self._stopping = True
        with suppress(RuntimeError):  # released already
            self._asleep.release()
        self._source.close()

    def _wait_for_stop(self, seconds: float) -> None:
        self._asleep.acquire(timeout=seconds)

    def run(self) -> None:
        """Runs until the source ends or `stop` is called, and commits; after a source's end, delivers all.

        Raises:
            SelfTestError: The bundle no longer gives its golden scores; what is not committed never will be.
            SinkUnavailableError: The source has ended, but a sink stayed away: its rows wait in the ledger.
            EdgeDetectError: The source or a sink failed for good; what was scored before is committed.
        """
        if self._ledger is not None:
            self._restore(self._ledger)
        senders = self._senders
        if senders is None:
            self._read_and_commit()
            return
        senders.start()
        try:
            self._read_and_commit()
            senders.finish(lambda: self._stopping)
        finally:
            senders.stop(at_once=self._stopping)
        senders.check()
        if not self._stopping:
            senders.check_all_is_delivered()

    def _read_and_commit(self) -> None:
        try:
            self._read()
        finally:
            self._commit()
            if self._history is not None:
                self._history.close()
            if self._alarming is not None:
                self._alarming.say_rest()

    def _restore(self, ledger: Ledger) -> None:
        self._checkpoint, self._mended = ledger.checkpoint(), ledger.mended
        if self._make_alarming is not None:
            self._alarming = self._make_alarming()
            self._alarming.go_on(ledger.words(), ledger.rules())
        now = self._now(None)
        self._believed = now is not None
        for sentence in self._engine.restore(ledger.states(), now=now):
            self._report(f"ledger: {sentence}")
        for outlet in (*self._some, *(sender.outlet for sender in self._senders or ())):
            outlet.begin(self._engine.open_alarms())
        if self._make_history is not None:
            self._history = self._make_history(ledger)

    def _read(self) -> None:
        self._look_after_alarms()  # of a source that has ended, no row may come any more
        backoff: Backoff | None = None  # while the source is away
        while not self._stopping:
            try:
                reached = self._checkpoint and self._checkpoint.on_top_of(None)
                for batch in self._source.batches(reached):
                    if backoff is not None:
                        self._report(f"{self._source.name}: answers again")
                        backoff = None
                    self._take(batch)
                    if self._done():
                        return
            except SourceUnavailableError as error:
                # What was read before the outage is worth committing before the wait.
                self._commit()
                if self._senders is not None:
                    self._senders.check()
                if self._is_stopping():  # which is why it went away
                    return
                if backoff is None:
                    from edge_runtime.delivery.backoff import Backoff  # noqa: PLC0415 - not at every start

                    self._report(f"{self._source.name}: {error}; trying again")
                    backoff = Backoff()
                self._rest(backoff.next_wait())
            else:
                return

    def _rest(self, seconds: float) -> None:
        """Waits while the source is away; what people say is taken up meanwhile."""
        while self._alarming is not None and seconds > WORD_S and not self._stopping:
            self._wait(WORD_S)
            self._look_after_alarms()
            seconds -= WORD_S
        self._wait(seconds)
        if not self._stopping:
            self._look_after_alarms()

    def _look_after_alarms(self) -> None:
        """Takes up what people said, and stores it at once."""
        if self._alarming is None:
            return
        changes, words, rules = self._alarming.look()
        self._pending.alarms += changes
        if changes:
            self._hand_on_some(None, changes)
        if words is not None or rules is not None or changes:
            self._pending.words = words or self._pending.words
            self._pending.rules = rules or self._pending.rules
            self._commit()

    def _is_stopping(self) -> bool:
        return self._stopping

    def _done(self) -> bool:
        return self._max_rows is not None and self._new_rows >= self._max_rows

    def _check_health(self) -> None:
        """Raises when a sender has given up, or the bundle no longer scores as it did."""
        if self._senders is not None:
            self._senders.check()
        try:
            self._daily_replay()
        except SelfTestError:
            self._pending = Pending()  # scored by what can no longer be trusted, so neither stored nor sent
            raise

    def _take(self, batch: Batch) -> None:
        self._check_health()
        results, old, whole, alarms = self._judge(batch.readings)
        skipped, unreadable, checkpoint = batch.skipped, batch.unreadable, batch.checkpoint
        if not whole:
            # The next start reads this block again, and the rows of it that were judged are repeated then.
            self._acknowledges, skipped, unreadable, checkpoint = False, {}, 0, None
        if old:
            skipped = {why: skipped.get(why, 0) + old.get(why, 0) for why in {**skipped, **old}}
        if checkpoint is not None:
            self._checkpoint = checkpoint.on_top_of(self._checkpoint)
            self._pending.checkpoint = checkpoint.on_top_of(self._pending.checkpoint)
        if len(results) or skipped:
            self._account(results, skipped, unreadable, alarms)
        if not self._feed_watch.ended:
            self._feed_watch.watch(results)
        if self._clock() >= self._next_minute:
            self._tell_minute()
        self._look_after_alarms()
        self._commit_in_time(held=batch.held)

    def _account(
        self, results: Results, skipped: Mapping[str, int], unreadable: int, alarms: list[Change]
    ) -> None:
        """Counts rows, keeps them for the ledger, and hands them on."""
        counted = self.accounts.add(results, skipped, unreadable)
        self._new_rows += len(results)
        if self._ledger is not None:
            self._pending.add(results, counted, self._clock)
            self._pending.alarms += alarms
        self._hand_on(results)
        if self._some:
            self._hand_on_some(results, alarms)
        if alarms and self._make_alarming is not None:
            self._alarming = self._alarming or self._make_alarming()
            self._alarming.say(alarms)
        if "anomaly" in counted:
            self._open_journal().anomalous(results)
        if self._ledger is None:
            self._acknowledge()

    def _open_journal(self) -> Journal:
        if self._journal is None:
            from edge_runtime.gateway.journal import Journal  # noqa: PLC0415 - not at every start

            self._journal = Journal(self._report)
        return self._journal

    def _tell_minute(self) -> None:
        self._next_minute = self._clock() + MINUTE_S
        if self._watch is None:  # the live view shows all that, and more
            waiting: dict[str, int] = {}
            with suppress(LedgerUnavailableError):
                waiting = self._senders.waiting() if self._senders else {}
            waits = self._senders.waits if self._senders else None
            self._open_journal().minute(self.accounts.counters, self._engine.machines, waiting, waits)

    def _judge(self, readings: Readings) -> tuple[Results, dict[str, int], bool, list[Change]]:
        """The rows that were new, what the others were, whether that is all, and what changed in alarms."""
        now = self._time(readings)
        if self._max_rows is None:
            judged = self._feed(readings, now)
            return *judged.split(), True, list(judged.alarms)
        blocks: list[Results] = []
        alarms: list[Change] = []
        old, start = Counter[str](), 0
        while True:
            wanted = max(0, self._max_rows - self._new_rows - sum(len(block) for block in blocks))
            judged = self._feed(readings.take(slice(start, start + wanted)), now)
            results, some_old = judged.split()
            blocks.append(results)
            alarms += judged.alarms
            old.update(some_old)
            start += len(judged)
            if start == len(readings) or not some_old:
                return Results.joined(blocks), old, start == len(readings), alarms

    def _feed(self, readings: Readings, now: int | None) -> Judged:
        try:
            return self._engine.feed(readings, now=now, arrival=self._arrival)
        except BaseException:
            # What the engine knows of the block is not what was judged: the next start reads it all again.
            self._pending = Pending()
            raise

    def _time(self, readings: Readings) -> int | None:
        """What time it is; with a word about what was judged while the clock was not believed."""
        now = self._now(readings.times)
        if now is not None and not self._believed:
            for sentence in self._engine.forget_the_future(now):
                self._report(sentence)
        self._believed = now is not None
        return now

    def _commit_in_time(self, *, held: bool) -> None:
        pending = self._pending
        late = pending.rows and (held or self._clock() - pending.since >= COMMIT_S)
        if late or pending.rows >= COMMIT_ROWS:
            self._commit()

    def _hand_on(self, results: Results) -> None:
        if not len(results):
            return
        for sink in self._direct:
            sink.deliver([sink.encode(results)])
        if self._watch is not None:
            self._watch(results)

    def _hand_on_some(self, results: Results | None, alarms: Sequence[Change]) -> None:
        for outlet in self._some:
            for payload, _ in outlet.entries(results, alarms, self._engine.open_alarms):
                outlet.sink.deliver([payload])
            if outlet.left_out:
                self.accounts.leave_out(outlet.sink.name, outlet.left_out)
                outlet.left_out = 0

    def _commit(self) -> None:
        """Stores what is pending, and tells the source; waits while the disk does not take it."""
        pending, self._pending = self._pending, Pending()
        if pending.is_empty or self._ledger is None:
            self._pending.checkpoint = pending.checkpoint  # it may name machines that the next one will not
            return
        # A ledger that was mended lacks what could not be read; all that is known is stored again.
        mended, self._mended = self._mended, self._ledger.mended
        if anew := self._mended > mended:
            pending.checkpoint = self._checkpoint
            pending.rules = None if self._alarming is None else self._alarming.rules(everything=True)
        states, clock = self._engine.changes(everything=anew), self._now(None)
        stored = store(
            pending,
            self._ledger,
            self._senders or (),
            states=states,
            clock=clock,
            report=self._report,
            wait=self._wait,
            stopping=self._is_stopping,
            standing=self._engine.open_alarms,
            remember=None if self._history is None else self._history.append,
        )
        if stored:
            self._acknowledge()

    def _acknowledge(self) -> None:
        if self._acknowledges:
            self._source.acknowledge()


def _no_clock(_times: NDArray[np.int64] | None) -> None:
    """The clock of a source that is not live."""


def _together(senders: Sequence[Sender], ledger: Ledger | None, clock: Callable[[], float]) -> Senders:
    from edge_runtime.delivery.senders import Senders  # noqa: PLC0415 - standard output needs none

    return Senders(senders, ledger, clock)
