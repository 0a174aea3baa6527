"""Ledgers with everything in them, and damage as disks do it: to bits, blocks and ends of files."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.pages import LEAF_TABLE, Image
from edge_runtime.engine.stage import StageState

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KINDS", "MadeLedger", "damage", "entries_on", "make_ledger"]

PAGE = 4096
KINDS = ("bit", "bits", "zeros", "noise", "truncated", "header", "log bit", "log zeros")
SINKS = ("a", "b")


@dataclass
class MadeLedger:
    """A ledger, and what was done with it.

    Attributes:
        path: The file, as a process that was killed leaves it.
        delivered: Sink to the payloads that it has.
        waiting: Sink to the ids and payloads that wait.
    """

    path: Path
    delivered: dict[str, list[bytes]] = field(default_factory=lambda: {sink: [] for sink in SINKS})
    waiting: dict[str, dict[int, bytes]] = field(default_factory=lambda: {sink: {} for sink in SINKS})


def make_ledger(folder: Path, seed: int, *, log: bool) -> MadeLedger:  # noqa: C901 - one after another
    """Hundreds of entries of two sinks, below and above a page; some delivered, some dead.

    Args:
        folder: Where to.
        seed: Of everything that is drawn.
        log: Whether the last transactions are in the log alone.
    """
    draw = random.Random(seed)  # noqa: S311 - data, no secret
    folder.mkdir(parents=True)
    ledger = Ledger(folder / "live", "csv a")
    ledger._db.execute("PRAGMA wal_autocheckpoint = 0")
    ledger._db.execute("PRAGMA synchronous = OFF")
    made = MadeLedger(folder / "l")

    def commit(number: int) -> None:
        sizes = (draw.choice((60, 200, 900, 2500, 6000, 14_000)), 150)
        payloads = [
            (s, json.dumps([number, s]).encode() + draw.randbytes(n), 3)
            for s, n in zip(SINKS, sizes, strict=True)
        ]
        states = [StageState("bundle", "hold", f"m{number % 9}", 1, float(number))]
        ledger.commit(
            checkpoint=Checkpoint(f"c{number}"), states=states, payloads=payloads, counters={"read": 3}
        )

    def deliver(sink: str, most: int) -> None:
        parcels = ledger.parcels(sink, most=most)
        ledger.delivered(sink, parcels, None)
        made.delivered[sink] += [parcel.payload for parcel in parcels]

    for number in range(draw.randint(100, 180)):
        commit(number)
        if number % 9 == 5:
            deliver(draw.choice(SINKS), draw.randint(1, 6))
        if number % 30 == 17:
            ledger.bury("a", ledger.parcels("a", most=1)[0], "refused")
        if number % 50 == 49:
            ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if log:
        for number in range(1000, 1000 + draw.randint(4, 30)):
            commit(number)
            if number % 5 == 0:
                deliver(draw.choice(SINKS), 2)
        # Damage to the last transaction looks as a power cut does, and undoes it: nothing is delivered in it.
        commit(5000)
    for sink in SINKS:
        made.waiting[sink] = {
            one.id: one.payload for one in ledger.parcels(sink, most=10_000, max_bytes=1 << 30)
        }
    shutil.copy(folder / "live", made.path)
    if log:
        shutil.copy(folder / "live-wal", folder / "l-wal")
    ledger.close()
    return made


def entries_on(path: Path, untouched: set[tuple[bool, int]]) -> set[int]:
    """The ids of the entries all of whose bytes lie on blocks that were not touched, as SQLite has them.

    Args:
        path: An undamaged ledger.
        untouched: Of the file (False) or its log (True), the offsets of whole pages.
    """
    found: set[int] = set()
    image = Image(path)
    read: list[tuple[bool, int]] = []
    plain = image._read

    def watched(*, in_log: bool, offset: int) -> bytes:
        read.append((in_log, offset))
        return plain(in_log=in_log, offset=offset)

    image._read = watched  # type: ignore[method-assign]
    newest = {number: (False, (number - 1) * PAGE) for number in range(1, image.pages + 1)}
    newest |= {number: (True, frame.offset) for number, frame in image._newest.items()}
    for number, (in_log, offset) in newest.items():
        page = plain(in_log=in_log, offset=offset)
        start = 100 if number == 1 else 0
        if page[start] != LEAF_TABLE:
            continue
        read[:] = [(in_log, offset)]
        for record in image._records(page, start):
            if len(record.values) == 5 and all(place in untouched for place in read):
                found.add(record.id or 0)
            read[:] = [(in_log, offset)]
    image.close()
    return found


def damage(path: Path, kind: str, seed: int) -> set[tuple[bool, int]]:  # noqa: C901 - a case for each kind
    """Damages a ledger in place; returns the pages that were not touched, as `entries_on` takes them."""
    draw = random.Random(seed)  # noqa: S311
    log = path.with_name(f"{path.name}-wal")
    in_log = kind.startswith("log") and log.exists()
    file = log if in_log else path
    data = bytearray(file.read_bytes())
    before = bytes(data)
    step, first = (PAGE + 24, 32) if in_log else (PAGE, 0)
    page = first + draw.randrange((len(data) - first) // step) * step
    match kind.removeprefix("log "):
        case "bit":
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        case "bits":
            for _ in range(8):
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        case "zeros":
            data[page : page + step] = bytes(len(data[page : page + step]))
        case "noise":
            data[page : page + 512] = draw.randbytes(512)
        case "truncated":
            del data[draw.randrange(len(data) // 2, len(data)) :]
        case "header":
            data[:100] = bytes(100) if draw.random() < 0.5 else draw.randbytes(100)
    file.write_bytes(data)
    data += bytes(len(before) - len(data))
    whole: set[tuple[bool, int]] = set()
    for is_log, one in ((False, path), (True, log)):
        if not one.exists():
            continue
        size, begin, head = (PAGE + 24, 32, 24) if is_log else (PAGE, 0, 0)
        total = len(before) if one == file else one.stat().st_size
        for at in range(begin, total - size + 1, size):
            if one != file or data[at : at + size] == before[at : at + size]:
                whole.add((is_log, at + head))
    return whole
