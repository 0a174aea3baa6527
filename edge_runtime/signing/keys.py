"""ed25519 keys in PEM files, as OpenSSL has them (RFC 8410). The only file that imports PyNaCl."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_runtime.errors import MissingExtraError, UsageError
from edge_runtime.files import open_regular

__all__ = ["PrivateKey", "PublicKey", "check_name", "make_key", "new_key", "read_key", "trusted_key"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ENTRY = re.compile(r"([^:\s]+):([A-Za-z0-9+/]{43}=)")
BLOCK = re.compile(r"-----BEGIN (PUBLIC|PRIVATE) KEY-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END \1 KEY-----")
MAX_FILE_BYTES = 4096
# What stands before the 32 bytes of a key: the DER of SubjectPublicKeyInfo and of PKCS #8, RFC 8410.
PREFIXES = {
    "PUBLIC": bytes.fromhex("302a300506032b6570032100"),
    "PRIVATE": bytes.fromhex("302e020100300506032b657004220420"),
}
HEADERS = {
    "PUBLIC": "edge-detect public key {name} (ed25519): give it to every gateway",
    "PRIVATE": "edge-detect private key {name} (ed25519): whoever has it can sign; no gateway needs it",
}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Checks signatures.

    Attributes:
        name: What people call it; not part of the key.
        raw: Its 32 bytes.
    """

    name: str
    raw: bytes

    @property
    def id(self) -> str:
        """SHA-256 of its 32 bytes, 64 hexadecimal digits."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def entry(self) -> str:
        """As a configuration takes it: "name:base64"."""
        return f"{self.name}:{base64.b64encode(self.raw).decode()}"

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this is the one signature of this key under the message.

        libsodium refuses what would let a second one pass: an S that is not below the group's order, and
        an R or a key of small order or not in its canonical form.

        Raises:
            MissingExtraError: PyNaCl is not installed.
        """
        nacl = _nacl()
        try:
            nacl.signing.VerifyKey(self.raw).verify(message, signature)
        except (nacl.exceptions.BadSignatureError, nacl.exceptions.ValueError):
            return False
        return True

    def to_pem(self) -> str:
        """The file that a gateway gets."""
        return _pem("PUBLIC", self.name, self.raw)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """Signs.

    Attributes:
        name: What people call it; not part of the key.
        seed: Its 32 secret bytes; never shown.
    """

    name: str
    seed: bytes = field(repr=False)

    @property
    def public(self) -> PublicKey:
        """What checks its signatures."""
        return PublicKey(self.name, bytes(_nacl().signing.SigningKey(self.seed).verify_key))

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature; equal messages give equal ones.

        Raises:
            MissingExtraError: PyNaCl is not installed.
        """
        signed: bytes = _nacl().signing.SigningKey(self.seed).sign(message).signature
        return signed

    def to_pem(self) -> str:
        """The file that stays with whoever signs."""
        return _pem("PRIVATE", self.name, self.seed)


def make_key(name: str) -> PrivateKey:
    """A new key, from the operating system's random numbers.

    Raises:
        MissingExtraError: PyNaCl is not installed.
        UsageError: It cannot have this name.
    """
    check_name(name)
    return PrivateKey(name, bytes(_nacl().signing.SigningKey.generate()))


def new_key(name: str, folder: Path) -> tuple[PublicKey, Path, Path]:
    """Makes NAME.key, for its owner alone, and NAME.pub.

    Returns:
        The public key, the private key's file, the public key's file.

    Raises:
        MissingExtraError: PyNaCl is not installed.
        UsageError: There is such a file already, or it cannot be written; then no key is left.
    """
    key = make_key(name)
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    made: list[Path] = []
    try:
        for path, text, mode in ((private, key.to_pem(), 0o600), (public, key.public.to_pem(), 0o644)):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                made.append(path)
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        for path in made:
            with suppress(OSError):
                path.unlink()
        if isinstance(error, FileExistsError):
            raise UsageError(
                "this key exists already, and a key is never overwritten",
                where=str(error.filename),
                hint="choose another name",
            ) from None
        raise UsageError(
            f"cannot write the key ({error.strerror})",
            where=str(folder),
            hint="name another folder with -o",
        ) from None
    return key.public, private, public


def read_key(path: Path) -> PublicKey | PrivateKey:
    """A key's file; its name is the file's, without the ending.

    Raises:
        UsageError: There is no such file, it holds no ed25519 key, or others may read a private one.
    """
    try:
        with open_regular(path) as stream:
            mode = os.fstat(stream.fileno()).st_mode
            text = stream.read(MAX_FILE_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"cannot read the key ({error.strerror})", where=str(path)) from None
    blocks = BLOCK.findall(text)
    raw = b""
    if blocks and text.count("-----BEGIN") == 1:
        kind, body = blocks[0]
        with suppress(ValueError):
            raw = base64.b64decode("".join(body.split()), validate=True)
    if not raw or len(raw) != len(PREFIXES[kind]) + 32 or not raw.startswith(PREFIXES[kind]):
        raise _no_key(path)
    raw = raw.removeprefix(PREFIXES[kind])
    if kind == "PUBLIC":
        return _checked(PublicKey(path.stem, raw), str(path))
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError("others may read this private key", where=str(path), hint=f"chmod 600 {path}")
    return PrivateKey(path.stem, raw)


def _no_key(path: Path) -> UsageError:
    hint = "create one with 'edge-detect keys new'"
    return UsageError("not a file with one ed25519 key", where=str(path), hint=hint)


def trusted_key(entry: str) -> PublicKey:
    """A key that a configuration names: "name:base64" of its 32 bytes, or the path of its file.

    Raises:
        MissingExtraError: PyNaCl is not installed.
        UsageError: It is not a public key, or one under which anybody could sign.
    """
    if found := ENTRY.fullmatch(entry):
        check_name(found[1])
        return _checked(PublicKey(found[1], base64.b64decode(found[2])), f"key {found[1]}")
    key = read_key(Path(entry))
    if isinstance(key, PrivateKey):
        raise UsageError(
            "this is the private key, which no gateway needs", where=entry, hint=f"name {key.name}.pub"
        )
    return key


def check_name(name: str) -> None:
    """Refuses a key's name that could not be a file's.

    Raises:
        UsageError: It is one.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be a key's name",
            hint="choose at most 64 letters, digits, dots, dashes and underscores",
        )


def _checked(key: PublicKey, where: str) -> PublicKey:
    """Refuses what is no point of the curve's main group: a signature under it would prove nothing."""
    if not _nacl().bindings.crypto_core_ed25519_is_valid_point(key.raw):
        raise UsageError("not an ed25519 public key", where=where, hint="copy the .pub file again")
    return key


def _pem(kind: str, name: str, raw: bytes) -> str:
    body = base64.b64encode(PREFIXES[kind] + raw).decode()
    block = f"-----BEGIN {kind} KEY-----\n{body}\n-----END {kind} KEY-----\n"
    return f"{HEADERS[kind].format(name=name)}\n{block}"


def _nacl() -> Any:
    try:
        import nacl.bindings  # noqa: PLC0415 - an extra, imported when keys are used
        import nacl.exceptions  # noqa: PLC0415
        import nacl.signing  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("signing bundles and checking their signatures", "signing") from None
    return nacl
