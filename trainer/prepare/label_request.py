"""What was asked for about the labels of files: their own column, conditions, or another table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from trainer.data.label_column import LabelChoice
from trainer.data.label_words import Meaning, key_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from trainer.data.label_words import Cells

__all__ = ["Conditions", "LabelRequest"]

OPTION = "--normal-where"
USUAL = LabelChoice()


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds in every normal row.

    Attributes:
        normal: Column to the values of which a normal row has one; "" for an empty cell.
    """

    normal: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @staticmethod
    def parse(texts: Sequence[str]) -> Conditions:
        """Reads conditions such as "cooler=100"; a column that comes again has one value more.

        Raises:
            UsageError: One is not of this form.
        """
        found: dict[str, list[str]] = {}
        for text in texts:
            column, sign, value = text.partition("=")
            if not sign or not column.strip():
                raise UsageError(
                    f"'{text}' is not a condition",
                    where=OPTION,
                    hint="write COLUMN=VALUE, such as state=running",
                )
            found.setdefault(column.strip(), []).append(value.strip())
        return Conditions(tuple((column, tuple(values)) for column, values in found.items()))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that they are about."""
        return tuple(column for column, _ in self.normal)

    @property
    def sought(self) -> dict[str, frozenset[str]]:
        """Column to its values, as cells are compared."""
        return {column: frozenset(map(key_of, values)) for column, values in self.normal}

    def meanings(self, cells: Mapping[str, Cells]) -> tuple[Meaning, ...]:
        """How each column is read: a cell is normal, empty and to be ignored, or anomalous.

        Args:
            cells: Column to its cells, in which all of `sought` are counted.

        Raises:
            UsageError: A value is in no cell, so that it is probably misspelt.
        """
        for column, values in self.normal:
            for value in values:
                if key_of(value) not in cells[column].counts:
                    raise UsageError(
                        f"no cell of column '{column}' is {value or 'empty'}",
                        where=OPTION,
                        hint=f"it holds {cells[column].shown() or 'nothing'}",
                    )
        return tuple(
            Meaning(column, normal, frozenset({""}) - normal, "") for column, normal in self.sought.items()
        )

    def describe(self) -> dict[str, list[str]]:
        """Column to its values, as JSON-ready values."""
        return {column: list(values) for column, values in self.normal}

    def __str__(self) -> str:
        return " and ".join(
            f"{column} is {' or '.join(value or 'empty' for value in values)}"
            for column, values in self.normal
        )


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """Where the labels of rows are, as far as somebody said so.

    Attributes:
        choice: The column that holds them, in the other table if there is one; and columns to leave out.
        conditions: What holds in normal rows, instead of such a column.
        table: Another table that has these columns.
        key: The columns that find a row's labels in that table; they are in both.

    Raises:
        UsageError: The parts contradict one another.
    """

    choice: LabelChoice = USUAL
    conditions: Conditions = Conditions()
    table: Path | None = None
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.key and self.table is None:
            raise UsageError("requires --labels-file", where="--labels-key")
        if len(set(self.key)) < len(self.key):
            raise UsageError("a column is named twice", where="--labels-key")
        if self.conditions.normal and self.choice.column is not None:
            raise UsageError(
                "cannot be combined with --label-column",
                where=OPTION,
                hint="say with one of them which rows are normal",
            )

    @property
    def option(self) -> str:
        """The option that says most of where labels are; "" where none does."""
        if self.table is not None:
            return "--labels-file"
        if self.conditions.normal:
            return OPTION
        return "--label-column" if self.choice.column is not None else ""

    @property
    def own(self) -> LabelChoice:
        """What it says of the files' own columns."""
        return self.choice if self.table is None else replace(USUAL, drop=self.choice.drop)

    @property
    def own_conditions(self) -> Conditions:
        """What holds in the files' own columns."""
        return self.conditions if self.table is None else Conditions()

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The files' own columns that labels are found by, beside that of `own`."""
        return self.key if self.table is not None else self.conditions.columns

    def refuse_twice(self, others: Mapping[str, Collection[str | None]]) -> None:
        """Refuses a column of the files that is here and named with another option as well.

        Args:
            others: Option to the columns that it names.

        Raises:
            UsageError: There is one.
        """
        self.own.refuse_twice(others)
        option = OPTION if self.table is None else "--labels-key"
        for name in self.own_columns:
            for other, names in {"--sensor": others.get("--sensor", ()), "--drop": self.own.drop}.items():
                if name in names:
                    raise UsageError(f"'{name}' is named with {other} as well", where=option)
