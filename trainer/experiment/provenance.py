"""Where a model comes from: the data's digest and time range, the seed, versions, and the code's revision."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from edge_runtime.bundle.metadata import Provenance
from trainer.data.machines import trained_on
from trainer.data.rows import iso_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData

__all__ = ["data_digest", "git_revision", "provenance"]

PACKAGES = ("edge-detect", "numpy", "torch")
PROJECT = Path(__file__).resolve().parents[1]


def provenance(
    data: TrainingData, *, seed: int, revision: str | None, digest: str | None = None
) -> Provenance:
    """Everything but creation time and run id, which would make equal runs differ.

    Args:
        data: The splits.
        seed: Of the training.
        revision: As `git_revision` finds it.
        digest: Of the data, where it is known already.
    """
    train = data.train
    start, stop = iso_times(np.array([train.times.min(), train.times.max()]))
    return Provenance(
        data_digest=digest or data_digest((data.train, data.val, data.test)),
        time_start=str(start),
        time_stop=str(stop),
        machines=trained_on(train),
        seed=seed,
        versions={"python": platform.python_version(), **_versions()},
        git_revision=revision,
        mlflow_run_id=None,
        created=None,
    )


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


def data_digest(splits: Sequence[Split]) -> str:
    """SHA-256 over the rows of these tables as they were read, in this order.

    It covers times, machines, readings and labels. The same rows have the same digest in whatever form: CSV
    or Parquet, the labels in one column or another.
    """
    whole = hashlib.sha256()
    for split in splits:
        codes, names = pd.factorize(split.machines)
        states = np.zeros(len(split), np.uint8)
        if split.labels is not None:
            states[split.labels] = 1
        if split.ignored is not None:
            states[split.ignored] = 2
        readings = split.values  # noqa: PD011 - not a frame
        head = {
            "rows": len(split),
            "sensors": readings.shape[1],
            "machines": [str(name) for name in names],
            "labelled": split.labels is not None,
        }
        whole.update(json.dumps(head).encode())
        # One NaN, and no negative zero: those are differences that nothing reads.
        values = np.where(np.isnan(readings), np.float32(np.nan), readings + np.float32(0))
        for column, kind in ((split.times, "<i8"), (codes, "<i8"), (values, "<f4"), (states, "u1")):
            whole.update(np.ascontiguousarray(column, kind).data)
    return f"sha256:{whole.hexdigest()}"


def git_revision(project: Path = PROJECT) -> str | None:
    """The commit of this code, with "-dirty" when files differ from it; None outside a checkout of its own.

    Args:
        project: Folder that holds the packages. A copy installed inside somebody else's checkout has no
            `.git` of its own here, so that checkout's revision is not taken for this code's.
    """
    if not (project / ".git").exists():
        return None
    # GIT_DIR and the like, set by hooks, would point elsewhere.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    describe = ("git", "-C", str(project), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        found = subprocess.run(  # noqa: S603 - no shell, fixed words
            describe, capture_output=True, text=True, check=True, timeout=30, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
