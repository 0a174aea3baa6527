"""What the cells of a label column mean: a normal row, an anomalous one, or one to ignore.

Understood are 0 and 1, -1 and 1 as scikit-learn has them (there 1 is normal), true and false, and a few
well-known words. Whatever else there is, the reader is told which option says what is normal.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from edge_runtime.errors import UsageError, listed
from trainer.data.columns import EMPTY_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "ANOMALOUS",
    "EMPTY_CELLS",
    "IGNORED",
    "KNOWN_WORDS",
    "NORMAL",
    "NUMBER",
    "Cells",
    "Meaning",
    "key_of",
    "meaning_of",
    "simplified",
]

NORMAL, ANOMALOUS, IGNORED = 0, 1, 2
NORMAL_WORDS = frozenset({"normal", "ok", "okay", "good", "healthy", "nominal", "benign"})
ANOMALY_WORDS = frozenset(
    {
        "anomaly", "anomalous", "abnormal", "fault", "faulty", "failure", "failed", "broken", "defect",
        "defective", "error", "outlier", "attack", "bad",
    }
)  # fmt: skip
KNOWN_WORDS = NORMAL_WORDS | ANOMALY_WORDS
# The word "none" may say that nothing is wrong.
EMPTY_CELLS = frozenset(EMPTY_WORDS) - {"none"}
# All values of a form, and which of them is normal.
FORMS = (({"0", "1"}, "0"), ({"-1", "1"}, "1"), ({"false", "true"}, "false"))
# Of columns whose 1 is the normal state.
TURNED_NAMES = frozenset({"normal", "isnormal", "ok", "isok", "good", "isgood", "healthy", "ishealthy"})
# A whole number is kept digit by digit: as a float, two long ids may be the same.
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
COMMA = re.compile(r"([+-]?\d+),(\d+)", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)
# More different cells than this are not kept apart.
MAX_CELLS = 1000


def key_of(cell: object) -> str:
    """A cell as it is compared: in lower case, numbers in one form, "" where it is empty."""
    if isinstance(cell, bool | np.bool_):
        return "true" if cell else "false"
    text = str(cell).strip().casefold()
    if text in EMPTY_CELLS:
        return ""
    if WHOLE.fullmatch(text):
        return str(int(text))
    text = COMMA.sub(r"\1.\2", text) if COMMA.fullmatch(text) else text
    if NUMBER.fullmatch(text) is None:
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() else repr(number)


def simplified(name: str) -> str:
    """A column's name without case, spaces and signs."""
    return re.sub(r"[\W_]", "", name.casefold())


@dataclass(slots=True)
class Cells:
    """The different cells of a column, over all tables and pages that it was shown.

    Attributes:
        counts: Key to its rows; "" for empty cells.
        spelled: Key to how it is written.
        many: Whether there are more than are kept.
        sought: Keys that are kept however many there are.
    """

    counts: Counter[str] = field(default_factory=Counter)
    spelled: dict[str, str] = field(default_factory=dict)
    many: bool = False
    sought: frozenset[str] = frozenset()

    def add(self, column: pd.Series[Any]) -> None:
        """Counts a column's cells."""
        codes, cells = pd.factorize(column)
        self.counts[""] += int((codes < 0).sum())
        looked_at = cells if self.sought else cells[: MAX_CELLS + 1]
        for cell, rows in zip(looked_at, np.bincount(codes[codes >= 0]).tolist(), strict=False):
            key = key_of(cell)
            if len(self.counts) > MAX_CELLS and key not in self.counts and key not in self.sought:
                continue
            self.counts[key] += rows
            self.spelled.setdefault(key, str(cell).strip() if isinstance(cell, str) else key)
        self.many = self.many or len(self.counts) > MAX_CELLS
        if not self.counts[""]:
            del self.counts[""]

    @property
    def filled(self) -> frozenset[str]:
        """The keys of the cells that are not empty."""
        return frozenset(self.counts) - {""}

    def shown(self, keys: Iterable[str] | None = None) -> str:
        """Some of the cells as they are written, by default all but empty ones; the most frequent first."""
        chosen = self.filled if keys is None else set(keys)
        ranked = sorted(chosen, key=lambda key: (-self.counts[key], key))
        return listed(self.spelled.get(key, key) or "empty cells" for key in ranked)

    def likely_normal(self) -> str:
        """The cell to propose as normal, "" for empty ones: 0 or a known word, else the most frequent."""
        known = self.filled & (NORMAL_WORDS | {"0", "false"})
        best = max(sorted(known or self.counts), key=lambda key: self.counts[key])
        return self.spelled[best] if best else ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """How to read a column of labels.

    Attributes:
        column: Its name.
        normal: Keys of normal rows.
        ignored: Keys of rows to ignore; every other key is of anomalous rows.
        remark: The same in a sentence for people; empty for 0 and 1, which needs none.
    """

    column: str
    normal: frozenset[str]
    ignored: frozenset[str]
    remark: str

    def states(self, column: pd.Series[Any]) -> NDArray[np.uint8]:
        """[rows] `NORMAL`, `ANOMALOUS` or `IGNORED`."""
        codes, cells = pd.factorize(column)
        # An empty cell has the code -1, which is the last entry.
        table = np.array([self._state(key_of(cell)) for cell in cells] + [self._state("")], np.uint8)
        return table[codes]

    def _state(self, key: str) -> int:
        if key in self.normal:
            return NORMAL
        return IGNORED if key in self.ignored else ANOMALOUS


