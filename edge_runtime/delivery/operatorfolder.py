"""The operator file's folder and rights: writable by a group, whose members may acknowledge alarms."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from edge_runtime.files import make_folder, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_operator_file"]

# The group writes, and files in the folder get its group; others have no rights.
FOLDER, FILE = 0o2770, 0o660


def make_operator_file(path: Path) -> None:
    """Makes the file and its folder where they are missing, whatever the umask is.

    Both get the group of the folder above, and from root its owner as well, so that the service that owns it
    can read what root said. What is there already keeps its rights.

    Raises:
        OSError: They cannot be made.
    """
    folder = path.parent
    if not folder.is_dir():
        make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=FOLDER & 0o700)
            # A folder of ours: only its owner could have put something into it until now.
            _give(folder, folder.parent)
            folder.chmod(FOLDER)
            sync_folder(folder.parent)
    if path.exists():
        return
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE)
        try:
            _give(descriptor, folder.parent)
            os.fchmod(descriptor, FILE)
        finally:
            os.close(descriptor)
        sync_folder(folder)


def _give(what: Path | int, above: Path) -> None:
    """Gives it to the owner and the group of a folder, as far as that is allowed."""
    found = above.stat()
    for owner in (found.st_uid, -1):
        with suppress(PermissionError):
            os.chown(what, owner, found.st_gid)
            return
