"""Whether a process has a ledger open now, found out without keeping anybody from it."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

from edge_runtime.delivery.opening import file_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_in_use"]


def is_in_use(path: Path) -> bool:
    """Whether a process holds the ledger's lock; also where that cannot be found out.

    Args:
        path: The ledger's file, by any of its names.
    """
    path = file_of(path)
    try:
        with path.with_name(f"{path.name}.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # and let go at once
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
