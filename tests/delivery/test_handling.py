"""`edge-detect outbox`: what waits and what was refused is shown, sent again, dropped; it always adds up."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

import pytest

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.outbox import SinkSums
from edge_runtime.errors import LedgerError
from edge_runtime.gateway.place import ledger_fact

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three entries that wait for one sink, one for another, and two dead letters."""
    path = tmp_path / "l.sqlite"
    ledger = Ledger(path, "csv a")
    for number in range(5):
        payloads = [("influx", zlib.compress(b"m score=%d\n" % number), 10)]
        ledger.commit(checkpoint=None, states=[], payloads=payloads, counters={})
    ledger.commit(checkpoint=None, states=[], payloads=[("jsonl", b'{"a":1}\n', 7)], counters={})
    for _ in range(2):
        ledger.bury("influx", ledger.parcels("influx", most=1)[0], "refused")
    ledger.close()
    return path


def test_it_lists_and_shows_also_while_run_has_it_open_and_leaves_nothing(
    path: Path, command: Command
) -> None:
    files = sorted(path.parent.iterdir())
    closed = command("edge-detect", "outbox", "list", "--state", path, "--json")
    assert sorted(path.parent.iterdir()) == files
    ledger = Ledger(path, "csv a")
    opened = command("edge-detect", "outbox", "list", "--state", path, "--json")
    shown = command("edge-detect", "outbox", "show", 3, "--state", path)
    dead = command("edge-detect", "outbox", "show", 1, "--state", path)
    refused = command("edge-detect", "outbox", "send-again", "--all", "--state", path)
    ledger.close()
    assert sorted(path.parent.iterdir()) == files
    assert json.loads(closed.stdout) == json.loads(opened.stdout)
    document = json.loads(closed.stdout)
    size = len(zlib.compress(b"m score=2\n"))
    assert document["waiting"] == [
        {"sink": "influx", "entries": 3, "rows": 30, "bytes": 3 * size, "oldest": 3, "newest": 5},
        {"sink": "jsonl", "entries": 1, "rows": 7, "bytes": 8, "oldest": 6, "newest": 6},
    ]
    assert document["dead_letters"] == [
        {"id": number, "sink": "influx", "rows": 10, "bytes": size, "error": "refused"} for number in (1, 2)
    ]
    assert (shown.stdout, dead.stdout) == (b"m score=2\n", b"m score=0\n")
    assert refused.returncode == 1
    assert b"is in use by another edge-detect" in refused.stderr
    text = command("edge-detect", "outbox", "list", "--state", path, "--most", 1).stdout.decode()
    assert "influx  3        30" in text
    assert "and 1 older dead letters" in text


def test_a_ledger_behind_a_link_is_read_and_locked_under_both_its_names(path: Path, command: Command) -> None:
    link = path.parent / "elsewhere" / "link.sqlite"
    link.parent.mkdir()
    link.symlink_to(path)
    for opened, other in ((link, path), (path, link)):
        ledger = Ledger(opened, "csv a")
        ledger.commit(
            checkpoint=Checkpoint("c"), states=[], payloads=[("influx", b"m score=9\n", 1)], counters={}
        )
        with pytest.raises(LedgerError, match="is in use by another edge-detect"):
            Ledger(other, "csv a")
        for name in (link, path):
            listed = command("edge-detect", "outbox", "list", "--state", name, "--json")
            waiting = json.loads(listed.stdout)["waiting"]
            assert waiting[0]["entries"] == (4 if opened == link else 5)
            fact = ledger_fact(name, "csv a")
            assert (fact.text.split(": ", 1)[1], fact.wrong) == (
                f"0 machines known, {waiting[0]['rows']} rows wait for influx, 7 rows wait for jsonl",
                False,
            )
        ledger.close()
    assert link.is_symlink()
    assert list(link.parent.iterdir()) == [link]


