"""History from CSV and Parquet files, in any number and any order of rows.

Files whose rows already rise in time are streamed; others are sorted on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError, UsageError
from edge_runtime.timeparse import format_time
from trainer.label_column import KIND_COLUMN, LABEL_COLUMN, LabelChoice
from trainer.label_words import ANOMALOUS, IGNORED
from trainer.prepare.buckets import sorted_by_time
from trainer.prepare.file_labels import find_labels
from trainer.prepare.origin import ONE_MACHINE, PAGE_ROWS, whole_times
from trainer.rows import LabelledRows
from trainer.tables import column_names, numeric_columns, read_pages, time_column, times_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from trainer.label_words import Meaning

__all__ = ["FileOrigin"]

MACHINE_NAMES = ("machine_id", "machine")
USUAL_LABELS = LabelChoice()
SAMPLES_A_PAGE = 512


class FileOrigin:
    """Some files as one history.

    Args:
        paths: The files; all with the chosen columns.
        sensors: The sensors' columns; empty for every numeric one.
        machines: Keep these machines alone; empty for all.
        machine_column: Column of the machine ids; a file without it holds one machine, "machine".
        start_ns: Leave out rows before this time; None for no bound.
        stop_ns: Leave out rows from this time on; None for no bound.
        labels: What was said about labels.

    Attributes:
        meaning: What the labels mean that the files carry; None for files without labels.

    Raises:
        InputError: A file cannot be read, or a column is missing.
        UsageError: No file; or a column looks like labels and nobody says what it is.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        sensors: Sequence[str] = (),
        machines: Sequence[str] = (),
        machine_column: str | None = None,
        start_ns: int | None = None,
        stop_ns: int | None = None,
        labels: LabelChoice = USUAL_LABELS,
    ) -> None:
        if not paths:
            raise UsageError("no file to read", hint="--csv FILE or --parquet FILE")
        self._paths = tuple(paths)
        self._machine_column = machine_column
        self._machines = tuple(machines)
        self._bounds = (start_ns, stop_ns)
        self._labels = labels
        labels.refuse_twice({"--sensor": sensors, "--machine-tag": (machine_column,)})
        times = (_time_column(column_names(path), path) for path in self._paths)
        self.meaning = find_labels(self._paths, labels, (*times, machine_column, *MACHINE_NAMES, *sensors))
        self.labelled = self.meaning is not None
        self.sensors = tuple(sensors) or self._numeric(self._paths[0])
        for path in self._paths:
            self._check(path)
        self._edges: NDArray[np.int64] | None = None

    def describe(self) -> dict[str, Any]:
        """The files and the choice from them."""
        start, stop = self._bounds
        return {
            "files": [str(path) for path in self._paths],
            "machines": list(self._machines) or None,
            "start": None if start is None else format_time(start),
            "stop": None if stop is None else format_time(stop),
        }

    def warnings(self) -> list[str]:
        """Nothing: what cannot be used in a file is an error."""
        return []

    def extent(self) -> tuple[int, int]:
        """Looks through the times once; also finds out whether they rise."""
        first, last, rows, rising = np.iinfo(np.int64).max, np.iinfo(np.int64).min, 0, True
        samples = []
        seen: tuple[int, int] | None = None
        for page in self._rows(times_only=not self._machines):
            if seen is not None:
                rising = rising and int(page.times[0]) >= last
            rising = rising and bool((np.diff(page.times) >= 0).all())
            low, high = int(page.times.min()), int(page.times.max())
            first, last, rows = min(first, low), max(last, high), rows + len(page)
            seen = (first, last)
            samples.append(
                page.times[np.linspace(0, len(page) - 1, min(SAMPLES_A_PAGE, len(page))).astype(int)]
            )
        if seen is None:
            raise self._nothing()
        if not rising:
            shares = np.linspace(0, 1, -(-rows // PAGE_ROWS) + 1)[1:-1]
            cuts = np.quantile(np.concatenate(samples).astype(np.float64) - first, shares)
            self._edges = np.unique(cuts.astype(np.int64) + first)
        return first, last

    def pages(self, start_ns: int, stop_ns: int) -> Iterator[LabelledRows]:
        """Streams the files, or deals them into buckets first."""
        inside = (
            page.take((page.times >= start_ns) & (page.times < stop_ns))
            for page in self._rows(times_only=False)
        )
        if self._edges is None:
            yield from whole_times(inside)
        else:
            yield from sorted_by_time(inside, self._edges, len(self.sensors))

    def _rows(self, *, times_only: bool) -> Iterator[LabelledRows]:
        """Every file's pages as arrays, within the bounds."""
        start, stop = self._bounds
        for path in self._paths:
            names = column_names(path)
            machine = self._machine(names)
            wanted = self.sensors if not times_only else ()
            time = _time_column(names, path)
            label = None if self.meaning is None else self.meaning.column
            others = (label, *self._labels.drop, *self.sensors)
            kind = KIND_COLUMN if label is not None and KIND_COLUMN not in others else None
            keep = [name for name in (machine, label, kind) if name in names]
            for frame in read_pages(path, columns=[time, *keep, *wanted], text=keep):
                page = _page(frame, path, time, machine, wanted, self.meaning)
                mask = np.ones(len(page), np.bool_)
                if start is not None:
                    mask &= page.times >= start
                if stop is not None:
                    mask &= page.times < stop
                if self._machines:
                    mask &= np.isin(page.machines, self._machines)
                if mask.any():
                    yield page if mask.all() else page.take(mask)

    def _check(self, path: Path) -> None:
        """Every chosen column is there, before anything is read."""
        names = column_names(path)
        _time_column(names, path)
        for name in (*self.sensors, *filter(None, [self._machine_column])):
            if name not in names:
                raise InputError(f"no column '{name}'", where=str(path), hint=f"it has {', '.join(names)}")

    def _machine(self, names: list[str]) -> str | None:
        return self._machine_column or next((name for name in MACHINE_NAMES if name in names), None)

    def _numeric(self, path: Path) -> tuple[str, ...]:
        """Columns that hold numbers on the first page and are neither time, machine nor label."""
        frame = next(read_pages(path))
        time = time_column(frame, path)
        labels = (self._labels.column, LABEL_COLUMN, KIND_COLUMN, *self._labels.drop)
        others = {time, self._machine_column, *MACHINE_NAMES, *labels}
        names = tuple(
            str(name) for name in frame.columns if name not in others and frame[name].dtype.kind in "iuf"
        )
        if not names:
            raise InputError(
                "no numeric column", where=str(path), hint="name the sensors' columns with --sensor"
            )
        return names

    def _nothing(self) -> InputError:
        if self._machines or self._bounds != (None, None):
            return InputError(
                "no rows in this range"
                + (f" of machine {', '.join(self._machines)}" if self._machines else ""),
                where=str(self._paths[0]),
                hint="widen --start, --stop or --machine",
            )
        return InputError("the table has no rows", where=str(self._paths[0]))


def _time_column(names: list[str], path: Path) -> str:
    """`time_column` for a header."""
    import pandas as pd  # noqa: PLC0415

    return time_column(pd.DataFrame(columns=names), path)


def _page(
    frame: pd.DataFrame,
    path: Path,
    time: str,
    machine: str | None,
    sensors: Sequence[str],
    meaning: Meaning | None,
) -> LabelledRows:
    rows = len(frame)
    anomaly, kinds, ignored = np.zeros(rows, np.bool_), np.full(rows, ""), None
    if meaning is not None:
        states = meaning.states(frame[meaning.column])
        anomaly, ignored = states == ANOMALOUS, states == IGNORED
        if KIND_COLUMN in frame and KIND_COLUMN not in {meaning.column, *sensors}:
            kinds = np.where(anomaly, _text(frame[KIND_COLUMN]), "")
    machines = _text(frame[machine]) if machine else np.full(rows, ONE_MACHINE)
    return LabelledRows(
        times_ns(frame, time, path), machines, numeric_columns(frame, sensors, path), anomaly, kinds, ignored
    )


def _text(column: pd.Series[Any]) -> NDArray[np.str_]:
    text: NDArray[np.str_] = (
        column.astype("object").where(column.notna(), "").astype(str).to_numpy(dtype=np.str_)
    )
    return text
