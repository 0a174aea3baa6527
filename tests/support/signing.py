"""Keys, signatures and gateways for tests: fixed seeds, a fixed clock."""

from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime.bundle.digest import file_digest
from edge_runtime.errors import SignatureError
from edge_runtime.signing.envelope import Envelope, Statement, sign
from edge_runtime.signing.keys import PrivateKey
from edge_runtime.signing.trust import Trust

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = [
    "KEY",
    "NOW",
    "OTHER_KEY",
    "Gateway",
    "envelope",
    "parts",
    "refused",
    "signed",
    "signed_payload",
    "statement",
]

KEY = PrivateKey("press", bytes(range(32)))
OTHER_KEY = PrivateKey("lathe", bytes(range(32, 64)))
NOW = datetime(2027, 6, 1, 12, tzinfo=UTC)


def statement(data: bytes, key: PrivateKey = KEY, **changes: Any) -> Statement:
    """A good statement on these bytes, for line-2, until the end of 2027; or with fields of one's own."""
    good = Statement(file_digest(data), len(data), 5, "2027-12-31T00:00:00Z", "line-2", key.public.id)
    return dataclasses.replace(good, **changes)


def signed(data: bytes, key: PrivateKey = KEY, **changes: Any) -> bytes:
    """The .sig file with it."""
    return sign(key, statement(data, key, **changes))


def signed_payload(payload: bytes, key: PrivateKey = KEY) -> bytes:
    """A .sig file over any payload, with a signature that is right."""
    unsigned = Envelope(payload, key.public.id, b"")
    return dataclasses.replace(unsigned, signature=key.sign(unsigned.message)).to_bytes()


def envelope(document: dict[str, Any]) -> bytes:
    """Any JSON document, written as a .sig file is."""
    return json.dumps(document, indent=1).encode() + b"\n"


@dataclass
class Gateway:
    """A machine with trusted keys, a state folder and a clock that tests set."""

    state: Path
    keys: tuple[PrivateKey, ...] = (KEY,)
    now: datetime = NOW
    target: str = "line-2"
    updates: bool = True

    @property
    def trust(self) -> Trust:
        """What it trusts today."""
        return Trust(
            tuple(key.public for key in self.keys),
            self.target,
            self.state / "accepted.json",
            self.updates,
            lambda: self.now,
        )

    def install(self, data: bytes, signature: bytes | None) -> tuple[str, ...]:
        """Accepts a bundle as loading does; the warnings."""
        trust = self.trust
        approval = trust.check(data, signature)
        trust.remember(approval)
        return approval.warnings


def refused(words: str) -> AbstractContextManager[Any]:
    """That a bundle is refused with a message of this pattern."""
    return pytest.raises(SignatureError, match=words)


def parts(signature: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """A .sig file's document, payload and signature."""
    document: dict[str, Any] = json.loads(signature)
    return (
        document,
        base64.b64decode(document["payload"]),
        base64.b64decode(document["signatures"][0]["sig"]),
    )
