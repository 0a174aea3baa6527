"""TLS of every client alike: which authorities it trusts, and by which certificate a server knows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.config import setting
from edge_runtime.errors import UsageError
from edge_runtime.secrets import check_private

if TYPE_CHECKING:
    import ssl

__all__ = ["SYSTEM", "TlsSettings"]


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The table `[tls]`."""

    ca_file: Path | None = setting(
        None, "File with the certificates of the authorities to trust, instead of the system's."
    )
    cert_file: Path | None = setting(None, "File with the client's certificate, where a server asks for one.")
    key_file: Path | None = setting(
        None, "Private file with that certificate's key, where it is not in the same file."
    )

    def context(self) -> ssl.SSLContext:
        """What a client of TLS goes by: certificates and host names are checked.

        Raises:
            UsageError: A file cannot be read, or holds something else.
        """
        import ssl  # noqa: PLC0415 - where TLS is used

        if self.key_file is not None and self.cert_file is None:
            raise UsageError("a key without its certificate", where="[tls] key_file", hint="set cert_file")
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read certificates ({_why(error)})", where=str(self.ca_file)) from None
        if self.key_file is not None:
            try:
                check_private(self.key_file, self.key_file.stat().st_mode)
            except OSError as error:
                raise UsageError(f"cannot read the key ({_why(error)})", where=str(self.key_file)) from None
        if self.cert_file is not None:
            try:
                context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
            except (OSError, ValueError) as error:
                raise UsageError(
                    f"cannot read the certificate with its key ({_why(error)})",
                    where=str(self.cert_file),
                    hint="the key must be in the same file or in key_file, and not encrypted",
                ) from None
            if self.key_file is None:  # so the key is in it
                check_private(self.cert_file, self.cert_file.stat().st_mode)
        return context


SYSTEM = TlsSettings()


def _no_password() -> str:
    """Nobody is there to type one."""
    raise ValueError("the key is encrypted")


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
