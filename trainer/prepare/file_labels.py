"""The labels that files carry: which column holds them, by all files together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.errors import InputError
from edge_runtime.mapping.form import PLAIN
from trainer.data.label_column import choose_labels
from trainer.data.label_words import Cells
from trainer.data.tables import column_names, read_pages

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from edge_runtime.mapping.form import Form
    from trainer.data.label_column import LabelChoice
    from trainer.data.label_words import Meaning

__all__ = ["find_labels"]


def find_labels(
    paths: Sequence[Path], choice: LabelChoice, taken: Collection[str | None], form: Form = PLAIN
) -> Meaning | None:
    """What the labels of the files mean; None for files without labels.

    Columns that may be labels are read once for that, in pages.

    Args:
        paths: The files.
        choice: What was said about labels.
        taken: Columns that are known to be something else.
        form: How CSV files are written.

    Raises:
        InputError: A named column is in no file, or that of the labels not in all of them.
        UsageError: A column looks like labels and nobody says what it is, or it is not clear which rows are
            normal.
    """
    columns = {path: column_names(path, form) for path in paths}
    every = list(dict.fromkeys(name for names in columns.values() for name in names))
    for name in (choice.column, *choice.drop):
        if name is not None and name not in every:
            raise InputError(f"no column '{name}'", where=str(paths[0]), hint=f"it has {', '.join(every)}")

    def look(wanted: Sequence[str]) -> dict[str, Cells]:
        found = {name: Cells() for name in wanted}
        for path, names in columns.items():
            there = [name for name in wanted if name in names]
            for frame in read_pages(path, columns=there, text=there, form=form) if there else ():
                for name in there:
                    found[name].add(frame[name])
        return found

    meaning = choose_labels(every, choice, taken, look, str(paths[0]))
    for path, names in columns.items():
        if meaning is not None and meaning.column not in names:
            raise InputError(
                f"no column '{meaning.column}', which holds the labels of another file",
                where=str(path),
                hint=f"prepare them apart, or leave it out with --drop {meaning.column}",
            )
    return meaning
