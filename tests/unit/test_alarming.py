"""What people say about alarms is taken up by a running feed, and stored with what it leads to at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.alarmed import HIGH, ROWS
from support.alarmsite import Site, changes, rows_of

from edge_runtime.delivery.backoff import Backoff
from edge_runtime.delivery.operator import operator_file
from edge_runtime.errors import LedgerUnavailableError, SourceUnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_word_is_taken_up_and_stored_while_no_row_comes(tmp_path: Path) -> None:
    found = []
    site = Site(
        tmp_path,
        rows_of("press-1"),
        lambda: found.append(site.committed()),
        lambda: site.acknowledge("on my way"),
        None,
        lambda: found.append(site.committed()),
    )
    log = site()
    (before, _), (after, condition) = found
    assert (before, after) == (0, 1)
    assert condition["alarm"]["acked"]
    assert condition["alarm"]["acknowledged_by"] == "ada"
    assert changes(log) == ["raised", "acknowledged"]
    assert log[1]["comment"] == "on my way"
    raised, acknowledged = site.said
    assert raised.startswith(f"alarm {HIGH} raised: press-1, machine, high priority, severity ")
    assert acknowledged == f'alarm {HIGH} is acknowledged: press-1, machine, by ada, "on my way"'


def test_words_are_looked_for_once_a_second(tmp_path: Path) -> None:
    found = []

    def at_the_same_moment() -> None:
        site.source.seconds -= 0.5
        found.append(site.committed()[0])

    site = Site(tmp_path, rows_of("press-1"), None)
    site.then(site.acknowledge, at_the_same_moment, None, at_the_same_moment, None)
    site.then(lambda: found.append(site.committed()[0]))
    site()
    assert found == [0, 0, 1]


def test_a_word_is_taken_up_and_stored_while_the_source_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff, "next_wait", lambda _: 5.5)
    site = Site(tmp_path, rows_of("press-1"), SourceUnavailableError("gone"), rows_of("press-4"))
    found = []

    def while_away(number: int) -> None:
        if number == 2:
            site.acknowledge()
        found.append(site.committed()[0])

    site.while_away = while_away
    log = site()
    assert site.waits == [1.0] * 5 + [0.5]
    assert found == [0, 0, 1, 1, 1, 1]
    assert changes(log) == ["raised", "acknowledged"]


def test_a_word_is_taken_up_while_a_source_is_away_that_is_tried_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff, "next_wait", lambda _: 0.25)
    gone = [SourceUnavailableError("gone") for _ in range(4)]
    site, found = Site(tmp_path, rows_of("press-1")), []
    site.then(site.acknowledge, *gone)
    site.while_away = lambda _number: found.append(site.committed()[0])
    site()
    assert found[0] == 0
    assert found[-1] == 1


def test_a_word_that_was_said_while_nothing_ran_is_taken_up_though_no_row_comes_any_more(
    tmp_path: Path,
) -> None:
    first = Site(tmp_path, rows_of("press-1"))
    first()
    first.acknowledge()
    again = Site(tmp_path)
    assert changes(again()) == ["raised", "acknowledged"]
    assert again.said == [f"alarm {HIGH} is acknowledged: press-1, machine, by ada"]


@pytest.mark.parametrize("fails", ["once it is stopped", "for a while"])
def test_a_word_whose_commit_fails_is_left_for_the_next_start_or_stored_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    site = Site(tmp_path, rows_of("press-1"), None)
    site.then(site.acknowledge, None, None)
    commit, failed = site.ledger.commit, list[str]()

    def refusing(**parts: Any) -> None:
        if parts["words"] is not None and len(failed) < 3:
            failed.append(parts["words"])
            if fails == "once it is stopped":
                site.pipeline.stop()
            raise LedgerUnavailableError("disk full")
        commit(**parts)

    monkeypatch.setattr(site.ledger, "commit", refusing)
    site.pipeline.run()
    if fails == "for a while":
        assert len(failed) == 3
        assert site.committed()[0] == 1
        assert len(site.waits) == 3
    else:
        assert len(failed) == 1
        assert site.committed()[0] == 0
        assert any("left for the next start" in line for line in site.said)
    site.ledger.close()
    again = Site(tmp_path, rows_of("press-1"))
    log = again()
    assert changes(log) == ["raised", "acknowledged"]
    assert [line["revision"] for line in log] == [1, 2]


def test_an_operator_file_that_cannot_be_read_is_said_once_and_the_feed_goes_on(tmp_path: Path) -> None:
    path = operator_file(tmp_path / "ledger.sqlite")

    def spoil() -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no database at all" * 100)

    site = Site(tmp_path, rows_of("press-1", stop=60), spoil, None, None, rows_of("press-1", 60))
    site.then(path.unlink, site.acknowledge, None, spoil, None, None)
    log = site()
    assert changes(log) == ["raised", "acknowledged"]
    complaints = [line for line in site.said if line.startswith(f"alarms: {path}: ")]
    assert len(complaints) == 2  # once each time that it began
    assert site.pipeline.accounts.counters["read"] == ROWS


def test_a_word_that_changes_nothing_is_said_and_is_not_taken_up_again(tmp_path: Path) -> None:
    site = Site(tmp_path, rows_of("press-1"))
    site.then(site.acknowledge, None, site.acknowledge, None, None, None)
    assert changes(site()) == ["raised", "acknowledged"]
    refused = "alarms: ack by ada for the machine alarm at press-1: it is acknowledged already"
    assert site.said.count(refused) == 1
    again = Site(tmp_path, None, None)
    assert changes(again()) == ["raised", "acknowledged"]
    assert again.said == []