def test_a_damaged_ledger_behind_a_link_is_mended_where_it_lies(path: Path) -> None:
    link = path.parent / "elsewhere" / "link.sqlite"
    link.parent.mkdir()
    link.symlink_to(path)
    with path.open("r+b") as file:
        file.write(bytes(100))
    said: list[str] = []
    ledger = Ledger(link, "csv a", report=said.append)
    assert len(ledger.parcels("influx", most=9)) == 3
    ledger.close()
    assert "no row is lost" in said[0]
    assert link.is_symlink()
    assert list(link.parent.iterdir()) == [link]
    assert any(".damaged." in one.name for one in path.parent.iterdir())


def test_dead_letters_go_out_again_at_the_end(path: Path, command: Command) -> None:
    done = command("edge-detect", "outbox", "send-again", 2, "--state", path)
    assert done.stdout == b"1 dead letter with 10 rows will be sent again by the next `edge-detect run`\n"
    ledger = Ledger(path, "csv a")
    assert [parcel.id for parcel in ledger.parcels("influx", most=9)] == [3, 4, 5, 7]
    assert zlib.decompress(ledger.parcels("influx", most=9)[-1].payload) == b"m score=1\n"
    assert ledger.sums("influx") == SinkSums(encoded=50, delivered=0, waiting=40, dead=10, dropped=0)
    ledger.close()


def test_what_is_dropped_is_counted_and_only_when_it_is_meant(path: Path, command: Command) -> None:
    asked = command("edge-detect", "outbox", "drop", "--all", "--waiting", "--state", path)
    assert (asked.returncode, asked.stderr) == (
        2,
        b"edge-detect: this would drop 4 entries for good; add --yes to do it\n",
    )
    asked = command("edge-detect", "outbox", "drop", 1, 4, 4, "--state", path)
    assert asked.stderr == b"edge-detect: this would drop 2 entries for good; add --yes to do it\n"
    for words in ((1, 99, "--yes"), (1, 99), (99, "--dead"), (99, "--waiting")):
        unknown = command("edge-detect", "outbox", "drop", *words, "--state", path)
        assert (unknown.returncode, unknown.stderr.decode()) == (
            2,
            "edge-detect: there is no entry 99; `edge-detect outbox list` shows what there is\n",
        )
    unknown = command("edge-detect", "outbox", "drop", 1, "--waiting", "--state", path)
    assert b"there is no entry 1;" in unknown.stderr
    done = command("edge-detect", "outbox", "drop", 1, 4, "--yes", "--state", path)
    assert done.stdout == b"2 entries with 20 rows dropped\n"
    assert zlib.compress(b"m score=3\n") not in path.read_bytes()
    done = command("edge-detect", "outbox", "drop", "--all", "--dead", "--yes", "--state", path)
    assert done.stdout == b"1 entry with 10 rows dropped\n"
    ledger = Ledger(path, "csv a")
    assert [parcel.id for parcel in ledger.parcels("influx", most=9)] == [3, 5]
    assert ledger.sums("influx") == SinkSums(encoded=50, delivered=0, waiting=20, dead=0, dropped=30)
    ledger.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list",), "which ledger?; name it with --state, or the configuration with --config"),
        (("list", "--state", "none"), "none: there is no ledger; `edge-detect run` makes it"),
        (
            ("send-again", "--state", "l.sqlite"),
            "either ids or --all; `edge-detect outbox list` shows the ids",
        ),
        (
            ("drop", "--all", "--state", "l.sqlite"),
            "--all of what is not said; add --dead or --waiting, or both",
        ),
        (
            ("show", 99, "--state", "l.sqlite"),
            "there is no entry 99; `edge-detect outbox list` shows what there is",
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    path: Path, command: Command, words: tuple[object, ...], said: str
) -> None:
    assert path.exists()
    done = command("edge-detect", "outbox", *words)
    assert (done.returncode, done.stderr.decode()) == (2, f"edge-detect: {said}\n")


def test_it_finds_the_ledger_that_run_would_use(path: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'[run]\nsource = "stdin"\nstate = "{path}"\n')
    done = command("edge-detect", "outbox", "list", "--config", "c.toml")
    assert done.stdout.decode().startswith(f"ledger {path}\n"), done.stderr
