"""Secrets out of private files or the environment, never from the command line or the configuration."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge_runtime.errors import UsageError

__all__ = ["check_private", "read_secret"]

MAX_BYTES = 1 << 16


def read_secret(file: Path | None, variable: str) -> str | None:
    """A secret out of a file that its owner alone may read or, without one, the environment; None for none.

    Raises:
        UsageError: The file cannot be read, may be read by others, or does not hold one line.
    """
    if file is None:
        return os.environ.get(variable) or None
    from edge_runtime.reading import read_bounded  # noqa: PLC0415 - where there is a file

    try:
        data, mode = read_bounded(Path(file), MAX_BYTES)
        text = data.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise UsageError(f"cannot read the secret ({reason})", where=str(file)) from None
    check_private(file, mode)
    if not text or "\n" in text:
        raise UsageError("the file of a secret must hold one line", where=str(file))
    return text


def check_private(file: Path, mode: int) -> None:
    """Makes sure that nobody but its owner may read a file with this mode.

    Raises:
        UsageError: Others may.
    """
    if mode & ~_granted(file) & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError("others may read this secret", where=str(file), hint=f"chmod 600 {file}")


def _granted(file: Path) -> int:
    """Permissions that do no harm: systemd grants a credential by an access list, which shows as 0440."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and Path(folder).resolve() in Path(file).resolve().parents:
        return stat.S_IRGRP
    return 0
