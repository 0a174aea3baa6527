"""Which machines have rows in which table: the chosen ones, those that one lacks, those not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import InputError, UsageError, listed, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from trainer.split import Split

__all__ = ["absences", "machines_of", "narrowed", "untrained"]


def narrowed(splits: Mapping[str, Split], wanted: Sequence[str]) -> dict[str, Split]:
    """The same tables with the rows of these machines alone.

    Args:
        splits: Name to table.
        wanted: The machines; empty for all.

    Raises:
        UsageError: A machine is in none of the tables.
        InputError: A table has no row of any of them.
    """
    if not wanted:
        return dict(splits)
    there = machines_of(splits)
    every = sorted(set().union(*there.values()))
    if unknown := [name for name in dict.fromkeys(wanted) if name not in every]:
        raise UsageError(
            f"the tables have no row of {listed(unknown)}",
            where="--machine",
            hint=f"they have rows of {listed(every)}",
        )
    for name, split in splits.items():
        if not there[name] & set(wanted):
            raise InputError(
                f"no row of {listed(dict.fromkeys(wanted))}",
                where=str(split.path),
                hint=f"add one that has rows here with --machine: {listed(sorted(there[name]))}"
                if there[name]
                else "prepare more history",
            )
    return {name: split.take(np.isin(split.machines, list(wanted))) for name, split in splits.items()}


def absences(there: Mapping[str, Collection[str]], machines: Collection[str]) -> Iterator[str]:
    """Sentences about the machines that have rows in some tables and not in others.

    Args:
        there: Name of a table to the machines that have rows in it.
        machines: Those that are of interest.
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    for machine in sorted(machines):
        if lacking := tuple(name for name, names in there.items() if machine not in names):
            alike.setdefault(lacking, []).append(machine)
    for lacking, names in alike.items():
        which = ", ".join(lacking)
        if len(names) == 1:
            yield f"machine '{printable(names[0])}' has no rows in {which}"
        else:
            yield f"{len(names):,} machines have no rows in {which}: {listed(names)}"


def machines_of(splits: Mapping[str, Split]) -> dict[str, set[str]]:
    """Name of a table to the machines that have rows in it."""
    return {name: set(np.unique(split.machines).tolist()) for name, split in splits.items()}


def untrained(train: Split, sensors: Sequence[str]) -> Iterator[str]:
    """Sentences about the machines among others on whose training rows nothing can be trained, and why.

    A table of one machine is left to the errors of training.

    Args:
        train: The training table.
        sensors: Its columns.
    """
    names, codes = np.unique(train.machines, return_inverse=True)
    normal = np.bincount(codes[train.normal], minlength=len(names))
    alike: dict[str, list[str]] = {}
    for number in np.flatnonzero(normal == 0).tolist() if len(names) > 1 else ():
        rows = codes == number
        there = np.isfinite(train.values[rows]).any(0)
        if not there.all():
            lacking = (name for name, some in zip(sensors, there.tolist(), strict=True) if not some)
            why = "no reading of " + ", ".join(f"'{printable(name)}'" for name in lacking)
        elif not train.finite[rows].any():
            why = "no row with a reading of every sensor"
        else:
            why = "no complete row that is normal"
        alike.setdefault(why, []).append(str(names[number]))
    for why, machines in alike.items():
        if len(machines) == 1:
            yield f"machine '{printable(machines[0])}' has {why} and was not trained on"
        else:
            yield f"{len(machines):,} machines have {why} and were not trained on: {listed(machines)}"
