"""What was prepared, for people: tables of the splits, and what to know of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import counted, listed, printable
from trainer.data.machines import absences
from trainer.prepare.splits import BY_MACHINE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from trainer.prepare.tally import Tally

__all__ = ["Prepared"]


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
        return _aligned(lines, right={"rows", "anomalies", "share"})

    def splits_table(self) -> str:
        """The rows, times and machines of each split, for people."""
        lines = [("split", "rows", "first", "last", "machines", "")]
        for name, tally in self.tallies.items():
            known = self.metadata["splits"][name]
            machines = sorted(tally.rows_by_machine)
            times = (known["start"] or "", known["stop"] or "")
            lines.append((name, f"{tally.rows:,}", *times, f"{len(machines):,}", listed(machines)))
        return _aligned(lines, right={"rows", "machines"})

    def remarks(self) -> list[str]:
        """What to know of the labels and machines, in sentences for people."""
        labelled = all(tally.labelled for tally in self.tallies.values())
        said = [] if labelled else ["the tables are unlabelled: they have no column 'anomaly'"]
        found = {machine for tally in self.tallies.values() for machine in tally.rows_by_machine}
        if "files" in self.metadata["query"] and (
            silent := [name for name in self.metadata["query"]["machines"] or () if name not in found]
        ):
            said.append(f"there is no row of {listed(silent)}")
        if not sum(self.tallies["val"].usable_by_machine.values()):
            said.append("no row of val is complete and normal: choose other percentages, or another --split")
        if self.metadata["split"].get("by") != BY_MACHINE:
            there = {name: tally.rows_by_machine for name, tally in self.tallies.items()}
            # Of those that lack training alone, `untrained` says enough.
            every = {machine for names in there.values() for machine in names}
            said += absences(there, every - (there["val"].keys() & there["test"].keys()))
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


def _aligned(lines: Sequence[tuple[str, ...]], right: Collection[str]) -> str:
    """Lines of cells below a header, whose columns named in `right` are flush right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(lines[0], line, widths, strict=True)
        ).rstrip()
        for line in lines
    )
