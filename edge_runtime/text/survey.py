"""One look through a whole CSV: what its columns hold, and how its times go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np

from edge_runtime.mapping.facts import Facts
from edge_runtime.mapping.form import Columns
from edge_runtime.text.csvblocks import read_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Form
    from edge_runtime.text.csvlayout import Layout

__all__ = ["Survey", "survey"]

# A step longer than this many usual ones is a gap: jitter and a single late row are not.
MISSED_ROWS = 2.5


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without rows of a machine; nanoseconds."""

    machine: str
    after_ns: int
    until_ns: int


@dataclass(frozen=True)
class Survey:
    """What a CSV was found to hold.

    Attributes:
        layout: Where its columns are.
        facts: Of each column, in their order.
        first_rows: The first rows as they are written.
        names: Machine ids.
        codes: [rows] each row's place among them.
        moments: [rows] nanoseconds since the epoch.
        decimal: The decimal mark of its numbers.
    """

    layout: Layout
    facts: tuple[Facts, ...]
    first_rows: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    codes: NDArray[np.intp]
    moments: NDArray[np.int64]
    decimal: str

    @property
    def time_names(self) -> tuple[str, ...]:
        """The columns of the times."""
        return tuple(self.layout.names[place] for place in self.layout.time)

    @property
    def machine_name(self) -> str | None:
        """The column of the machine ids; None where there is none."""
        return None if self.layout.machine is None else self.layout.names[self.layout.machine]

    def steps(self) -> tuple[int, int, list[Gap], int, int]:
        """The usual step, how many are longer, the longest of those; times that go back, and that are alike.

        All of each machine by itself, in the order of the file; nanoseconds.
        """
        usual: list[NDArray[np.int64]] = []
        back = same = 0
        for code in range(len(self.names)):
            steps = np.diff(self.moments[self.codes == code])
            usual.append(steps[steps > 0])
            back += int((steps < 0).sum())
            same += int((steps == 0).sum())
        joined = np.concatenate(usual) if usual else np.empty(0, np.int64)
        if not len(joined):
            return 0, 0, [], back, same
        step = int(np.median(joined))
        gaps: list[Gap] = []
        for code, name in enumerate(self.names):
            times = np.sort(self.moments[self.codes == code])
            steps = np.diff(times)
            long = np.flatnonzero(steps > MISSED_ROWS * step)
            gaps += [Gap(name, int(times[i]), int(times[i + 1])) for i in long]
        gaps.sort(key=lambda gap: (gap.after_ns - gap.until_ns, gap.after_ns))
        return step, len(gaps), gaps[:3], back, same


def survey(
    stream: IO[bytes],
    form: Form,
    where: str,
    report: Callable[[str], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
    *,
    quick: bool = False,
) -> Survey:
    """Reads a whole CSV.

    Args:
        stream: Its bytes.
        form: How it is written.
        where: What it is, for errors.
        report: Called with a line for a person: what was left out, and what was understood how.
        progress: Called with the number of rows read so far.
        quick: Whether to look no further at a column once it is clear that it is one of a sensor.

    Raises:
        InputError: It is empty, ragged, not text, or a time cannot be read; the line is named.
    """
    seen: list[Layout] = []

    def texts(layout: Layout) -> Sequence[int]:
        seen.append(layout)
        return range(layout.width)

    facts: list[Facts] = []
    first_rows: list[tuple[str, ...]] = []
    code_of: dict[str, int] = {}
    codes, moments = [np.empty(0, np.intp)], [np.empty(0, np.int64)]
    rows, decimal = 0, "."
    for block in read_blocks(stream, Columns.of((), form), where, report, texts):
        layout = seen[0]
        facts = facts or [Facts(name, quick=quick) for name in layout.names]
        of_block = np.array([code_of.setdefault(name, len(code_of)) for name in block.names], np.intp)
        of_row = np.repeat(of_block, len(block)) if block.codes is None else of_block[block.codes]
        machines = [(name, np.flatnonzero(of_row == code_of[name])) for name in dict.fromkeys(block.names)]
        for place, (column, cells) in enumerate(zip(facts, block.texts, strict=True)):
            if place not in (*layout.time, layout.machine):
                column.add(cells, block.reader, block.place, block.moments, machines)
        if len(first_rows) < 3:  # noqa: PLR2004 - enough to see
            some = zip(*(cells[:3] for cells in block.texts), strict=True)
            first_rows += [tuple(cell.decode("utf-8", "replace") for cell in row) for row in some]
        decimal = block.reader.decimal
        codes.append(of_row)
        moments.append(block.moments)
        rows += len(block)
        progress(rows)
    columns = tuple(facts or [Facts(name, quick=quick) for name in seen[0].names])
    joined = np.concatenate(codes), np.concatenate(moments)
    return Survey(seen[0], columns, tuple(first_rows[:3]), tuple(code_of), *joined, decimal)
