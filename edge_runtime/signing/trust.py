"""Which bundles a gateway accepts: the rules of The Update Framework, for one file.

Of its specification (https://theupdateframework.github.io/specification/latest, section 5) hold here:

- *Rollback*: no version below one that was accepted, and not two bundles with one version.
- *Freeze*: no installation after the expiry. A clock that runs behind what was already seen does not count.
- *Fast-forward*: what is remembered belongs to the key that signed it, and counts while that key is trusted.
  Whoever got hold of a key and signed the highest version there is loses that with the key.

One rule is the gateway's own: what it runs, it goes on running. The bundle that was accepted last starts
again after its expiry, with a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edge_runtime.bundle.digest import file_digest
from edge_runtime.errors import SignatureError, counted
from edge_runtime.signing.envelope import Envelope, Statement, format_moment
from edge_runtime.signing.remembered import Remembered, locked, read_remembered, write_remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge_runtime.signing.keys import PublicKey

__all__ = ["DEFAULT_TARGET", "EARLIEST", "Approval", "Trust"]

DEFAULT_TARGET = "default"
# When this was written; a clock that says less was never set.
EARLIEST = datetime(2026, 11, 23, tzinfo=UTC)
SOON = timedelta(days=30)
# How far the time of the last start may lag behind, so that a restart seldom writes to the flash memory.
SEEN_EVERY = timedelta(days=1)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Approval:
    """A bundle's signature, accepted.

    Attributes:
        statement: What was signed.
        key: The trusted key that signed it.
        moment: What time it was taken to be.
        warnings: What whoever runs the gateway should know, a clause each.
    """

    statement: Statement
    key: PublicKey
    moment: datetime
    warnings: tuple[str, ...] = ()

    @property
    def finding(self) -> str:
        """In one line."""
        said = self.statement
        text = f"key {self.key.name}, version {said.version}, for {said.target}, expires {said.expires}"
        return "; ".join((text, *self.warnings))


@dataclass(frozen=True, slots=True)
class Trust:
    """What a gateway trusts.

    Attributes:
        keys: Who may sign.
        target: What this gateway is: only bundles signed for it are accepted.
        record: The file that remembers what was accepted; None when older bundles are accepted as well.
        updates: Whether what is accepted is remembered there; a command that only looks does not.
        clock: What time it is, in UTC.
    """

    keys: tuple[PublicKey, ...]
    target: str = DEFAULT_TARGET
    record: Path | None = None
    updates: bool = False
    clock: Callable[[], datetime] = _utc_now

    def check(self, data: bytes, signature: bytes | None) -> Approval:
        """Judges a bundle by its signature, before anything else in it is read.

        Args:
            data: The whole bundle.
            signature: The file beside it; None when there is none.

        Raises:
            MissingExtraError: PyNaCl is not installed.
            SignatureError: It is not accepted; the message says why, and what helps.
        """
        if signature is None:
            raise SignatureError(
                "not signed: there is no .sig file beside it, and with trusted keys "
                "a signed bundle is required",
                hint="have it signed with 'edge-detect keys sign', or name a signed bundle",
            )
        envelope = Envelope.from_bytes(signature)
        key = self._key(envelope.key_id)
        if not key.verifies(envelope.message, envelope.signature):
            raise SignatureError(
                f"the signature does not match the key {key.name}: it is damaged or forged",
                hint="copy the .sig file again from where the bundle was signed",
            )
        statement = Statement.from_bytes(envelope.payload)
        self._check_subject(statement, key, data)
        known = self._known()
        accepted = _check_version(statement, known)
        moment, warnings = self._moment(known)
        warnings += _check_expiry(statement, moment, accepted=accepted)
        return Approval(statement, key, moment, warnings)

    def remember(self, approval: Approval) -> None:
        """Keeps what was accepted, when everything else about the bundle was found good, too.

        Raises:
            SignatureError: It cannot be kept, or another process has accepted a newer bundle meanwhile.
        """
        if self.record is None or not self.updates:
            return
        said, moment = approval.statement, approval.moment
        if moment > said.expiry:
            return  # it runs on, but is no news
        new = Remembered(said.target, said.key_id, said.version, said.digest, int(moment.timestamp()))
        accepted = False
        try:
            with locked(self.record):
                entries = {(e.target, e.key_id): e for e in read_remembered(self.record)}
                _check_version(said, self._known())
                old = entries.get((new.target, new.key_id))
                accepted = old is not None and (old.version, old.digest) == (new.version, new.digest)
                if old and accepted and new.seen < old.seen + SEEN_EVERY.total_seconds():
                    return
                write_remembered(self.record, {**entries, (new.target, new.key_id): new}.values())
        except OSError as error:
            if not accepted:  # a full disk stops no restart
                raise SignatureError(
                    f"cannot remember that this bundle was accepted ({error.strerror}: {self.record})",
                    hint="let edge-detect write there, or name another folder with [trust] state",
                ) from None

    def _key(self, key_id: str) -> PublicKey:
        for key in self.keys:
            if key.id == key_id:
                return key
        trusted = ", ".join(f"{key.name} ({key.id[:12]}…)" for key in self.keys)
        raise SignatureError(
            f"signed with the key {key_id[:12]}…, which is not trusted here; trusted: {trusted}",
            hint="have it signed with one of these, or add that key to [trust] keys",
        )

    def _check_subject(self, said: Statement, key: PublicKey, data: bytes) -> None:
        """That the statement is about this bundle, for this gateway."""
        if said.key_id != key.id:
            raise SignatureError(
                f"names the key {said.key_id[:12]}…, but is signed with {key.name} ({key.id[:12]}…)",
                where="signed statement: key_id",
                hint="have the bundle signed again with edge-detect",
            )
        if said.target != self.target:
            raise SignatureError(
                f"signed for '{said.target}', but the target here is '{self.target}'",
                hint=f"have it signed with --target {self.target}, or correct [trust] target",
            )
        if (said.length, said.digest) != (len(data), file_digest(data)):
            raise SignatureError(
                f"the signature is for another file ({said.length:,} bytes, {said.digest[:19]}…): the bundle "
                "was damaged or replaced, or the .sig file belongs to another bundle",
                hint="copy the bundle and its .sig file again, both from one place",
            )

    def _known(self) -> tuple[Remembered, ...]:
        """What was accepted for this target under the keys that are trusted today."""
        trusted = {key.id for key in self.keys}
        entries = read_remembered(self.record) if self.record else ()
        return tuple(e for e in entries if e.target == self.target and e.key_id in trusted)

    def _moment(self, known: Sequence[Remembered]) -> tuple[datetime, tuple[str, ...]]:
        """What time it is at least, and a warning where that is not what the clock says."""
        now = self.clock()
        latest = max([EARLIEST, *(datetime.fromtimestamp(entry.seen, UTC) for entry in known)])
        if now >= latest:
            return now, ()
        clock, least = format_moment(now), format_moment(latest)
        return latest, (f"the clock says {clock}, but it is at least {least}: set the clock",)


def _check_version(said: Statement, known: Sequence[Remembered]) -> bool:
    """Refuses what is older than what was accepted; whether this very bundle was the last that was."""
    if not known:
        return False
    newest = max(known, key=lambda entry: entry.version)
    if said.version < newest.version:
        raise SignatureError(
            f"version {said.version} is older than {newest.version}, which was accepted here before",
            hint="install the newer bundle, or have this one signed with a higher --bundle-version",
        )
    if said.version == newest.version and said.digest != newest.digest:
        raise SignatureError(
            f"another bundle of the same version {said.version} was accepted here before "
            f"({newest.digest[:19]}…)",
            hint="have this one signed with a higher --bundle-version",
        )
    return said.digest == newest.digest


def _check_expiry(said: Statement, moment: datetime, *, accepted: bool) -> tuple[str, ...]:
    """Refuses what has expired and is not the bundle that was accepted last; what is worth a warning."""
    if moment <= said.expiry:
        left = said.expiry - moment
        return (
            (f"the signature expires in {counted(left.days, 'day')}: have it signed again",)
            if left < SOON
            else ()
        )
    if accepted:
        return (f"the signature expired on {said.expires}, but this bundle was accepted before that",)
    raise SignatureError(
        f"the signature expired on {said.expires}, and it is {format_moment(moment)}",
        hint="have the bundle signed again, or set this machine's clock if it is wrong",
    )
