"""Labels from another table, found by a key that each row has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from edge_runtime.errors import InputError, counted, listed, printable
from edge_runtime.mapping.roles import Role, RoleOf
from trainer.data.label_words import IGNORED
from trainer.prepare.label_keys import KeyCells, keys_of
from trainer.prepare.labels_table import WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trainer.prepare.labels_table import LabelsTable

__all__ = ["JoinedLabels"]

# More rows without a label than this share are refused.
MOST_UNKNOWN = 0.5
FEW_KEYS = 5


class JoinedLabels:
    """Finds each row's label in the other table.

    Args:
        table: The other table.
        cells: How the key is written in the files: column to what its cells are like.

    Raises:
        InputError: A key is in the table twice with different labels.
    """

    def __init__(self, table: LabelsTable, cells: Mapping[str, KeyCells]) -> None:
        self._table = table
        self._own_cells = cells
        theirs = {name: KeyCells() for name in table.key}
        for name, of in theirs.items():
            of.add(table.frame[name])
        self._their_cells = theirs
        self._numbers = [theirs[name].are_numbers and cells[name].are_numbers for name in table.key]
        self._places = table.places(self._numbers)
        # A row that is not found has the place -1, which is the last entry.
        self._states = np.append(table.states, IGNORED).astype(np.uint8)
        self._kinds = np.append(table.kinds, "")
        self._rows = self._unknown = 0
        self._unknown_keys: dict[str, None] = {}
        self.columns = table.key
        why = f"it finds the labels in {printable(table.path.name)}"
        self.roles = tuple(RoleOf(name, Role.KEY, why) for name in table.key)

    def begin(self) -> None:
        """Counts anew."""
        self._rows = self._unknown = 0
        self._unknown_keys.clear()

    def of(self, cells: Mapping[str, pd.Series[Any]]) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
        """States and kinds of a page's rows; a row whose key is not in the table is ignored."""
        codes: NDArray[np.int64] = np.zeros(len(cells[self.columns[0]]), np.int64)
        columns = []
        for name, numbers in zip(self.columns, self._numbers, strict=True):
            own, values = pd.factorize(cells[name])
            columns.append((own, [*keys_of(values, numbers=numbers), None]))
            # An empty cell has the code -1. Numbered anew each time, so that they stay small.
            codes = np.unique(codes * (len(values) + 1) + own + 1, return_inverse=True)[1]
        _, firsts, codes = np.unique(codes, return_index=True, return_inverse=True)
        keys = [tuple(values[own[first]] for own, values in columns) for first in firsts]
        found = np.array([self._places.get(key, -1) for key in keys], np.int64)
        places = found[codes]
        self._rows += len(places)
        self._unknown += int((places < 0).sum())
        for key, place in zip(keys, found.tolist(), strict=True):
            if place < 0 and len(self._unknown_keys) <= FEW_KEYS:
                self._unknown_keys[" ".join("empty" if cell is None else str(cell) for cell in key)] = None
        return self._states[places], self._kinds[places]

    def end(self) -> None:
        """Refuses rows of which most have a key that is not in the table.

        Raises:
            InputError: They have.
        """
        if self._unknown <= MOST_UNKNOWN * self._rows:
            return
        compared = [
            f"'{name}' holds {listed(self._own_cells[name].samples)} in the files and "
            f"{listed(self._their_cells[name].samples)} in the table, compared as "
            f"{'numbers' if numbers else 'texts'}"
            for name, numbers in zip(self.columns, self._numbers, strict=True)
        ]
        raise InputError(
            f"no label for {self._unknown:,} of {counted(self._rows, 'row')}: their key is not in this table",
            where=str(self._table.path),
            hint=f"choose the columns that both have in common with --labels-key; {'; '.join(compared)}",
        )

    def warnings(self) -> list[str]:
        """How many rows have a key that is not in the table."""
        if not self._unknown:
            return []
        keys = list(self._unknown_keys)
        words = f"{', '.join(map(printable, keys[:FEW_KEYS]))}{' and others' if len(keys) > FEW_KEYS else ''}"
        name = printable(self._table.path.name)
        rows = counted(self._unknown, "row has", "rows have")
        verb = "is" if self._unknown == 1 else "are"
        return [
            f"{rows} no label in {name} and {verb} ignored: it has no {' and '.join(self.columns)} {words}"
        ]

    def describe(self) -> dict[str, Any]:
        """The other table, its key, and by which of its columns rows are labelled."""
        states = self._table.states[sorted(self._places.values())]
        counts = {word: int((states == state).sum()) for state, word in WORDS.items()}
        said = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
        name = printable(self._table.path.name)
        key = " and ".join(self.columns)
        return {
            "from": str(self._table.path),
            "key": list(self.columns),
            **self._table.described,
            "remark": f"labels are in {name}, found by {key}: {self._table.rule} "
            f"({counted(len(states), 'key')}: {said})",
        }
