"""History from CSV and Parquet files, in any number and any order of rows.

Files whose rows already rise in time are streamed; others are sorted on disk.
"""

from __future__ import annotations

from time import time_ns as now_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError, UsageError
from edge_runtime.mapping.columns import PLAIN
from edge_runtime.mapping.times import DAY_NS, Times
from edge_runtime.timeparse import format_time
from trainer.prepare.buckets import sorted_by_time
from trainer.prepare.origin import LABEL_NAMES, ONE_MACHINE, PAGE_ROWS, whole_times
from trainer.rows import LabelledRows
from trainer.tables import column_names, numeric_columns, read_pages, time_columns, times_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Form

__all__ = ["FileOrigin"]

MACHINE_NAMES = ("machine_id", "machine")
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
        form: How CSV files are written.

    Raises:
        InputError: A file cannot be read, or a column is missing.
        UsageError: No file.
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
        form: Form = PLAIN,
    ) -> None:
        if not paths:
            raise UsageError("no file to read", hint="--csv FILE or --parquet FILE")
        self._paths = tuple(paths)
        self._machine_column = machine_column
        self._machines = tuple(machines)
        self._form = form
        self._bounds = (start_ns, stop_ns)
        self.sensors = tuple(sensors) or self._numeric(self._paths[0])
        for path in self._paths:
            self._check(path)
        self.labelled = all("anomaly" in column_names(path, self._form) for path in self._paths)
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
            names = column_names(path, self._form)
            machine = self._machine(names)
            wanted = self.sensors if not times_only else ()
            time = time_columns(names, path, self._form)
            reader = Times(self._form.time, now_ns() + DAY_NS)
            columns = [*time, *(name for name in (machine, *LABEL_NAMES[:2]) if name in names)]
            keep = [name for name in (machine, "kind") if name]
            for frame in read_pages(path, columns=[*columns, *wanted], text=keep, form=self._form):
                page = _page(frame, path, time, machine, wanted, reader)
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
        names = column_names(path, self._form)
        time_columns(names, path, self._form)
        for name in (*self.sensors, *filter(None, [self._machine_column])):
            if name not in names:
                raise InputError(f"no column '{name}'", where=str(path), hint=f"it has {', '.join(names)}")

    def _machine(self, names: list[str]) -> str | None:
        return self._machine_column or next((name for name in MACHINE_NAMES if name in names), None)

    def _numeric(self, path: Path) -> tuple[str, ...]:
        """Columns that hold numbers on the first page and are neither time, machine nor label."""
        frame = next(read_pages(path, form=self._form))
        time = time_columns(list(map(str, frame.columns)), path, self._form)
        others = {*time, self._machine_column, *MACHINE_NAMES, *LABEL_NAMES}
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


def _page(
    frame: pd.DataFrame,
    path: Path,
    time: Sequence[str],
    machine: str | None,
    sensors: Sequence[str],
    reader: Times,
) -> LabelledRows:
    rows = len(frame)
    anomaly, kinds = np.zeros(rows, np.bool_), np.full(rows, "")
    if "anomaly" in frame:
        anomaly = np.nan_to_num(numeric_columns(frame, ["anomaly"], path)[:, 0]) != 0
    if "kind" in frame:
        kinds = np.where(anomaly, _text(frame["kind"]), "")
    machines = _text(frame[machine]) if machine else np.full(rows, ONE_MACHINE)
    times = times_ns(frame, time, path, machines=machines, times=reader)
    return LabelledRows(times, machines, numeric_columns(frame, sensors, path), anomaly, kinds)


def _text(column: pd.Series[Any]) -> NDArray[np.str_]:
    text: NDArray[np.str_] = (
        column.astype("object").where(column.notna(), "").astype(str).to_numpy(dtype=np.str_)
    )
    return text
