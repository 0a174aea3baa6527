"""What the cells of a column are, gathered block by block."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.mapping.cells import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.mapping.cells import Place
    from edge_runtime.mapping.numbers import Numbers

__all__ = ["Facts"]

MAX_WORDS, MAX_DISTINCT, SHOWN_ROWS = 64, 16, 3
# Of these rows, the numbers are kept to find sums; by them a column is not settled yet.
SAMPLED = np.append(np.arange(512), np.arange(512, 8192, 16))
# After so many rows, and so many steps up and as many down, a column may be clear.
SETTLED_ROWS, SETTLED_MOVES = 20_000, 1000
# So many steps of a float32 are what the range of a sensor has at least.
MIN_STEPS, FLOAT32_STEP = 16, 2.0**-23
# A name made of digits, such as 007, which is no number that was measured.
PADDED = re.compile(rb"^ *0\d+ *$", re.MULTILINE)


class Facts:
    """Facts about one column.

    Args:
        name: Its name.
        quick: Whether to look no further at a column once it is clear that it is one of a sensor.

    Attributes:
        skipped: How many cells were not looked at, because the column was clear.
        rows: How many cells there are.
        numbers: How many of them are finite numbers.
        empty: How many are empty, or say that there is no reading.
        words: What other cells hold, and how many do; not more than `MAX_WORDS` of them.
        first_word: Where the first one is; "" where there is none.
        padded: How many are whole numbers with leading zeros.
        samples: The first cells, as they are written.
        low: The least number; infinite where there is none.
        high: The greatest number.
        whole: Whether all numbers are whole.
        distinct: The different numbers, as long as they are few; None where they are many.
        rises: How often a number was greater than the one before it of the same machine.
        falls: How often it was less.
        steps: Differences between a number and the one before it, as long as they are alike.
        first: The first number, and its row's time.
        last: The last number, and its row's time.
        sample: Numbers of some of the first rows, of the same ones in each column; NaN where there is none.
    """

    def __init__(self, name: str, *, quick: bool = False) -> None:
        self.name = name
        self.quick = quick
        self.skipped = 0
        self.rows = self.numbers = self.empty = self.padded = 0
        self.words: Counter[str] = Counter()
        self.first_word = ""
        self.samples: list[str] = []
        self.low, self.high = np.inf, -np.inf
        self.whole = True
        self.distinct: set[float] | None = set()
        self.rises = self.falls = 0
        self.steps: set[float] = set()
        self.first: tuple[float, int] | None = None
        self.last: tuple[float, int] | None = None
        self.sample = np.full(len(SAMPLED), np.nan)
        self._before: dict[str, float] = {}
        self._digest = hashlib.sha256()

    @property
    def other(self) -> int:
        """How many cells hold neither a number nor nothing."""
        return self.rows - self.numbers - self.empty - self.skipped

    @property
    def is_narrow(self) -> bool:
        """Whether the numbers are too close together for float32 to tell them apart."""
        return self.high - self.low < MIN_STEPS * FLOAT32_STEP * max(abs(self.low), abs(self.high))

    @property
    def digest(self) -> bytes:
        """The same for columns with the same numbers in the same rows."""
        return self._digest.digest()

    def add(
        self,
        cells: Sequence[bytes],
        numbers: Numbers,
        place: Place,
        moments: NDArray[np.int64],
        machines: Sequence[tuple[str, NDArray[np.intp]]],
    ) -> None:
        """Takes a block.

        Args:
            cells: [rows] as they are written.
            numbers: Reads them.
            place: Where they are.
            moments: [rows] nanoseconds since 1970.
            machines: Each machine and which rows are its.
        """
        self.samples += [shown(cell) for cell in cells[: SHOWN_ROWS - len(self.samples)]]
        if self.quick and self.rows >= SETTLED_ROWS and self._is_settled():
            self.rows += len(cells)
            self.skipped += len(cells)
            self._digest.update(b"\0".join(cells))  # a copy is one to its end
            return
        # A column of text stays one; to look at each cell of it would take most of the time.
        if self.rows and not self.numbers and len(self.words) == MAX_WORDS:
            self.rows += len(cells)
            return
        values, words = numbers.sort_out(cells, self.name, place)
        finite = np.isfinite(values)
        self.rows += len(cells)
        self.numbers += int(finite.sum())
        self.empty += len(cells) - int(finite.sum()) - len(words)
        if words and not self.first_word:
            self.first_word = place.row(words[0][0]).removeprefix(f"{place.source}, ")
        for word, rows in Counter(word for _, word in words).items():
            text = shown(word)
            if text in self.words or len(self.words) < MAX_WORDS:
                self.words[text] += rows
        if finite.any():
            self.padded += len(PADDED.findall(b"\n".join(cells)))
        self._take(values, moments, machines)

    def _is_settled(self) -> bool:
        """Whether no rule of `roles` can take the column out any more, whatever follows."""
        moves = self.rises > SETTLED_MOVES and self.falls > SETTLED_MOVES
        numbers = self.distinct is None and self.padded < self.numbers and not self.is_narrow
        return moves and not self.other and numbers

    def add_values(
        self,
        values: NDArray[np.float64],
        moments: NDArray[np.int64],
        machines: Sequence[tuple[str, NDArray[np.intp]]],
    ) -> None:
        """Takes a block of numbers, NaN where there is none; see `add`."""
        self.samples += [f"{value:g}" for value in values[: SHOWN_ROWS - len(self.samples)]]
        numbers = int(np.isfinite(values).sum())
        self.rows += len(values)
        self.numbers += numbers
        self.empty += len(values) - numbers
        self._take(values, moments, machines)

    def add_words(self, words: Sequence[str], rows: int) -> None:
        """Takes a block of texts out of so many rows; the others are empty."""
        self.samples += words[: SHOWN_ROWS - len(self.samples)]
        self.rows += rows
        self.empty += rows - len(words)
        for word in dict.fromkeys(words):
            if word in self.words or len(self.words) < MAX_WORDS:
                self.words[word] += 1

    def _take(
        self,
        values: NDArray[np.float64],
        moments: NDArray[np.int64],
        machines: Sequence[tuple[str, NDArray[np.intp]]],
    ) -> None:
        self._digest.update(values.tobytes())
        self._keep_some(values)
        finite = np.isfinite(values)
        found, times = values[finite], moments[finite]
        if not len(found):
            return
        self.low, self.high = min(self.low, float(found.min())), max(self.high, float(found.max()))
        self.whole = self.whole and bool((found == np.floor(found)).all())
        if self.distinct is not None:
            self.distinct |= set(np.unique(found)[: MAX_DISTINCT + 1].tolist())
            if len(self.distinct) > MAX_DISTINCT:
                self.distinct = None
        self.first = self.first or (float(found[0]), int(times[0]))
        self.last = (float(found[-1]), int(times[-1]))
        for machine, rows in machines:
            of_machine = values[rows]
            of_machine = of_machine[np.isfinite(of_machine)]
            if not len(of_machine):
                continue
            before = self._before.get(machine)
            steps = np.diff(of_machine, prepend=[] if before is None else [before])
            self._before[machine] = float(of_machine[-1])
            self.rises += int((steps > 0).sum())
            self.falls += int((steps < 0).sum())
            if len(self.steps) <= 1:
                self.steps |= set(np.unique(steps)[:2].tolist())

    def _keep_some(self, values: NDArray[np.float64]) -> None:
        """Keeps the numbers of the sampled rows; the rows have been counted already."""
        start = self.rows - len(values)
        first, last = np.searchsorted(SAMPLED, (start, self.rows))
        self.sample[first:last] = values[SAMPLED[first:last] - start]
