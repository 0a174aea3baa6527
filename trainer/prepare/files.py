"""History from CSV and Parquet files, in any number and any order of rows.

Files whose rows already rise in time are streamed; others are sorted on disk.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError, UsageError, listed
from edge_runtime.mapping.form import MACHINE_NAMES, PLAIN
from edge_runtime.timeparse import format_time
from trainer.data.label_column import KIND_COLUMN, LABEL_COLUMN
from trainer.data.roles import sensors_of, with_others
from trainer.data.tables import column_names, time_columns
from trainer.prepare.buckets import sorted_by_time
from trainer.prepare.file_labels import find_labels
from trainer.prepare.file_pages import FilePages, Wanted, names_of_files
from trainer.prepare.file_roles import file_roles
from trainer.prepare.label_request import LabelRequest
from trainer.prepare.origin import PAGE_ROWS, whole_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.mapping.form import Form
    from trainer.data.rows import LabelledRows

__all__ = ["FileOrigin"]

USUAL_LABELS = LabelRequest()
SAMPLES_A_PAGE = 512


class FileOrigin:
    """Some files as one history.

    Args:
        paths: The files; all with the chosen columns.
        sensors: The sensors' columns; empty for every numeric one.
        machines: Keep these machines alone; empty for all.
        machine_column: Column of the machine ids; a file without it holds one machine, "machine". "=NAME" for
            one machine of that name.
        start_ns: Leave out rows before this time; None for no bound.
        stop_ns: Leave out rows from this time on; None for no bound.
        labels: What was said about labels.
        form: How CSV files are written.
        machine_per_file: Whether each file is of one machine, which is called as the file is.

    Attributes:
        labels: What tells the labels of rows; None for files without labels.
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
        labels: LabelRequest = USUAL_LABELS,
        form: Form = PLAIN,
        machine_per_file: bool = False,
    ) -> None:
        if not paths:
            raise UsageError("no file to read", hint="--csv FILE or --parquet FILE")
        self._paths = tuple(paths)
        one_machine = None
        if machine_column is not None and machine_column.startswith("="):
            one_machine = machine_column.removeprefix("=")
            if not one_machine.strip():
                raise UsageError("there is no name behind =", where="--machine-tag")
        elif machine_column is not None:
            form = replace(form, machine=machine_column)
        if machine_per_file and (form.machine or one_machine):
            raise UsageError(
                "cannot be combined with --machine-column or --machine-tag", where="--machine-per-file"
            )
        self._form = form
        self._machine_of = names_of_files(self._paths) if machine_per_file else {}
        if one_machine:
            self._machine_of = dict.fromkeys(self._paths, one_machine)
        self._wanted = Wanted(start_ns, stop_ns, tuple(machines))
        labels.refuse_twice({"--sensor": sensors, "--machine-column": (form.machine or None,)})
        times = [name for path in self._paths for name in time_columns(column_names(path, form), path, form)]
        taken = (*times, form.machine or None, *MACHINE_NAMES, *sensors)
        self.labels = find_labels(self._paths, labels, taken, form)
        self.labelled = self.labels is not None
        left_out = {LABEL_COLUMN, KIND_COLUMN, *labels.own.drop} - {*sensors}
        found, moments = file_roles(self._paths, form, sensors)
        self.roles = with_others(found, None, left_out, () if self.labels is None else self.labels.roles)
        # What was read for that need not be read again.
        alone = len(self._paths) == 1 and self._wanted == Wanted()
        self._moments = moments if alone else None
        self.sensors = tuple(sensors) or sensors_of(self.roles, str(self._paths[0]))
        for path in self._paths:
            self._check(path)
        self._pages = FilePages(self.sensors, self.labels, form, self._wanted)
        self._edges: NDArray[np.int64] | None = None

    def describe(self) -> dict[str, Any]:
        """The files and the choice from them."""
        start, stop = self._wanted.start_ns, self._wanted.stop_ns
        return {
            "files": [str(path) for path in self._paths],
            "machines": list(self._wanted.machines) or None,
            "start": None if start is None else format_time(start),
            "stop": None if stop is None else format_time(stop),
        }

    def warnings(self) -> list[str]:
        """Rows that have no label; what else cannot be used in a file is an error."""
        return [] if self.labels is None else self.labels.warnings()

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
            yield from (page.times for page in self._rows(times_only=True))
            return
        moments, self._moments = self._moments, None
        for start in range(0, len(moments), PAGE_ROWS):
            yield moments[start : start + PAGE_ROWS]

    def pages(self, start_ns: int, stop_ns: int) -> Iterator[LabelledRows]:
        """Streams the files, or deals them into buckets first.

        Raises:
            InputError: Also after the last page: most rows have no label.
        """
        if self.labels is not None:
            self.labels.begin()
        inside = (
            page.take((page.times >= start_ns) & (page.times < stop_ns))
            for page in self._rows(times_only=False)
        )
        if self._edges is None:
            yield from whole_times(inside)
        else:
            yield from sorted_by_time(inside, self._edges, len(self.sensors))
        if self.labels is not None:
            self.labels.end()

    def _rows(self, *, times_only: bool) -> Iterator[LabelledRows]:
        """Every file's pages as arrays, within the bounds."""
        for path in self._paths:
            yield from self._pages.read(path, times_only=times_only, machine=self._machine_of.get(path))

    def _check(self, path: Path) -> None:
        """Every chosen column is there, before anything is read."""
        names = column_names(path, self._form)
        for name in (*self.sensors, *filter(None, [self._form.machine])):
            if name not in names:
                has = f"it has {listed(names)}"
                hint = f'{has}; prepare it apart, or leave the column out with --drop "{name}"'
                raise InputError(
                    f"no column '{name}'", where=str(path), hint=hint if len(self._paths) > 1 else has
                )

    def _nothing(self) -> InputError:
        if self._wanted != Wanted():
            machines = ", ".join(self._wanted.machines)
            return InputError(
                "no rows in this range" + (f" of machine {machines}" if machines else ""),
                where=str(self._paths[0]),
                hint="widen --start, --stop or --machine",
            )
        return InputError("the table has no rows", where=str(self._paths[0]))
