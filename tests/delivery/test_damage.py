"""Damaged ledgers: each says so, none is mute, and what can be proved is delivered once.

`make soak` damages 500 of them, of which `make test` damages a few.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from support.damage import KINDS, MadeLedger, damage, entries_on, make_ledger

from edge_runtime.delivery.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

LEDGERS = 500 if os.environ.get("EDGE_DETECT_SOAK") else 16
MADE = 8 if LEDGERS > 100 else 2


def drained(ledger: Ledger, sink: str) -> list[bytes]:
    found: list[bytes] = []
    while parcels := ledger.parcels(sink, most=7):
        found += [parcel.payload for parcel in parcels]
        ledger.delivered(sink, parcels, None)
    return found


def test_killed_and_damaged_each_says_so_and_delivers_what_it_can_prove(tmp_path: Path) -> None:
    made = [make_ledger(tmp_path / f"m{i}", i, log=i % 2 == 1) for i in range(MADE)]
    wanted_in_all = got_in_all = notable = aside = 0
    for number in range(LEDGERS):
        one, kind = made[number % MADE], KINDS[number // MADE % len(KINDS)]
        wanted, got, said, was_set_aside = after_damage(one, tmp_path / f"d{number}", kind, number)
        wanted_in_all += wanted
        got_in_all += got
        notable += bool(said)
        aside += was_set_aside
    assert notable > LEDGERS // 2
    assert aside > LEDGERS // 4
    assert got_in_all >= 0.99 * wanted_in_all > 0, (got_in_all, wanted_in_all)


def after_damage(made: MadeLedger, folder: Path, kind: str, seed: int) -> tuple[int, int, list[str], bool]:
    """How many entries on whole pages there were, how many were delivered, what was said."""
    folder.mkdir()
    path = folder / "l"
    shutil.copy(made.path, path)
    log = made.path.with_name("l-wal")
    if log.exists():
        shutil.copy(log, folder / "l-wal")
    whole = entries_on(made.path, damage(path, kind, seed))
    said: list[str] = []
    ledger = Ledger(path, "csv a", report=said.append)
    ledger._db.execute("PRAGMA synchronous = OFF")
    wanted = got = 0
    where = f"{folder.name}: {kind}, seed {seed}: {said}"
    for sink, waiting in made.waiting.items():
        found = drained(ledger, sink)
        assert len(found) == len(set(found)), where
        assert not set(found) - set(waiting.values()), where
        wanted += len(whole & set(waiting))
        got += len({waiting[number] for number in whole & set(waiting)} & set(found))
        sums = ledger.sums(sink)
        assert sums.balanced, f"{where} {sums}"
        assert sums.waiting == 0, f"{where} {sums}"
        if len(found) < len(waiting):
            assert said, where
    again = drained(ledger, "a") + drained(ledger, "b")
    assert again == [], where
    ledger.commit(checkpoint="later", states=[], payloads={"a": (b"new", 1)}, counters={})
    assert drained(ledger, "a") == [b"new"], where
    ledger.close()
    second: list[str] = []
    Ledger(path, "csv a", report=second.append).close()
    assert second == [], where
    was_set_aside = any(".damaged." in each.name for each in folder.iterdir())
    assert was_set_aside <= any("was damaged" in line for line in said)
    shutil.rmtree(folder)
    return wanted, got, said, was_set_aside