def meaning_of(name: str, cells: Cells, normal: Sequence[str] = (), ignore: Sequence[str] = ()) -> Meaning:
    """What the cells of a column mean.

    Args:
        name: The column.
        cells: Of all tables that are read together.
        normal: Values of normal rows, where somebody said so; "" for an empty cell.
        ignore: Values of rows to ignore. Empty cells are always ignored, unless they are normal.

    Raises:
        UsageError: It is not clear which rows are normal, or none is: says what to type.
    """
    chosen, ignored = frozenset(map(key_of, normal)), frozenset(map(key_of, ignore)) | {""}
    keys = cells.filled - ignored
    if normal:
        ignored -= chosen
        _refuse_strange(name, cells, normal, "--normal-value")
    else:
        found = None if cells.many or simplified(name) in TURNED_NAMES else _understood(keys)
        if found is None:
            raise _unclear(name, cells)
        chosen = found
    if not cells.many:
        _refuse_strange(name, cells, [value for value in ignore if key_of(value)], "--ignore-value")
    return Meaning(name, chosen, ignored, _remark(name, cells, chosen, ignored))


def _refuse_strange(name: str, cells: Cells, values: Sequence[str], option: str) -> None:
    """Refuses a value that is in no cell, since it may be misspelt."""
    strange = [value for value in values if key_of(value) not in cells.counts]
    if strange and not (cells.many and len(strange) < len(values)):
        raise UsageError(
            f"no cell of column '{name}' is {' or '.join(map(repr, strange))}",
            where=option,
            hint=f"it holds {cells.shown() or 'nothing'}",
        )


def _understood(keys: frozenset[str]) -> frozenset[str] | None:
    """Those of the values that are normal; None where that is not known, or none is."""
    forms = [normal for values, normal in FORMS if keys <= values]
    if keys and len(forms) == 1 and forms[0] in keys:
        return frozenset(forms)
    if keys <= KNOWN_WORDS and keys & NORMAL_WORDS:
        return keys & NORMAL_WORDS
    return None


def _unclear(name: str, cells: Cells) -> UsageError:
    if not cells.filled:
        return UsageError(
            f"every cell of column '{name}' is empty", where="--label-column", hint="name another column"
        )
    likely = cells.likely_normal()
    line = shlex.join(["--normal-value", likely])
    return UsageError(
        f"it is not clear which rows are normal: column '{name}' holds {cells.shown()}",
        where="--label-column",
        hint=f"if {likely or 'an empty cell'} is normal, add {line}: every other value is then anomalous, "
        "but for those of --ignore-value",
    )


def _remark(name: str, cells: Cells, normal: frozenset[str], ignored: frozenset[str]) -> str:
    keys = frozenset(cells.counts)
    others = keys - normal - ignored
    if keys <= {"0", "1", ""} and normal == {"0"}:
        return ""
    kinds = ((keys & normal, "normal"), (others, "anomalous"), (keys & ignored, "to be ignored"))
    parts = [
        f"{cells.shown(some)} {'are' if len(some) > 1 or '' in some else 'is'} {what}"
        for some, what in kinds
        if some
    ]
    return f"labels are in column '{name}': " + "; ".join(parts)
