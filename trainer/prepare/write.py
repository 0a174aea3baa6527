"""History to train.csv, val.csv, test.csv and metadata.json: all four, or none."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import InputError, UsageError, counted, listed, printable
from edge_runtime.version import __version__
from trainer.prepare.excluded import Excluded
from trainer.prepare.origin import distinct
from trainer.prepare.splits import SPLITS, Shares, Stretch, cut
from trainer.prepare.tally import Cadence, Tally
from trainer.rows import RowWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from trainer.labels import Labeller
    from trainer.prepare.origin import Origin

__all__ = ["Prepared", "check_folder", "prepare_folder"]

METADATA_FILE = "metadata.json"
# More conflicting rows than this share are refused.
MOST_CONFLICTING = 0.01
NOTHING = Excluded()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was written.

    Attributes:
        folder: Where it lies.
        tallies: Split name to its counts.
        metadata: What metadata.json says.
    """

    folder: Path
    tallies: dict[str, Tally]
    metadata: dict[str, Any]

    def untrained(self) -> str | None:
        """A sentence about the machines on whose rows nothing can be trained; None without any."""
        rows = self.metadata["rows_of_machines_not_trained"]
        if not rows:
            return None
        named = listed(f"{printable(name)} ({counted(count, 'row')})" for name, count in rows.items())
        return f"not trained, as they have no complete and normal row in the training split: {named}"

    def table(self) -> str:
        """The rows of each split and machine, and their anomalies where they are labelled, for people."""
        lines = [("split", "machine", "rows", "anomalies", "share", "kinds")]
        for name, tally in self.tallies.items():
            for machine, rows in sorted(tally.rows_by_machine.items()):
                count = tally.anomalies_of(machine)
                kinds = (
                    f"{kind or 'unnamed'} {n:,}" for kind, n in sorted(tally.kinds.get(machine, {}).items())
                )
                lines.append(
                    (name, machine, f"{rows:,}", f"{count:,}", f"{count / rows:.1%}", ", ".join(kinds))
                )
        if not all(tally.labelled for tally in self.tallies.values()):
            lines = [(name, machine, rows, "", "", "") for name, machine, rows, *_ in lines]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if 2 <= i <= 4 else cell.ljust(width)  # noqa: PLR2004
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def remarks(self) -> list[str]:
        """What to know of the labels, in sentences for people."""
        labelled = all(tally.labelled for tally in self.tallies.values())
        said = [] if labelled else ["the tables are unlabelled: they have no column 'anomaly'"]
        for count, what in (
            (self.metadata["rows_repeated"], ("repeats another row", "repeat another row")),
            (
                self.metadata["rows_conflicting"],
                ("contradicts another row of its time", "contradict another row of their time"),
            ),
        ):
            words = (f"row {what[0]} and is left out", f"rows {what[1]} and are left out")
            said += [counted(count, *words)] if count else []
        said += [self.metadata["labels"]["remark"]] if "remark" in self.metadata["labels"] else []
        ignored = sum(tally.ignored for tally in self.tallies.values())
        excluded = self.metadata["excluded"]
        if ignored and not excluded["ranges"]:
            rows = counted(
                ignored, "row without a label is ignored: its", "rows without a label are ignored: their"
            )
            said.append(f"{rows} cell of 'anomaly' is empty")
        if excluded["ranges"]:
            how = (
                "ignored: the cell of 'anomaly' is empty" if labelled else "left out of the unlabelled tables"
            )
            rows = f"{counted(excluded['rows'], 'row lies in them and is', 'rows lie in them and are')} {how}"
            said.append(f"--exclude: {rows if excluded['rows'] else 'no row lies in the ranges'}")
        return said


def _untrained(tallies: Mapping[str, Tally]) -> dict[str, int]:
    """Machines without a complete, normal row in the training split, with their rows in all splits."""
    rows: Counter[str] = Counter()
    for tally in tallies.values():
        rows.update(tally.rows_by_machine)
    return {name: n for name, n in sorted(rows.items()) if not tallies["train"].usable_by_machine[name]}


def _refuse_conflicts(conflicting: int, rows: int) -> None:
    """Refuses history in which many a row contradicts another one: the first of each pair would be chance."""
    if conflicting > MOST_CONFLICTING * (rows + conflicting):
        raise InputError(
            f"{conflicting:,} of {rows + conflicting:,} rows have the time and machine of another row, and "
            "other readings",
            hint="name the machines' column with --machine-column, or the zone of local times with "
            "--time-zone; a table with a row for each sensor cannot be read",
        )


