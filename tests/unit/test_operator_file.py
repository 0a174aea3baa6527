"""The operator file: words survive, keep their order, and are read on from a mark."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime.delivery.operator import BUSY_CALLS, OperatorFile, feed_of, operator_file, place_in
from edge_runtime.errors import LedgerUnavailableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.engine.alarms import Word

NOW = 1_790_000_000_000_000_000
HOUR = 3_600_000_000_000
FEED = "ledger.sqlite"


def comment(file: OperatorFile, text: str | None = "seen", **other: Any) -> Word:
    given: dict[str, Any] = {
        "feed": FEED,
        "at": NOW,
        "by": "ada",
        "word": "comment",
        "machine_id": "press-1",
        "kind": "machine",
        "subject": "",
        "event_id": "0123456789abcdef",
        "text": text,
    }
    given.update(other)
    return file.say(**given)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return operator_file(tmp_path / FEED)


def texts(file: OperatorFile, mark: str | None = None, feed: str = FEED) -> list[str | None]:
    return [word.text for word in file.after(mark, feed)[0]]


def test_every_kind_of_word_comes_back_as_it_was_said(path: Path) -> None:
    file = OperatorFile(path)
    machine: dict[str, Any] = {
        "feed": FEED,
        "at": NOW,
        "by": "ada",
        "machine_id": "Presse 1 \u2014 S\u00fcd",
        "kind": "machine",
    }
    sensor = {**machine, "kind": "sensor", "subject": "\u0394p"}
    said = [
        file.say(**machine, subject="", word="ack", event_id="0123456789abcdef", revision=3),
        file.say(**machine, subject="", word="ack", event_id="0123456789abcdef", revision=4, text="on it"),
        file.say(**machine, subject="", word="comment", event_id="0123456789abcdef", text="two\nlines"),
        file.say(**sensor, word="shelve", until=NOW + HOUR, text="being cleaned"),
        file.say(**sensor, word="unshelve"),
        file.say(**sensor, word="out of service", text="removed"),
        file.say(**sensor, word="in service", text="back"),
    ]
    assert [word.number for word in said] == [1, 2, 3, 4, 5, 6, 7]
    assert OperatorFile(path).after(None, FEED)[0] == said


def test_a_mark_leads_to_what_was_said_after_it_and_stands_where_nothing_was(path: Path) -> None:
    file = OperatorFile(path)
    assert file.after(None, FEED) == ([], None)
    assert file.after("somebody:12", FEED) == ([], "somebody:12")
    assert file.identity() is None
    assert not path.parent.exists()  # nothing was made by looking
    comment(file, "first")
    comment(file, "second")
    words, mark = file.after(None, FEED)
    assert [word.text for word in words] == ["first", "second"]
    assert place_in(mark) == (file.identity(), 2)
    assert file.after(mark, FEED) == ([], mark)
    comment(file, "third")
    words, further = file.after(mark, FEED)
    assert ([word.text for word in words], place_in(further)) == (["third"], (file.identity(), 3))


def test_an_earlier_copy_of_the_file_is_told_from_the_one_whose_words_were_taken_up(path: Path) -> None:
    file = OperatorFile(path)
    comment(file, "first")
    copy = path.read_bytes()
    comment(file, "second")
    _, mark = file.after(None, FEED)
    path.write_bytes(copy)
    with pytest.raises(LedgerUnavailableError, match="word 2, which was taken up, is not in it"):
        file.after(mark, FEED)
    comment(file, "another second")  # it has the number of the word that is missing
    with pytest.raises(LedgerUnavailableError, match="it is an earlier copy"):
        file.after(mark, FEED)


def test_each_feed_has_its_own_words(path: Path) -> None:
    file = OperatorFile(path)
    comment(file, "mine")
    comment(file, "another's", feed="other.sqlite")
    assert texts(file) == ["mine"]
    words, mark = file.after(None, "other.sqlite")
    assert ([word.text for word in words], place_in(mark)) == (["another's"], (file.identity(), 2))
    for before in (None, mark):
        assert file.after(before, "third.sqlite") == ([], before)
    comment(file, "at last", feed="third.sqlite")
    for before in (None, mark):
        assert texts(file, before, "third.sqlite") == ["at last"]


def test_a_new_file_begins_with_its_first_word(path: Path) -> None:
    file = OperatorFile(path)
    for text in ("one", "two", "three"):
        comment(file, text)
    _, mark = file.after(None, FEED)
    path.rename(path.with_name("old.sqlite"))
    assert file.after(mark, FEED) == ([], mark)
    comment(file, "in the new one")
    assert texts(file, mark) == ["in the new one"]
    for wrong in ("", "x", f"{file.identity()}", f"{file.identity()}:-1", f"{file.identity()}:\u0663"):
        assert texts(file, wrong) == ["in the new one"], wrong


def test_very_many_words_come_in_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.delivery.operator.MOST_WORDS", 4)
    file = OperatorFile(path)
    for number in range(10):
        comment(file, str(number), feed=FEED if number % 3 else "other.sqlite")
    parts, mark = [], None
    while (found := file.after(mark, FEED))[1] != mark:
        parts.append([word.text for word in found[0]])
        mark = found[1]
    assert parts == [["1", "2"], ["4", "5", "7"], ["8"]]
    for _ in range(9):
        comment(file, "another's", feed="other.sqlite")
    comment(file, "after many of another feed")
    assert file.after(mark, FEED)[0][0].text == "after many of another feed"


def _say_many(path: Path, who: str, number: int) -> None:
    file = OperatorFile(path)
    for at in range(number):
        comment(file, f"{who} {at}", by=who)


def test_several_processes_say_words_at_the_same_time_from_the_first_one_on(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    names = ["ada", "bob", "cem"]
    several = [context.Process(target=_say_many, args=(path, name, 8)) for name in names]
    for one in several:
        one.start()
    file, mark, seen = OperatorFile(path), None, list[str]()
    while any(one.is_alive() for one in several):
        words, mark = file.after(mark, FEED)
        seen += [str(word.text) for word in words]
    for one in several:
        one.join()
        assert one.exitcode == 0
    words, mark = file.after(mark, FEED)
    seen += [str(word.text) for word in words]
    for name in names:
        assert [text for text in seen if text.startswith(name)] == [f"{name} {at}" for at in range(8)]
    assert len(seen) == 24
    assert place_in(mark) == (file.identity(), 24)


SAYING = """
import sys
from pathlib import Path
from edge_runtime.delivery.operator import OperatorFile

