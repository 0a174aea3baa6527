"""Which machines have rows in which table: the chosen ones, those that one lacks, those not trained on."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import InputError, UsageError, counted, listed, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from trainer.data.split import Split

__all__ = [
    "ONE_MACHINE",
    "absences",
    "machines_of",
    "narrowed",
    "rows_of",
    "strangers",
    "trained_on",
    "unseen",
    "untrained",
]

# The machine of tables that name none.
ONE_MACHINE = "machine"
# So many can be typed as options.
MAX_TYPED = 8


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
    lacking = [name for name in splits if not there[name] & set(wanted)]
    if lacking:
        rows = ", ".join(f"{name} has rows of {listed(sorted(there[name]))}" for name in lacking)
        raise InputError(
            f"no row of {listed(dict.fromkeys(wanted))}",
            where=", ".join(str(splits[name].path) for name in lacking),
            hint=f"name a machine for each table with --machine: {rows}",
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


def trained_on(train: Split) -> tuple[str, ...]:
    """The machines that a training table teaches something of: those with a complete, normal row."""
    return tuple(np.unique(train.machines[train.normal]).tolist())


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


def unseen(test: Split, trained: Sequence[str]) -> dict[str, int]:
    """Machines that a detector was not trained on, with their test rows that count and can be scored.

    Rows of which nobody knows the machine are of none of them; nor is any row where nobody knows on which
    machines the detector was trained.

    Args:
        test: The test table.
        trained: The machines that the detector was trained on; empty where a checkpoint does not say.
    """
    if not set(trained) - {ONE_MACHINE}:
        return {}
    names, codes = np.unique(test.machines[test.finite & test.counted], return_inverse=True)
    rows = np.bincount(codes, minlength=len(names))
    unnamed = {ONE_MACHINE} if names.tolist() == [ONE_MACHINE] else set()
    known = {*trained, *unnamed}
    return {name: n for name, n in zip(names.tolist(), rows.tolist(), strict=True) if name not in known}


def strangers(
    test: Split, trained: Mapping[str, Sequence[str]], *, wanted: bool, by_machine: bool
) -> Iterator[str]:
    """Sentences on the test rows of machines that a detector was not trained on.

    Args:
        test: The test table.
        trained: Name of a detector to the machines that it was trained on.
        wanted: Whether somebody asked for such rows.
        by_machine: Whether the tables are split by machine, so that all test rows are such.

    Raises:
        UsageError: There are such rows, and neither is so.
    """
    for name, machines in trained.items():
        again = sorted(set(machines) & set(test.machines.tolist())) if by_machine else []
        if again:
            yield f"'{name}' was trained on {listed(again)}, though the tables keep their rows for the test"
        if not (found := unseen(test, machines)):
            continue
        if not (wanted or by_machine):
            rows = sum(found.values())
            raise UsageError(
                f"'{name}' was not trained on {listed(found)}, of which there are {rows:,} rows",
                where=str(test.path),
                hint=_way_out(test, trained),
            )
        why = ", as the tables are split by machine" if by_machine else ""
        yield f"{rows_of(found)} that '{name}' was not trained on count{why}: {listed(found)}"


def rows_of(machines: Mapping[str, int]) -> str:
    """How many rows of how many machines there are, for people."""
    return f"{counted(sum(machines.values()), 'test row')} of {counted(len(machines), 'machine')}"


def _way_out(test: Split, trained: Mapping[str, Sequence[str]]) -> str:
    """The options with which the test rows are accepted."""
    known = set(np.unique(test.machines).tolist()).intersection(*trained.values())
    score = "add --any-machine to score the rows of machines that it was not trained on, too"
    if not known:
        return score
    if len(known) > MAX_TYPED:
        return f"name those that it was trained on with --machine, or {score}"
    words = shlex.join(word for name in sorted(known) for word in ("--machine", name))
    return f"take {words} alone, which it was trained on, or {score}"