def prepare_folder(  # noqa: PLR0913 - what to read, and all that was asked for
    origin: Origin,
    folder: Path,
    *,
    extent: tuple[int, int],
    make_labeller: Callable[[Stretch], Labeller],
    shares: Shares,
    gap_s: float,
    units: Mapping[str, str],
    progress: Callable[[int], None],
    excluded: Excluded = NOTHING,
) -> Prepared:
    """Reads an origin from its first row to its last and writes the splits as it goes.

    Args:
        origin: Where the rows come from.
        folder: Made, with its parents; may exist as an empty folder or as one that an earlier run made.
        extent: Times of the origin's first and last row, nanoseconds.
        make_labeller: Makes the labeller when the training stretch is known.
        shares: How long each split is.
        gap_s: Seconds left out between two splits.
        units: Sensor to its unit, where known.
        progress: Called with the nanoseconds of history just covered.
        excluded: Rows to ignore, or, without labels, to leave out.

    Raises:
        InputError: A split has no row.
        UsageError: The folder holds something else or cannot be written.
    """
    check_folder(folder)
    first, last = extent
    stretches = cut(first, last, shares, round(gap_s * 1e9))
    labeller = make_labeller(stretches[0])
    tallies = {name: Tally(origin.sensors, labelled=labeller.labelled) for name in SPLITS}
    cadence, repeated, conflicting, between, covered = Cadence(), 0, 0, 0, first
    excluded_rows = 0
    with _made_whole(folder) as temporary:
        digests = {}
        with _writers(temporary, origin.sensors, labelled=labeller.labelled) as writers:
            for page in origin.pages(first, last + 1):
                rows, same, other = distinct(page)
                repeated, conflicting = repeated + same, conflicting + other
                cadence.add(rows)
                labelled = labeller.label(rows)
                inside = excluded.rows(rows.times)
                excluded_rows += int(inside.sum())
                labelled = excluded.marked(labelled) if labeller.labelled else labelled.take(~inside)
                taken = 0
                for stretch in stretches:
                    low, high = labelled.times.searchsorted((stretch.start_ns, stretch.stop_ns))
                    part = labelled.take(slice(int(low), int(high)))
                    writers[stretch.name].write(part)
                    tallies[stretch.name].add(part)
                    taken += len(part)
                between += len(labelled) - taken
                progress(int(rows.times[-1]) - covered)
                covered = int(rows.times[-1])
            digests = {name: f"sha256:{writer.digest.hexdigest()}" for name, writer in writers.items()}
        _refuse_conflicts(conflicting, sum(tally.rows for tally in tallies.values()) + between)
        for stretch in stretches:
            if not tallies[stretch.name].rows:
                raise InputError(
                    f"the {stretch.name} split has no rows",
                    hint="take a longer range, another --split or a shorter --gap",
                )
        metadata = {
            "edge_detect": __version__,
            "query": origin.describe(),
            "labels": labeller.describe(),
            "excluded": {"ranges": excluded.describe(), "rows": excluded_rows},
            "sensors": [{"name": name, "unit": units.get(name, "")} for name in origin.sensors],
            "cadence_seconds": cadence.step_ns / 1e9 or None,
            "split": {"train": shares.train, "val": shares.val, "test": shares.test, "gap_seconds": gap_s},
            "splits": {
                name: {"file": f"{name}.csv", "digest": digests[name], **tally.to_dict()}
                for name, tally in tallies.items()
            },
            "rows": sum(tally.rows for tally in tallies.values()),
            "rows_left_out_between_splits": between,
            "rows_of_machines_not_trained": _untrained(tallies),
            "duplicates_dropped": repeated + conflicting,
            "rows_repeated": repeated,
            "rows_conflicting": conflicting,
            "gaps": {
                "count": cadence.holes,
                "missing_seconds": cadence.missing_ns / 1e9,
                "longest": [hole.to_dict() for hole in cadence.longest],
            },
        }
        text = json.dumps(metadata, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        (temporary / METADATA_FILE).write_text(text, encoding="utf-8")
    return Prepared(folder, tallies, metadata)


@contextmanager
def _writers(folder: Path, sensors: tuple[str, ...], *, labelled: bool) -> Iterator[dict[str, RowWriter]]:
    """One writer a split; their files are on disk for good when the block ends."""
    streams = {name: (folder / f"{name}.csv").open("wb") for name in SPLITS}
    try:
        yield {name: RowWriter(stream, sensors, labelled=labelled) for name, stream in streams.items()}
        for stream in streams.values():
            stream.flush()
            os.fsync(stream.fileno())
    finally:
        for stream in streams.values():
            stream.close()


def check_folder(folder: Path, read: Iterable[Path] = ()) -> None:
    """Lets a folder through that is not there, empty or made by an earlier run.

    Args:
        folder: It is replaced.
        read: Files that are read.

    Raises:
        UsageError: It holds something else, which is somebody's work, or one of those.
    """
    for path in read:
        if folder.resolve() in path.resolve().parents:
            raise UsageError(f"{path} is read, and lies in it", where=str(folder), hint="name another folder")
    try:
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise UsageError(
            f"cannot be used ({error.strerror})", where=str(folder), hint="name another folder"
        ) from None
    strangers = names - {METADATA_FILE, *(f"{name}.csv" for name in SPLITS)}
    if strangers:
        raise UsageError(
            f"the folder holds other files ({min(strangers)})",
            where=str(folder),
            hint="name a new folder, or one that 'edge-train prepare' made",
        )


@contextmanager
def _made_whole(folder: Path) -> Iterator[Path]:
    """A sibling folder that takes the folder's name only when the block ends well."""
    folder = folder.absolute()
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    except OSError as error:
        raise UsageError(
            f"cannot write here ({error.strerror})",
            where=str(folder),
            hint="name a folder that you can write to",
        ) from None
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        yield temporary
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not folder.exists():
            with suppress(OSError):
                old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
