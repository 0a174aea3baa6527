"""The tables, machine by machine, and what each machine's network is shown of them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from edge_runtime.errors import TrainingError
from trainer.fitting.fit import shown_rows
from trainer.fitting.rows import MIN_VAL_ROWS, fit_scaler, fitting_batch_size, normal_rows
from trainer.fleet.results import FLEET_FILE
from trainer.fleet.training import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData
    from trainer.detector.features import InputFeatures
    from trainer.detector.scaler import SensorScaler
    from trainer.fitting.settings import Settings

__all__ = ["Machine", "by_machine", "folder_name", "made_ready"]

LONGEST = 100


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that a network can be trained for.

    Attributes:
        name: Its id in the tables.
        data: Its rows.
        scaler: Fitted on its normal training rows.
        features: What its network is shown; None for the scaled row alone.
        shown: The same as columns.
        batch_size: Rows of a training step.
    """

    name: str
    data: TrainingData
    scaler: SensorScaler
    features: InputFeatures | None
    shown: Shown
    batch_size: int


def by_machine(data: TrainingData) -> Iterator[tuple[str, TrainingData]]:
    """Each machine's own tables, by name; one that a table lacks has no row there."""
    rows = [_rows(split) for split in (data.train, data.val, data.test)]
    nothing = np.empty(0, np.intp)
    for name in sorted({name for known in rows for name in known}):
        train, val, test = (
            split.take(known.get(name, nothing))
            for split, known in zip((data.train, data.val, data.test), rows, strict=True)
        )
        yield name, replace(data, train=train, val=val, test=test)


def made_ready(name: str, data: TrainingData, settings: Settings) -> Machine:
    """A machine from its tables.

    Raises:
        TrainingError: It has too few normal rows in train or val.
    """
    for split in (data.train, data.val):
        if not len(split):
            raise TrainingError("no row of this machine", where=str(split.path))
    scaler = fit_scaler(settings.scaler, data.train)
    normal_rows(data.val, MIN_VAL_ROWS)
    wanted = settings.features(len(data.sensors))
    features = None if wanted.is_plain else wanted
    shown = Shown(
        *(torch.from_numpy(shown_rows(split, scaler, features)) for split in (data.train, data.val))
    )
    batch_size = settings.batch_size or fitting_batch_size(len(shown.train))
    return Machine(name, data, scaler, features, shown, batch_size)


def folder_name(machine: str) -> str:
    """A name for a machine's folder: its own where that is safe, else like it with a part of its digest."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", machine)[:LONGEST].lstrip(".-")
    if safe == machine and safe and safe != FLEET_FILE:
        return safe
    return f"{safe or 'machine'}-{hashlib.sha256(machine.encode()).hexdigest()[:8]}"


def _rows(split: Split) -> dict[str, NDArray[np.intp]]:
    """Machine to its rows, in the table's order."""
    names, codes = np.unique(split.machines, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.searchsorted(codes[order], np.arange(1, len(names))))
    return {str(name): part for name, part in zip(names, parts, strict=True)} if len(names) else {}
