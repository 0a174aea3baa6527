"""Another table that labels the rows of files: one row for each key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import InputError, UsageError, listed, printable
from trainer.data.columns import place_of
from trainer.data.label_column import KIND_COLUMN, LABEL_COLUMN
from trainer.data.label_words import ANOMALOUS, IGNORED, NORMAL, Cells, meaning_of
from trainer.data.tables import column_names, read_table
from trainer.prepare.label_keys import keys_of
from trainer.prepare.row_labels import kinds_of, states_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from trainer.data.label_words import Meaning
    from trainer.prepare.label_request import LabelRequest

__all__ = ["WORDS", "LabelsTable"]

WORDS = {NORMAL: "normal", ANOMALOUS: "anomalous", IGNORED: "to be ignored"}


@dataclass(frozen=True, slots=True)
class LabelsTable:
    """The other table, read as a whole.

    Attributes:
        path: Its file.
        key: The columns of its key.
        frame: Its rows.
        states: [rows] `NORMAL`, `ANOMALOUS` or `IGNORED`.
        kinds: [rows] what kind of anomaly, "" where unknown.
        described: By which columns they are labelled, as JSON-ready values.
        rule: The same in words.
    """

    path: Path
    key: tuple[str, ...]
    frame: pd.DataFrame
    states: NDArray[np.uint8]
    kinds: NDArray[np.str_]
    described: dict[str, Any]
    rule: str

    @staticmethod
    def read(path: Path, request: LabelRequest, names: Sequence[str]) -> LabelsTable:
        """Reads the table that is asked for.

        Args:
            path: Its file.
            request: Its key and what is normal in it.
            names: The columns of the files, to propose a key.

        Raises:
            InputError: It cannot be read, or a column is not there.
            UsageError: There is no key, or it is not clear which rows are normal.
        """
        there = column_names(path)
        if not request.key:
            shared = [name for name in there if name in names]
            raise UsageError(
                "requires --labels-key",
                where="--labels-file",
                hint=f"both have {listed(shared)}"
                if shared
                else "no column is in the files and in this table",
            )
        for name in (*request.key, *request.conditions.columns, *filter(None, [request.choice.column])):
            if name not in there:
                raise InputError(f"no column '{name}'", where=str(path), hint=f"it has {listed(there)}")
        frame = read_table(path, text=there)
        meanings, described, rule = _meanings(request, frame, path)
        states = states_of(meanings, {name: frame[name] for name in there})
        taken = (*request.key, *(meaning.column for meaning in meanings))
        kinds = kinds_of(
            states, frame[KIND_COLUMN] if KIND_COLUMN in there and KIND_COLUMN not in taken else None
        )
        if not (states == NORMAL).any():
            raise UsageError(f"no row is normal, where {rule}", where=str(path))
        return LabelsTable(path, request.key, frame, states, kinds, described, rule)

    def places(self, numbers: Sequence[bool]) -> dict[tuple[Hashable, ...], int]:
        """Key to its row; rows with an empty cell in their key have none.

        Args:
            numbers: For each column of the key, whether its cells are compared as numbers.

        Raises:
            InputError: A key is there twice with different labels; names both lines.
        """
        columns = [
            keys_of(self.frame[name], numbers=own) for name, own in zip(self.key, numbers, strict=True)
        ]
        found: dict[tuple[Hashable, ...], int] = {}
        for row, key in enumerate(zip(*columns, strict=True)):
            if None in key:
                continue
            first = found.setdefault(key, row)
            if self.states[row] != self.states[first] or self.kinds[row] != self.kinds[first]:
                raise self._twice(first, row)
        return found

    def _twice(self, first: int, row: int) -> InputError:
        place = place_of(self.frame, self.path)
        line = place.row(row).rpartition(" ")[2]

        def said(of: int) -> str:
            return f"{WORDS[int(self.states[of])]}{f' ({self.kinds[of]})' if self.kinds[of] else ''}"

        names = ", ".join(f"{name} {printable(str(self.frame[name].iloc[row]))}" for name in self.key)
        return InputError(
            f"{names} is there twice: {said(first)}, and {said(row)} in line {line}",
            where=place.row(first),
            hint="keep one of the rows, or name one more column with --labels-key, which tells them apart",
        )


def _meanings(
    request: LabelRequest, frame: pd.DataFrame, path: Path
) -> tuple[Sequence[Meaning], dict[str, Any], str]:
    """How the table's columns are read, and the same as JSON-ready values and in words."""
    if request.conditions.normal:
        sought = request.conditions.sought
        cells = {name: Cells(sought=keys) for name, keys in sought.items()}
        for name, of in cells.items():
            of.add(frame[name])
        described = {"normal_where": request.conditions.describe()}
        return request.conditions.meanings(cells), described, f"a row is normal if {request.conditions}"
    choice = request.choice
    names = set(map(str, frame.columns)) - set(request.key)
    column = choice.column or (LABEL_COLUMN if LABEL_COLUMN in names else None)
    if column is None:
        raise UsageError(
            "nothing says which of its rows are normal",
            where=str(path),
            hint="add --label-column NAME, or --normal-where COLUMN=VALUE; beside its key it has "
            f"{listed(name for name in map(str, frame.columns) if name in names) or 'no column'}",
        )
    cells = {column: Cells()}
    cells[column].add(frame[column])
    meaning = meaning_of(column, cells[column], choice.normal, choice.ignore)
    rule = meaning.remark.removeprefix(f"labels are in column '{column}': ")
    rule = f"column '{column}' tells normal rows from others" + (f" ({rule})" if rule else "")
    return [replace(meaning, remark="")], {"column": column}, rule
