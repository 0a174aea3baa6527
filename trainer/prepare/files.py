"""History from CSV and Parquet files, in any number and any order of rows.

Files whose rows already rise in time are streamed; others are sorted on disk.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError, UsageError
from edge_runtime.mapping.form import MACHINE_NAMES, PLAIN
from edge_runtime.timeparse import format_time
from trainer.data.label_column import KIND_COLUMN, LABEL_COLUMN, LabelChoice
from trainer.data.roles import sensors_of, with_others
from trainer.data.tables import column_names, time_columns
from trainer.prepare.buckets import sorted_by_time
from trainer.prepare.file_labels import find_labels
from trainer.prepare.file_pages import FilePages, names_of_files
from trainer.prepare.file_roles import file_roles
from trainer.prepare.origin import PAGE_ROWS, whole_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Form
    from trainer.data.rows import LabelledRows

__all__ = ["FileOrigin"]

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
        form: How CSV files are written.
        machine_per_file: Whether each file is of one machine, which is called as the file is.

    Attributes:
        meaning: What the labels mean that the files carry; None for files without labels.
        roles: What each column of the first file is for.

    Raises:
        InputError: A file cannot be read, or a column is missing.
        UsageError: No file; or a column looks like labels and nobody says what it is.
    """

    def __init__(  # noqa: PLR0913 - as much as may be said of files
        self,
        paths: Sequence[Path],
        *,
        sensors: Sequence[str] = (),
        machines: Sequence[str] = (),
        machine_column: str | None = None,
        start_ns: int | None = None,
        stop_ns: int | None = None,
        labels: LabelChoice = USUAL_LABELS,
        form: Form = PLAIN,
        machine_per_file: bool = False,
    ) -> None:
        if not paths:
            raise UsageError("no file to read", hint="--csv FILE or --parquet FILE")
        self._paths = tuple(paths)
        if machine_column is not None:
            form = replace(form, machine=machine_column)
        if machine_per_file and form.machine:
            raise UsageError("cannot be combined with --machine-column", where="--machine-per-file")
        self._form = form
        self._machine_of = names_of_files(self._paths) if machine_per_file else {}
        self._machines = tuple(machines)
        self._bounds = (start_ns, stop_ns)
        labels.refuse_twice({"--sensor": sensors, "--machine-column": (form.machine or None,)})
        times = [name for path in self._paths for name in time_columns(column_names(path, form), path, form)]
        taken = (*times, form.machine or None, *MACHINE_NAMES, *sensors)
        self.meaning = find_labels(self._paths, labels, taken, form)
        self.labelled = self.meaning is not None
        left_out = {labels.column, LABEL_COLUMN, KIND_COLUMN, *labels.drop} - {None, *sensors}
        found, moments = file_roles(self._paths[0], form, sensors)
        label = None if self.meaning is None else self.meaning.column
        self.roles = with_others(found, label, left_out)
        # What was read for that need not be read again.
        alone = len(self._paths) == 1 and not self._machines and self._bounds == (None, None)
        self._moments = moments if alone else None
        self.sensors = tuple(sensors) or sensors_of(self.roles, str(self._paths[0]))
        for path in self._paths:
            self._check(path)
        others = (label, *labels.drop, *self.sensors)
        kind = KIND_COLUMN if label is not None and KIND_COLUMN not in others else None
        self._pages = FilePages(self.sensors, self.meaning, kind, form)
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
        for times in self._times():
            rising = rising and int(times[0]) >= last and bool((np.diff(times) >= 0).all())
            first, last, rows = min(first, int(times.min())), max(last, int(times.max())), rows + len(times)
            samples.append(times[np.linspace(0, len(times) - 1, min(SAMPLES_A_PAGE, len(times))).astype(int)])
        if not rows:
            raise self._nothing()
        if not rising:
            shares = np.linspace(0, 1, -(-rows // PAGE_ROWS) + 1)[1:-1]
            cuts = np.quantile(np.concatenate(samples).astype(np.float64) - first, shares)
            self._edges = np.unique(cuts.astype(np.int64) + first)
        return first, last

    def _times(self) -> Iterator[NDArray[np.int64]]:
        """The times of all rows, in the order of the files, in parts."""
        if self._moments is None:
            yield from (page.times for page in self._rows(times_only=not self._machines))
            return
        moments, self._moments = self._moments, None
        for start in range(0, len(moments), PAGE_ROWS):
            yield moments[start : start + PAGE_ROWS]

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
            machine = self._machine_of.get(path)
            for page in self._pages.read(path, times_only=times_only, machine=machine):
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
        for name in (*self.sensors, *filter(None, [self._form.machine])):
            if name not in names:
                raise InputError(f"no column '{name}'", where=str(path), hint=f"it has {', '.join(names)}")

    def _nothing(self) -> InputError:
        if self._machines or self._bounds != (None, None):
            return InputError(
                "no rows in this range"
                + (f" of machine {', '.join(self._machines)}" if self._machines else ""),
                where=str(self._paths[0]),
                hint="widen --start, --stop or --machine",
            )
        return InputError("the table has no rows", where=str(self._paths[0]))
