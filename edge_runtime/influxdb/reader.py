"""Reading history in bounded questions, whatever the server's language.

No question asks for more than an hour of rows. 3 Core refuses one that needs too many Parquet files, and
holds its answer in memory while it sorts; Flux holds it while it pivots. Only 1.x and 2.x by InfluxQL,
which send rows as they find them, are asked for a day. Where a server refuses even that, the range is
halved. Questions about a long range that have a short answer, such as its first time, go page by page
too, except to servers that look it up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from edge_runtime.errors import SourceUnavailableError
from edge_runtime.influxdb.query import UnfinishedAnswerError, malformed
from edge_runtime.influxdb.refusals import QueryTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_runtime.errors import SourceError
    from edge_runtime.influxdb.client import InfluxClient
    from edge_runtime.influxdb.readings import ReadingsQuery
    from edge_runtime.influxdb.rows import Rows

__all__ = ["HOUR_NS", "Reader", "open_reader"]

MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS
# After so many answers a question that was made shorter is made longer again.
GROW_AFTER = 16
MEMORY_WORDS = ("resources exhausted", "memory allocation limit")

Answer = TypeVar("Answer")


class Reader(ABC):
    """Readings, and what there is to read, of one database or bucket.

    Every method raises `SourceUnavailableError` when the server cannot be reached or went away half-way, and
    `SourceError` when it refuses the question.

    Args:
        client: Which server, database or bucket.
        page_ns: The longest range of one question, nanoseconds; None for what suits the server.
        stopped: Asked between two questions: whether the answers are no longer wanted.
    """

    def __init__(
        self,
        client: InfluxClient,
        *,
        page_ns: int | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.client = client
        self.stopped = stopped
        self._page_ns = page_ns
        self._shortened_ns: int | None = None
        self._answers = 0

    @property
    def looks_up_any_range(self) -> bool:
        """Whether a question about a long range that has a short answer may be put at once."""
        return self.client.answers_any_range

    @property
    def page_ns(self) -> int:
        """The longest range of one question about rows, nanoseconds."""
        return self._page_ns or HOUR_NS

    @abstractmethod
    def measurements(self) -> tuple[str, ...]:
        """The measurements that are there."""

    @abstractmethod
    def fields(self, measurement: str) -> dict[str, set[str]]:
        """A measurement's fields, each with the types it was written with as far as they are known."""

    @abstractmethod
    def number_fields(self, measurement: str, start_ns: int, stop_ns: int) -> tuple[str, ...]:
        """The fields that have held numbers, in the order of their names."""

    @abstractmethod
    def tags(self, measurement: str) -> tuple[str, ...]:
        """A measurement's tags, in the order of their names."""

    def rows(self, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> Iterator[Rows]:
        """The rows with `start_ns` <= time < `stop_ns` in the order of time, a few thousand at a time.

        A block ends between two times. A stretch without rows is stepped over. Ends early when `stopped`.
        """
        start: int | None = start_ns
        while start is not None and start < stop_ns and not self.stopped():
            asked, stop, found = start, min(start + self._length, stop_ns), False
            try:
                for rows in self._page(wanted, start, stop):
                    found = True
                    start = int(rows.readings.times[-1]) + 1
                    yield rows
            except (QueryTooLargeError, UnfinishedAnswerError) as error:
                if not found:
                    self._shorten(stop - start, error)
                elif start <= asked:  # rows that were not asked for: for ever the same ones
                    raise malformed(self.client.settings.place) from None
                continue
            self._answered()
            start = stop if found or stop == stop_ns else self.first(wanted, stop, stop_ns)

    def first(self, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> int | None:
        """The time of the first row in a range; None when there is no row."""
        return self._edge(wanted, start_ns, stop_ns, newest=False)

    def last(self, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> int | None:
        """The time of the last row in a range; None when there is no row."""
        return self._edge(wanted, start_ns, stop_ns, newest=True)

    def machines(
        self, wanted: ReadingsQuery, start_ns: int, stop_ns: int, *, until: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """The machines of a range, in the order of their names.

        Args:
            wanted: Names the measurement and the tag.
            start_ns: First time.
            stop_ns: First time after the range.
            until: Look no further back than these; empty to look through the whole range.
        """
        found: set[str] = set()
        if wanted.tag is None:
            return (wanted.nameless,)

        def ask(start: int, stop: int) -> Sequence[str]:
            return self._tag_values(wanted.measurement, wanted.machine_tag, start, stop)

        for names in self._by_page(ask, start_ns, stop_ns, newest=True):
            found.update(names)
            if until and found.issuperset(until):
                break
        return tuple(sorted(found))

    def points(
        self, measurement: str, columns: Sequence[str], start_ns: int, stop_ns: int
    ) -> Iterator[tuple[Any, ...]]:
        """A measurement's points: time in nanoseconds, then these fields and tags, None for none."""

        def ask(start: int, stop: int) -> list[tuple[Any, ...]]:
            return list(self._points(measurement, columns, start, stop))

        for page in self._by_page(ask, start_ns, stop_ns):
            yield from page

    @abstractmethod
    def describe(self, wanted: ReadingsQuery) -> dict[str, Any]:
        """How the rows are asked for, as JSON-ready values."""

    @abstractmethod
    def _page(self, wanted: ReadingsQuery, start_ns: int, stop_ns: int) -> Iterator[Rows]:
        """The rows of one page, in blocks that end between two times."""

    @abstractmethod
    def _edge_of_page(
        self, wanted: ReadingsQuery, start_ns: int, stop_ns: int, *, newest: bool
    ) -> int | None:
        """The time of a page's first or newest row."""

    @abstractmethod
    def _tag_values(self, measurement: str, tag: str, start_ns: int, stop_ns: int) -> Sequence[str]:
        """A tag's values in a page."""

    @abstractmethod
    def _points(
        self, measurement: str, columns: Sequence[str], start_ns: int, stop_ns: int
    ) -> Iterator[tuple[Any, ...]]:
        """The points of a page."""

    def _edge(self, wanted: ReadingsQuery, start_ns: int, stop_ns: int, *, newest: bool) -> int | None:
        def ask(start: int, stop: int) -> int | None:
            return self._edge_of_page(wanted, start, stop, newest=newest)

        answers = self._by_page(ask, start_ns, stop_ns, newest=newest)
        return next((time for time in answers if time is not None), None)

    def _by_page(
        self,
        ask: Callable[[int, int], Answer],
        start_ns: int,
        stop_ns: int,
        *,
        newest: bool = False,
    ) -> Iterator[Answer]:
        """What the server answers for each page of a range, or for all of it where it can.

        Args:
            ask: Puts the question for a page.
            start_ns: First time of the range.
            stop_ns: First time after it.
            newest: Whether the newest page comes first.
        """
        if self.looks_up_any_range:
            with suppress(QueryTooLargeError):
                yield ask(start_ns, stop_ns)
                return
        while start_ns < stop_ns and not self.stopped():
            length = min(self._length, stop_ns - start_ns)
            page = (stop_ns - length, stop_ns) if newest else (start_ns, start_ns + length)
            try:
                answer = ask(*page)
            except QueryTooLargeError as refusal:
                self._shorten(length, refusal)
                continue
            self._answered()
            yield answer
            start_ns, stop_ns = (start_ns, page[0]) if newest else (page[1], stop_ns)

    @property
    def _length(self) -> int:
        """The range of the next question, nanoseconds."""
        return self.page_ns if self._shortened_ns is None else min(self._shortened_ns, self.page_ns)

    def _shorten(self, asked_ns: int, error: SourceError) -> None:
        """Makes the next questions half as long as the one that was refused, down to a minute.

        Raises:
            SourceUnavailableError: Even that is too much now: memory may be there again later.
            QueryTooLargeError: Even that is too much for good.
        """
        if asked_ns > MINUTE_NS:
            self._shortened_ns, self._answers = asked_ns // 2, 0
            return
        if not isinstance(error, QueryTooLargeError):
            raise error
        if any(word in error.what.lower() for word in MEMORY_WORDS):
            raise SourceUnavailableError(
                error.what, where=error.where, hint="give the server more memory if this continues"
            ) from None
        raise QueryTooLargeError(
            error.what, where=error.where, hint="raise the server's own limit: it refuses even a minute"
        ) from None

    def _answered(self) -> None:
        """After some good answers questions grow again: the server may have been short for a moment."""
        self._answers += 1
        if self._shortened_ns is not None and self._answers >= GROW_AFTER:
            longer, self._answers = 2 * self._shortened_ns, 0
            self._shortened_ns = longer if longer < self.page_ns else None


def open_reader(
    client: InfluxClient, *, template: str | None = None, stopped: Callable[[], bool] = lambda: False
) -> Reader:
    """The reader for a database or bucket: InfluxQL where the server has it, else Flux.

    Args:
        client: Its settings name the database or bucket.
        template: A Flux query of one's own, with `{start}` and `{stop}`.
        stopped: Asked between two questions: whether the answers are no longer wanted.

    Raises:
        MissingExtraError: influxdb-client is needed and not installed.
        SourceUnavailableError: The server cannot be reached.
        SourceError: It refuses the login.
    """
    from edge_runtime.influxdb.influxql import InfluxqlReader  # noqa: PLC0415 - one of two

    if template is None:
        if not client.settings.bucket:
            return InfluxqlReader(client, stopped=stopped)
        from edge_runtime.influxdb.dbrp import mapped_client  # noqa: PLC0415 - buckets alone need it

        mapped = mapped_client(client)
        if mapped is not None:
            return InfluxqlReader(mapped, stopped=stopped)
    from edge_runtime.influxdb.flux import FluxReader  # noqa: PLC0415 - an extra

    return FluxReader(client, template=template, stopped=stopped)