file, number = OperatorFile(Path(sys.argv[1])), 0
while True:
    number += 1
    file.say(feed="ledger.sqlite", at=1, by=sys.argv[2], word="comment", machine_id="press-1", kind="machine",
             subject="", event_id="0123456789abcdef", text=str(number))
    print(number, flush=True)
"""


def test_what_was_said_is_there_after_kill_9_at_any_moment(path: Path) -> None:
    words = [sys.executable, "-c", SAYING, str(path)]
    for life in range(8):
        with subprocess.Popen([*words, f"life {life}"], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(3 + life):
                process.stdout.readline()
            process.kill()
            printed = 3 + life + len(process.stdout.readlines())
        said = [word for word in OperatorFile(path).after(None, FEED)[0] if word.by == f"life {life}"]
        assert len(said) in (printed, printed + 1)  # killed between the word and the line
        assert [word.text for word in said] == [str(number) for number in range(1, len(said) + 1)]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_group_may_write_and_others_may_not_read_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        comment(OperatorFile(path))
    finally:
        os.umask(before)
    above = path.parent.parent.stat()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o2770
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert path.parent.stat().st_gid == path.stat().st_gid == above.st_gid
    assert [one.name for one in path.parent.iterdir()] == ["operator.sqlite"]


def test_root_gives_the_file_to_the_owner_and_group_of_the_folder_above(path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(path.parent.parent, 12345, 23456)
    comment(OperatorFile(path))
    for one in (path, path.parent):
        assert (one.stat().st_uid, one.stat().st_gid) == (12345, 23456)


def test_rights_of_a_file_that_is_there_are_left_alone(path: Path) -> None:
    file = OperatorFile(path)
    comment(file)
    path.chmod(0o600)
    path.parent.chmod(0o700)
    comment(file, "another")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_link_to_a_ledger_leads_to_the_folder_beside_the_ledger(tmp_path: Path) -> None:
    real = tmp_path / "disk" / "real.sqlite"
    real.parent.mkdir()
    real.touch()
    link = tmp_path / "ledger.sqlite"
    link.symlink_to(real)
    assert operator_file(link) == tmp_path / "disk" / "operator" / "operator.sqlite"
    assert feed_of(link) == "real.sqlite"


def test_words_are_never_changed_or_deleted(path: Path) -> None:
    comment(OperatorFile(path), "as it was")
    for statement in ("UPDATE words SET text = 'changed'", "DELETE FROM words"):
        with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.IntegrityError, match="never"):
            db.execute(statement)
    assert texts(OperatorFile(path)) == ["as it was"]


def test_an_empty_file_has_no_words_yet(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    file = OperatorFile(path)
    assert file.after("a:1", FEED) == ([], "a:1")
    assert comment(file).number == 1


def test_what_is_none_of_ours_is_refused_and_stays_as_it_was(path: Path) -> None:
    path.parent.mkdir()
    foreign = path.with_name("foreign.sqlite")
    with closing(sqlite3.connect(foreign)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE recipes (name TEXT)")
        db.commit()
    file = OperatorFile(path)
    for content, words in (
        (foreign.read_bytes(), "another program"),
        (b"not a database, but long enough to be looked at" * 50, "is damaged"),
    ):
        path.write_bytes(content)
        for ask in (lambda: file.after(None, FEED), lambda: comment(file)):
            with pytest.raises(LedgerUnavailableError, match=words) as caught:
                ask()
            assert caught.value.where == str(path)
            assert "move it away" in str(caught.value.hint)
        assert path.read_bytes() == content


def test_what_is_no_file_is_not_opened(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    file = OperatorFile(path)
    os.mkfifo(path)
    with pytest.raises(LedgerUnavailableError, match="is not a file"):
        file.after(None, FEED)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    for ask in (lambda: file.after(None, FEED), lambda: comment(file)):
        with pytest.raises(LedgerUnavailableError, match="is not a file"):
            ask()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("column", "value"), [("text", "another"), ("until", NOW), ("by", b"\xff"), ("at", "yesterday")]
)
def test_a_word_that_was_changed_on_the_disk_is_not_taken_up(path: Path, column: str, value: object) -> None:
    file = OperatorFile(path)
    comment(file)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TRIGGER never_changed")
        db.execute(f"UPDATE words SET {column} = ?", (value,))  # noqa: S608
    with pytest.raises(LedgerUnavailableError, match="word 1 does not fit its checksum"):
        file.after(None, FEED)


def test_a_word_that_is_missing_is_said(path: Path) -> None:
    file = OperatorFile(path)
    for number in range(3):
        comment(file, str(number))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TRIGGER never_deleted")
        db.execute("DELETE FROM words WHERE number = 2")
    with pytest.raises(LedgerUnavailableError, match="word 2 is missing"):
        file.after(None, FEED)


def test_every_flipped_byte_is_found_or_changes_no_word(path: Path) -> None:
    file = OperatorFile(path)
    said = [comment(file, "one"), comment(file, "two")]
    whole = path.read_bytes()
    found = 0
    for place in range(0, len(whole), 7):
        if not whole[place]:
            continue
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :])
        try:
            words, _ = OperatorFile(path).after(None, FEED)
        except LedgerUnavailableError:
            found += 1
            continue
        assert words in (said, []), place
    assert found > 10


def test_a_file_of_a_later_version_is_refused(path: Path) -> None:
    file = OperatorFile(path)
    comment(file)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 9")
    for ask in (lambda: file.after(None, FEED), lambda: comment(file)):
        with pytest.raises(LedgerUnavailableError, match="version 9"):
            ask()


def test_while_another_writes_there_are_no_words_yet_and_one_that_never_ends_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_runtime.delivery.operator.READ_TIMEOUT_S", 0.0)
    file = OperatorFile(path)
    comment(file)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        for _ in range(BUSY_CALLS - 1):
            assert file.after("m:1", FEED) == ([], "m:1")
        with pytest.raises(LedgerUnavailableError, match="locked"):
            file.after("m:1", FEED)
    assert texts(file) == ["seen"]


def test_an_unfinished_word_of_a_killed_writer_is_taken_back(path: Path) -> None:
    file = OperatorFile(path)
    comment(file, "whole")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        # As a kill leaves it: the journal is on the disk, and pages of the file are changed already.
        db.execute("PRAGMA cache_spill = 1")
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE much (a TEXT)")
        db.executemany("INSERT INTO much VALUES (?)", [("x" * 3000,) for _ in range(50)])
        journal = path.with_name(f"{path.name}-journal")
        left, changed = journal.read_bytes(), path.read_bytes()
    other = path.parent.parent / "copy" / "operator.sqlite"
    other.parent.mkdir()
    other.write_bytes(changed)
    other.with_name(journal.name).write_bytes(left)
    assert texts(OperatorFile(other)) == ["whole"]


@pytest.mark.parametrize(
    ("part", "value", "where"),
    [
        ("text", "x" * 2001, "comment"),
        ("text", " ", "comment"),
        ("text", None, "comment"),
        ("text", "\x1b[2J", "comment"),
        ("text", "\udc80", "comment"),
        ("by", "", "by"),
        ("by", "x" * 101, "by"),
        ("by", "ada\nbob", "by"),
        ("machine_id", "x" * 257, "machine"),
        ("machine_id", "", "machine"),
        ("subject", "pressure", "sensor"),
        ("kind", "sensor", "sensor"),
        ("kind", "weather", "kind"),
        ("word", "shout", "word"),
        ("at", -1, "at"),
        ("event_id", "0123", "id"),
        ("event_id", None, "id"),
        ("revision", 3, "revision"),
        ("until", NOW, "until"),
    ],
)
def test_a_word_that_could_not_be_taken_up_is_not_said(path: Path, part: str, value: Any, where: str) -> None:
    with pytest.raises(UsageError) as caught:
        comment(OperatorFile(path), **{part: value})
    assert caught.value.where == where
    assert not path.exists()


def test_a_shelving_needs_an_end_after_its_beginning_and_a_reason(path: Path) -> None:
    file = OperatorFile(path)
    for until, text, where in ((NOW, "why", "until"), (None, "why", "until"), (NOW + 1, None, "reason")):
        with pytest.raises(UsageError) as caught:
            comment(file, word="shelve", event_id=None, until=until, text=text)
        assert caught.value.where == where
    assert comment(file, word="shelve", event_id=None, until=NOW + 1, text="why").until == NOW + 1


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "operator").write_text("a file where the folder should be")
    file = OperatorFile(operator_file(tmp_path / FEED))
    assert file.after(None, FEED) == ([], None)
    with pytest.raises(LedgerUnavailableError, match="cannot be written"):
        comment(file)
