"""Pages of one file's rows, as arrays."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.mapping.form import Columns
from edge_runtime.mapping.header import machine_place
from edge_runtime.mapping.times import DAY_NS, Times
from edge_runtime.text.csvblocks import open_rows, read_blocks
from trainer.data.label_words import ANOMALOUS, IGNORED
from trainer.data.rows import LabelledRows
from trainer.data.tables import (
    column_names,
    is_parquet,
    numeric_columns,
    read_pages,
    readable,
    text_column,
    text_of,
    time_columns,
    times_ns,
)
from trainer.prepare.origin import ONE_MACHINE
from trainer.prepare.paths import CSV_SUFFIXES, PARQUET_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Form
    from edge_runtime.text.csvlayout import Layout
    from trainer.prepare.row_labels import RowLabels

__all__ = ["FilePages", "Wanted", "names_of_files"]


def names_of_files(paths: Sequence[Path]) -> dict[Path, str]:
    """A machine's name for each file: its name without suffix, after its folder's if any two are alike.

    Raises:
        UsageError: Two would have the same name.
    """
    stems = {path: _stem(path) for path in paths}
    alike = len(set(stems.values())) < len(stems)
    names = {path: f"{path.resolve().parent.name}-{stem}" if alike else stem for path, stem in stems.items()}
    for name, number in Counter(names.values()).items():
        if number > 1 or len(stems) < len(paths):
            raise UsageError(f"two files would be the machine '{name}'", where="--machine-per-file")
    return names


def _stem(path: Path) -> str:
    """The name without the suffix of a table."""
    suffixes = sorted((*CSV_SUFFIXES, *PARQUET_SUFFIXES), key=len, reverse=True)
    suffix = next((one for one in suffixes if path.name.lower().endswith(one)), "")
    return path.name[: len(path.name) - len(suffix)] or path.name


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are of interest.

    Attributes:
        start_ns: The first time; None for no bound.
        stop_ns: The first time after them; None for no bound.
        machines: Those machines alone; empty for all.
    """

    start_ns: int | None = None
    stop_ns: int | None = None
    machines: tuple[str, ...] = ()

    def rows(self, times: NDArray[np.int64], machines: NDArray[np.str_]) -> NDArray[np.bool_]:
        """[rows] which of them are."""
        mask = np.ones(len(times), np.bool_)
        if self.start_ns is not None:
            mask &= times >= self.start_ns
        if self.stop_ns is not None:
            mask &= times < self.stop_ns
        if self.machines:
            mask &= np.isin(machines, self.machines)
        return mask


ALL = Wanted()


class FilePages:
    """Reads files that are written alike.

    Args:
        sensors: The sensors' columns.
        labels: What tells their rows' labels; None where they have none.
        form: How CSV files are written.
        wanted: Which rows to read.
    """

    def __init__(
        self, sensors: Sequence[str], labels: RowLabels | None, form: Form, wanted: Wanted = ALL
    ) -> None:
        self._sensors = tuple(sensors)
        self._labels = labels
        self._texts = () if labels is None else labels.columns
        self._form = form
        self._wanted = wanted

    def read(self, path: Path, *, times_only: bool, machine: str | None = None) -> Iterator[LabelledRows]:
        """The rows of a file in its order, those that are of interest.

        Args:
            path: The file.
            times_only: Whether readings and labels are of no interest.
            machine: Of which all rows are; None to go by their column.

        Raises:
            InputError: The file cannot be read, or a cell of it; the line is named.
        """
        read = self._parquet if is_parquet(path) else self._csv
        with readable(path):
            for page in read(path, machine, times_only=times_only):
                if len(page):
                    yield page

    def _csv(self, path: Path, machine: str | None, *, times_only: bool) -> Iterator[LabelledRows]:
        names_there = column_names(path, self._form)
        texts = [name for name in self._texts if name in names_there and not times_only]

        def places(layout: Layout) -> Sequence[int]:
            return [layout.names.index(name) for name in texts]

        columns = Columns.of(() if times_only else self._sensors, self._form)
        with open_rows(path) as stream:
            for block in read_blocks(stream, columns, str(path), texts=places):
                names = np.asarray(block.names, np.str_)
                machines = np.repeat(names[:1], len(block)) if block.codes is None else names[block.codes]
                if machine is not None:
                    machines = np.full(len(block), machine)
                values = np.stack(block.numbers, 1) if block.numbers else np.empty((len(block), 0))
                cells = dict(zip(texts, map(text_column, block.texts), strict=True))
                yield self._rows(block.moments, machines, values, cells)

    def _parquet(self, path: Path, machine: str | None, *, times_only: bool) -> Iterator[LabelledRows]:
        names = column_names(path)
        time_names = time_columns(names, path, self._form)
        place = machine_place(names, Columns.of((), self._form), str(path))
        of_machine = [] if place is None else [names[place]]
        texts = [] if times_only else [name for name in self._texts if name in names]
        sensors = () if times_only else self._sensors
        times = Times(self._form.time, time.time_ns() + DAY_NS)
        wanted = list(dict.fromkeys([*time_names, *of_machine, *texts, *sensors]))
        for frame in read_pages(path, columns=wanted, text=self._texts):
            machines = text_of(frame[of_machine[0]]) if of_machine else np.full(len(frame), ONE_MACHINE)
            moments = times_ns(frame, time_names, path, self._form, machines, times)
            if machine is not None:
                machines = np.full(len(frame), machine)
            values = numeric_columns(frame, sensors, path, self._form)
            yield self._rows(moments, machines, values, {name: frame[name] for name in texts})

    def _rows(
        self,
        times: NDArray[np.int64],
        machines: NDArray[np.str_],
        values: NDArray[np.float64],
        texts: dict[str, pd.Series[Any]],
    ) -> LabelledRows:
        wanted = self._wanted.rows(times, machines)
        if not wanted.all():
            times, machines, values = times[wanted], machines[wanted], values[wanted]
            texts = {name: cells[wanted] for name, cells in texts.items()}
        rows = len(times)
        anomaly, kinds, ignored = np.zeros(rows, np.bool_), np.full(rows, ""), None
        if self._labels is not None and texts:
            states, kinds = self._labels.of(texts)
            anomaly, ignored = states == ANOMALOUS, states == IGNORED
        return LabelledRows(times, machines, values, anomaly, kinds, ignored)
