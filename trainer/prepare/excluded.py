"""Ranges of time that say nothing of a machine, such as maintenance and start-ups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.timeparse import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Form
    from trainer.data.rows import LabelledRows

__all__ = ["Excluded", "refuse_zoneless"]


@dataclass(frozen=True, slots=True)
class Excluded:
    """Ranges whose rows are ignored.

    Attributes:
        ranges: Start and stop of each, ns; the stop itself is not in it.
    """

    ranges: tuple[tuple[int, int], ...] = ()

    @staticmethod
    def parse(texts: Sequence[str], now_ns: int) -> Excluded:
        """Reads ranges such as "2026-01-31T08:00:00Z/2026-01-31T09:30:00Z" or "-3d/-2d".

        Args:
            texts: As they were written.
            now_ns: What "now" is.

        Raises:
            UsageError: One is not of this form, or ends before it starts.
        """
        found = []
        for text in texts:
            start, slash, stop = text.partition("/")
            if not slash:
                raise UsageError(
                    f"'{text}' is not a range of time",
                    where="--exclude",
                    hint="write FROM/TO, such as 2026-01-31T08:00:00Z/2026-01-31T09:30:00Z",
                )
            try:
                bounds = parse_time(start, now_ns), parse_time(stop, now_ns)
            except UsageError as error:
                raise UsageError(error.what, where=f"--exclude {text}", hint=error.hint) from None
            if bounds[0] >= bounds[1]:
                raise UsageError("the start is not before the stop", where=f"--exclude {text}")
            found.append(bounds)
        return Excluded(tuple(found))

    def rows(self, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """[rows] which of these times, in ns, lie in a range."""
        inside = np.zeros(len(times), np.bool_)
        for start, stop in self.ranges:
            inside |= (times >= start) & (times < stop)
        return inside

    def marked(self, rows: LabelledRows) -> LabelledRows:
        """The same rows, those in a range ignored."""
        inside = self.rows(rows.times)
        if not inside.any():
            return rows
        ignored = inside if rows.ignored is None else inside | rows.ignored
        return replace(
            rows, anomaly=rows.anomaly & ~inside, kinds=np.where(inside, "", rows.kinds), ignored=ignored
        )

    def describe(self) -> list[dict[str, str]]:
        """The ranges as JSON-ready values."""
        return [{"start": format_time(start), "stop": format_time(stop)} for start, stop in self.ranges]


def refuse_zoneless(texts: Iterable[str | None], form: Form) -> None:
    """Refuses bounds without a zone, which are UTC, beside files whose times are in another one.

    Raises:
        UsageError: There is such a bound.
    """
    for text in texts if form.time.zone else ():
        try:
            naive = text is not None and datetime.fromisoformat(text.strip()).tzinfo is None
        except ValueError:
            continue
        if naive:
            raise UsageError(
                f"'{text}' has no zone, and the files are read in {form.time.zone}",
                where="--start, --stop, --exclude",
                hint="write the zone behind it, such as Z or +01:00",
            )
