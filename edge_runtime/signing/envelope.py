"""The file BUNDLE.onnx.sig: a statement about one bundle, signed, in a DSSE envelope.

DSSE is the Dead Simple Signing Envelope, version 1.0.0 (https://github.com/secure-systems-lab/dsse): what is
signed are the payload's own bytes behind a prefix with their type and length, so that nothing has to be
serialised a second time, and no signature made for another purpose fits. Of the JSON around it this reader
takes one form alone, so that there is one file for one signature.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import SignatureError

if TYPE_CHECKING:
    from edge_runtime.signing.keys import PrivateKey

__all__ = ["FORMAT_VERSION", "MAX_SIGNATURE_BYTES", "Envelope", "Statement", "format_moment", "sign"]

FORMAT_VERSION = 1
PAYLOAD_TYPE = "application/vnd.edge-detect.bundle-signature+json"
MAX_SIGNATURE_BYTES = 4096
# The largest whole number that every JSON reader keeps.
MAX_VERSION = 2**53 - 1
SIGNATURE_BYTES = 64
KEY_ID = re.compile(r"[0-9a-f]{64}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
AGAIN = "copy the .sig file again from where the bundle was signed"
NEW = "have the bundle signed again with edge-detect"


@dataclass(frozen=True, slots=True)
class Statement:
    """What the holder of a key says of one bundle.

    Attributes:
        digest: "sha256:" and 64 digits over the whole file.
        length: Of the file, in bytes.
        version: 1 to 2^53 - 1; a later bundle of the same target has a higher one.
        expires: Until when it may be installed, such as "2027-01-31T08:00:00Z".
        target: Which gateways it is for: the name of a fleet, a line, a kind of machine.
        key_id: SHA-256 of the signing key's 32 public bytes, 64 hexadecimal digits.
        format_version: Always `FORMAT_VERSION`.
    """

    digest: str
    length: int
    version: int
    expires: str
    target: str
    key_id: str
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if not 1 <= self.version <= MAX_VERSION:
            raise _bad("version", f"must be 1 to {MAX_VERSION}, not {self.version}")
        if self.length < 1:
            raise _bad("length", f"must be at least 1, not {self.length}")
        if not DIGEST.fullmatch(self.digest):
            raise _bad("digest", "is not 'sha256:' and 64 lower-case digits")
        if not TARGET.fullmatch(self.target):
            raise _bad("target", "must be 1 to 100 letters, digits, dots, dashes, underscores and slashes")
        _ = self.expiry

    @property
    def expiry(self) -> datetime:
        """`expires` as a moment in UTC."""
        try:
            if MOMENT.fullmatch(self.expires):
                return datetime.strptime(self.expires, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            pass
        raise _bad("expires", f"{self.expires[:40]!r} is not a time in UTC such as 2027-01-31T08:00:00Z")

    def to_bytes(self) -> bytes:
        """The payload: what is signed."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(payload: bytes) -> Statement:
        """Reads and checks a payload, whose signature was checked before.

        Raises:
            SignatureError: It is not a statement of this format version.
        """
        document = _json(payload, "signed statement")
        version = document.get("format_version")
        if version != FORMAT_VERSION or type(version) is not int:
            raise SignatureError(
                f"signature format version {version!r}, but this edge-detect reads {FORMAT_VERSION}",
                where="signed statement: format_version",
                hint="install a newer edge-detect, or sign again with this one",
            )
        kinds = {field.name: str(field.type) for field in dataclasses.fields(Statement)}
        for name in sorted(kinds.keys() - document.keys()):
            raise _bad(name, "is missing")
        for name in sorted(document.keys() - kinds.keys()):
            raise _bad(_shown(name), "is not a field of this format version")
        for name, kind in kinds.items():
            if type(document[name]).__name__ != kind:
                wanted = {"int": "a whole number", "str": "a text"}[kind]
                raise _bad(name, f"is {json.dumps(document[name])[:40]}, which is not {wanted}")
        return Statement(**document)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A .sig file, taken apart; nothing in it is checked yet but its form.

    Attributes:
        payload: The signed bytes.
        key_id: Which key says that it signed them.
        signature: 64 bytes.
    """

    payload: bytes
    key_id: str
    signature: bytes

    @property
    def message(self) -> bytes:
        """What the signature is over: DSSE's pre-authentication encoding of the payload."""
        kind = PAYLOAD_TYPE.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    def to_bytes(self) -> bytes:
        """The file."""
        document = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": self.key_id, "sig": base64.b64encode(self.signature).decode()}],
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @staticmethod
    def from_bytes(data: bytes) -> Envelope:
        """Takes a .sig file apart.

        Raises:
            SignatureError: It is not of the one form that `to_bytes` writes.
        """
        if len(data) > MAX_SIGNATURE_BYTES:
            raise SignatureError(
                f"larger than any signature, which has at most {MAX_SIGNATURE_BYTES:,} bytes", hint=AGAIN
            )
        document = _json(data, "signature file")
        kind = document.get("payloadType")
        if kind != PAYLOAD_TYPE:
            raise SignatureError(f"signs {json.dumps(kind)[:80]}, which is not a bundle", hint=NEW)
        try:
            [signature] = document["signatures"]
            envelope = Envelope(
                base64.b64decode(document["payload"]), signature["keyid"], base64.b64decode(signature["sig"])
            )
            same = bool(KEY_ID.fullmatch(envelope.key_id)) and len(envelope.signature) == SIGNATURE_BYTES
            same = same and envelope.to_bytes() == data
        except (KeyError, TypeError, ValueError):
            same = False
        if not same:
            raise SignatureError(
                "not in the exact form of a signature file: something in it is missing, changed or added",
                hint=AGAIN,
            )
        return envelope


def sign(key: PrivateKey, statement: Statement) -> bytes:
    """The .sig file of a statement; its `key_id` must be this key's.

    Raises:
        MissingExtraError: PyNaCl is not installed.
    """
    unsigned = Envelope(statement.to_bytes(), statement.key_id, b"")
    return dataclasses.replace(unsigned, signature=key.sign(unsigned.message)).to_bytes()


def format_moment(moment: datetime) -> str:
    """A moment as a statement has it: UTC, whole seconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _json(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object in UTF-8, each field once, without NaN and infinity."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise SignatureError("a field appears twice", where=f"{what}: {_shown(twice)}", hint=AGAIN)
        return fields

    def no_number(text: str) -> None:
        raise ValueError(f"{text} is not a number")

    try:
        document = json.loads(data.decode(), object_pairs_hook=once, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SignatureError(f"the {what} is not JSON ({reason})", hint=AGAIN) from None
    if not isinstance(document, dict):
        raise SignatureError(f"the {what} is not a JSON object", hint=AGAIN)
    return document


def _shown(name: str) -> str:
    """A name that somebody else chose, for a message: short, and nothing that moves a terminal's cursor."""
    return json.dumps(name[:40])[1:-1]


def _bad(field: str, what: str) -> SignatureError:
    return SignatureError(what, where=f"signed statement: {field}", hint=NEW)
