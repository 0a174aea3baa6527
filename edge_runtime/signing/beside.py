"""The signature's place: a file beside the bundle."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.errors import SignatureError
from edge_runtime.files import NotRegularError, read_regular
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
        return read_regular(path, MAX_SIGNATURE_BYTES)
    except FileNotFoundError:
        return None
    except NotRegularError:
        raise SignatureError("its signature is not a file", hint=f"remove {path.name}") from None
    except OSError as error:
        raise SignatureError(
            f"cannot read its signature ({error.strerror}: {path})", hint="make it readable"
        ) from None
