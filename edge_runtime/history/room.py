"""Room for the history on its disk, of which the ledger needs the last part."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RESERVE_MB", "make_sure_of_room"]

# What is left for the ledger, which must store rows for as long as it can.
RESERVE_MB = 32


def make_sure_of_room(path: Path) -> None:
    """Leaves enough of the disk, on which a file or folder lies, to the ledger.

    Raises:
        OSError: There is no more, the disk does not say, or nothing lies there.
    """
    disk = os.statvfs(path)
    if disk.f_bavail * disk.f_frsize < RESERVE_MB * 1_000_000:
        raise OSError(errno.ENOSPC, f"the disk has less than {RESERVE_MB} MB left, which are for the ledger")
