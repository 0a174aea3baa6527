"""The signature's place: a file beside the bundle."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge_runtime.errors import SignatureError
from edge_runtime.signing.envelope import MAX_SIGNATURE_BYTES

__all__ = ["read_signature", "signature_path"]


def signature_path(bundle: Path) -> Path:
    """Where the signature of a bundle lies: beside it, under its name and .sig."""
    return Path(f"{bundle}.sig")


def read_signature(bundle: Path | None) -> bytes | None:
    """The signature beside a bundle, at most one byte more than any has; None when there is none.

    Args:
        bundle: The bundle's file; None for the default one, which nobody signed.

    Raises:
        SignatureError: It cannot be read.
    """
    if bundle is None:
        return None
    path = signature_path(bundle)
    try:
        # Without waiting: where somebody put a pipe, a writer might never come.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SignatureError("its signature is not a file", hint=f"remove {path.name}")
            return file.read(MAX_SIGNATURE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SignatureError(
            f"cannot read its signature ({error.strerror}: {path})", hint="make it readable"
        ) from None
