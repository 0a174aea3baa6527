"""What a sender does with its sink: takes it up, delivers, records what arrived, finds what is refused."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from edge_runtime.delivery.posts import Post
from edge_runtime.errors import SinkError, SinkUnavailableError, counted
from edge_runtime.sinks.base import PacedSink, RowsRefusedError
from edge_runtime.text.complaints import Complaints

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_runtime.delivery.ledger import Ledger
    from edge_runtime.delivery.outbox import Parcel
    from edge_runtime.sinks.base import Sink

__all__ = ["Drain", "Gathering"]

MAX_PARCELS = 1000
MAX_BYTES = 4 << 20
# Of each of several posts under way, which are in memory together, and uncompressed.
MAX_BYTES_OF_SEVERAL = 1 << 20
# What a process that was killed may have delivered without recording it: never less than any version took.
MAX_UNRECORDED = 4 << 20
# After a failure a sink gets one post at a time, and one more after each so many that arrived.
MORE_AFTER = 8


class Gathering(Exception):  # noqa: N818 - nothing is wrong
    """What waits is gathered for so many seconds more, since the sink speaks to people."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Drain:
    """Delivers what the ledger holds for one sink, oldest first.

    Where order does not matter to the sink, several posts are under way at the same time. They are recorded
    in the order of their parcels all the same: the ledger knows up to which parcel the sink has everything.

    Args:
        sink: Where to.
        ledger: Where from.
        report: Called with one line for a person.
        clock: Monotonic clock, in seconds.
        progressed: Called when parcels have left the outbox.
        max_under_way: How many posts may be under way at the same time. More than one is for a sink without
            positions, to which a payload may come twice.
        words: What one of that which goes there is called, and what several are.

    Attributes:
        batch: The parcels that are being tried.
        checked: Whether the sink said that it could work.
        complaints: What the sink refused.
        refused: Number of rows that became dead letters since the start.
        hurried: Whether nothing is gathered any more, for the process ends.
    """

    def __init__(
        self,
        sink: Sink,
        ledger: Ledger,
        report: Callable[[str], None],
        clock: Callable[[], float],
        progressed: Callable[[], None],
        max_under_way: int = 1,
        words: tuple[str, str] = ("row", "rows"),
    ) -> None:
        self.batch: Sequence[Parcel] = ()
        self.checked = False
        self.complaints = Complaints(report, clock)
        self.refused = 0
        self.hurried = False
        self._sink = sink
        self._pace = sink.pace if isinstance(sink, PacedSink) else None
        self._ledger = ledger
        self._report = report
        self._progressed = progressed
        self._max_under_way = max_under_way
        self._words = words
        self._posts: deque[Post] = deque()  # under way, oldest first
        self._may_be_under_way, self._arrived = max_under_way, 0
        self._go_together = MAX_PARCELS  # into one of several posts, as far as is known
        self._resumed = False
        self._position: str | None = None  # as the ledger has it
        self._alone_until = 0  # up to this parcel they go one by one

    def some(self, *, more: bool = True) -> bool:
        """Delivers the oldest parcels; whether there were any.

        Args:
            more: Whether posts may begin; otherwise only those that are under way are waited for.

        Raises:
            Gathering: There are some, and they are not to be delivered yet.
        """
        self.batch = ()
        try:
            if more:
                self._fill()
            if not self._posts:
                return False
            self.batch = self._posts[0].parcels
            self._deliver(self._posts[0])
        except BaseException:
            self._may_be_under_way = 1
            self._end_posts()
            raise
        post = self._posts.popleft()
        self._arrived += 1
        if self._arrived % MORE_AFTER == 0:
            self._may_be_under_way = min(self._may_be_under_way + 1, self._max_under_way)
        if post.parcels[-1].id >= self._alone_until:
            self._alone_until = 0
        return True

    def _end_posts(self) -> None:
        """Leaves none under way. What of them arrived without being recorded comes again."""
        for post in self._posts:
            post.give_up()
        for post in self._posts:
            post.join()
        self._posts.clear()

    def _fill(self) -> None:
        """Begins as many posts as may be under way."""
        under_way = 1 if self._alone_until else self._may_be_under_way
        most, max_bytes = 1 if self._alone_until else MAX_PARCELS, MAX_BYTES
        if under_way > 1:
            most, max_bytes = self._go_together, MAX_BYTES_OF_SEVERAL
        while len(self._posts) < under_way:
            after = self._posts[-1].parcels[-1].id if self._posts else None
            parcels = self._ledger.parcels(self._sink.name, most=most, max_bytes=max_bytes, after=after)
            if not parcels:
                break
            if after is None:
                self._gather(len(parcels))
                self._take_up()
                # Where the sink is before it is written to: from there a crash in the middle is undone.
                before = self._sink.position()
                if before != self._position:
                    self._record((), before)
            self._posts.append(Post(self._sink, parcels))
        if len(self._posts) > 1:
            for post in self._posts:
                post.start()

    def _gather(self, waiting: int) -> None:
        # What goes one by one, after a fault, is not gathered again.
        if self._pace is None or self.hurried or self._alone_until:
            return
        seconds = self._pace.wait(waiting)
        if seconds > 0:
            raise Gathering(seconds)

    def doubt(self) -> None:
        """Nobody knows how far the sink got: it is taken up again, and what was tried goes one by one."""
        self._resumed = False
        if len(self.batch) > 1:
            self._alone_until = self.batch[-1].id

    def _take_up(self) -> None:
        """Goes on after what an earlier process, or a failed try, is known to have delivered."""
        if not self.checked:
            self._sink.check()
            self.checked = True
        if self._resumed:
            return
        known = self._ledger.position(self._sink.name)
        # All that a delivery may have taken.
        oldest = self._ledger.parcels(self._sink.name, most=MAX_PARCELS, max_bytes=MAX_UNRECORDED)
        waiting = [parcel.payload for parcel in oldest]
        try:
            self._sink.resume(known, waiting)
        except ValueError as error:
            self._report(
                f"{self._sink.name}: its position in the ledger is unusable ({error}); rows may come twice"
            )
            self._sink.resume(None, waiting)
        self._position, self._resumed = known, True

    def _deliver(self, post: Post) -> None:
        """Delivers parcels; those that the sink refuses become dead letters, and take no others with them."""
        left, parts = post.parcels, post.parts()
        whole = len(left)
        while left:
            try:
                count = next(parts)
            except SinkUnavailableError:
                raise
            except SinkError as error:
                if len(left) == 1:
                    self.bury(left[0], error)
                    return
                middle = len(left) // 2
                self._deliver(Post(self._sink, left[:middle]))
                self._deliver(Post(self._sink, left[middle:]))
                return
            self._resumed = False  # until it is known where the sink is now
            position = self._sink.position()
            self._resumed = True
            self._record(left[:count], position)
            left = left[count:]
            if left:
                self._go_together = count
                if self._may_be_under_way > 1 and list(self._posts) == [post] and not post.is_on_its_own:
                    return  # what is left may go in several posts, as nothing after it is under way
            elif count == whole >= self._go_together:
                self._go_together = min(2 * count, MAX_PARCELS)

    def bury(self, parcel: Parcel, error: SinkError) -> None:
        """Puts what the sink will never take of a parcel among the dead letters."""
        refused = (parcel.payload, parcel.rows)
        if isinstance(error, RowsRefusedError):
            refused = (error.payload, error.rows)
        self._ledger.bury(self._sink.name, parcel, str(error), refused=refused)
        self.refused += refused[1]
        one, many = self._words
        moved = counted(refused[1], f"{one} was", f"{many} were")
        self.complaints.add(f"{error}; {moved} moved to the dead letters", self._sink.name)

    def _record(self, parcels: Sequence[Parcel], position: str | None) -> None:
        """Tells the ledger what the sink has; until it can write that down, it gives out no more parcels."""
        self._ledger.delivered(self._sink.name, parcels, position)
        self._position = position
        if parcels:
            self._progressed()
