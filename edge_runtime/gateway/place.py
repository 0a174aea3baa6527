"""Where a feed's ledger lies, and under which identity: what is read, however its settings spell it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from edge_runtime.files import state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.gateway.settings import Settings

__all__ = ["place_of_ledger"]


def place_of_ledger(settings: Settings) -> tuple[Path, str]:
    """The ledger's file, and the identity of the feed as that ledger has it, or would get it.

    `state` in [run] names the file. Otherwise it lies in the state folder, and its name is made of the
    identity; a ledger of an earlier version, whose name was made of the settings as they were written, is
    found by what it says it belongs to.
    """
    source = settings.source
    identity = source.kind.identity(source.given)
    path = settings.run.state
    if path is not None:
        return path, _same(settings, path) or identity
    import hashlib  # noqa: PLC0415 - where there is no name

    folder, kind = state_folder(), source.kind.name
    path = folder / f"{kind}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.sqlite"
    if not path.exists():
        for other in sorted(
            folder.glob(f"{kind}-*.sqlite"), key=lambda file: file.stat().st_mtime, reverse=True
        ):
            if stored := _same(settings, other):
                return other, stored
    return path, identity


def _same(settings: Settings, path: Path) -> str | None:
    """What a ledger says that it belongs to, if that is this feed."""
    source = settings.source
    stored = _stored(path)
    if stored is None:
        return None
    same = stored == source.kind.identity(source.given) or source.kind.was(stored, source.given)
    return stored if same else None


def _stored(path: Path) -> str | None:
    if not path.is_file():
        return None
    # Whatever is wrong with the file is said by who opens it to use it.
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db,
    ):
        found = db.execute("SELECT value FROM about WHERE name = 'source'").fetchone()
        return None if found is None else str(found[0])
    return None
