"""Messages to people by ntfy, Slack and Teams: what each is given, and one about all in a flood."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.receiving import Reply
from support.webhooks import change, private, sink_of

from edge_runtime.engine.alarmtext import sentence, title
from edge_runtime.errors import SinkError, SinkUnavailableError
from edge_runtime.sinks.base import PacedSink
from edge_runtime.sinks.pace import Pace
from edge_runtime.sinks.posting.people import Note

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.receiving import Receiver

    from edge_runtime.engine.alarms import Change

KINDS = ("ntfy", "slack", "teams")
RETURNED: dict[str, Any] = {"active": False, "returned": "2026-09-21T14:20:00Z"}
MORE = "more changes: `edge-detect alarms list` shows what is open"


def told(kind: str, document: Any) -> tuple[str, list[str]]:
    """Title and lines of a message, as people see them."""
    if kind == "ntfy":
        return document["title"], document["message"].split("\n")
    if kind == "slack":
        first, *lines = document["text"].split("\n")
        shown = [line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for line in lines]
        return first.strip("*"), shown
    (attachment,) = document["attachments"]
    assert document["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    first, *lines = ["".join(run["text"] for run in block["inlines"]) for block in card["body"]]
    return first, lines


def deliver(sink: Any, changes: Sequence[Change]) -> int:
    count: int = sink.deliver([sink.encode_alarm(one) for one in changes])
    return count


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_a_message_with_a_title_and_a_sentence(receiver: Receiver, kind: str) -> None:
    sink = sink_of(kind, url=f"{receiver.url}/hook")
    assert isinstance(sink, PacedSink)
    changes = [change(1), change(2, change="returned", **RETURNED)]
    assert deliver(sink, changes) == 2
    for one, document in zip(changes, receiver.documents, strict=True):
        assert told(kind, document) == (title(one), [sentence(one)])
    assert [post.key for post in receiver.posts] == [f"{1:016x}-1", f"{2:016x}-1"]


def test_ntfy_gets_its_json_at_its_root_with_a_priority_and_a_pictogram(
    receiver: Receiver, tmp_path: Path
) -> None:
    token = private(tmp_path / "token", "tk_1")
    sink = sink_of("ntfy", url=f"{receiver.url}/ntfy/plant_1-x/", token_file=str(token))
    changes = [
        change(1, priority="low"),
        change(2, priority="medium"),
        change(3, priority="high"),
        change(4, priority="high", change="returned", **RETURNED),
        change(5, priority="high", change="shelved", shelved_until="2026-09-21T20:00:00Z"),
    ]
    assert deliver(sink, changes) == 5
    assert {(post.path, post.headers["Authorization"]) for post in receiver.posts} == {
        ("/ntfy/", "Bearer tk_1")
    }
    assert {one["topic"] for one in receiver.documents} == {"plant_1-x"}
    assert [(one["priority"], one["tags"]) for one in receiver.documents] == [
        (2, ["warning"]),
        (3, ["warning"]),
        (5, ["rotating_light"]),
        (2, ["white_check_mark"]),
        (2, ["white_check_mark"]),
    ]


def test_in_slack_names_and_comments_neither_link_nor_call_anybody(receiver: Receiver) -> None:
    sink = sink_of("slack", url=f"{receiver.url}/hook")
    name = "<!channel> & <https://example.org|press>"
    assert deliver(sink, [change(machine_id=name)]) == 1
    (document,) = receiver.documents
    assert set(document) == {"text"}
    assert "<" not in document["text"]
    assert "&lt;!channel&gt; &amp; &lt;https://example.org|press&gt;" in document["text"]


def test_in_teams_texts_are_runs_in_which_nothing_is_markdown(receiver: Receiver) -> None:
    sink = sink_of("teams", url=f"{receiver.url}/hook")
    changes = [change(1, priority="high", machine_id="[press](https://example.org)"), change(2, **RETURNED)]
    assert deliver(sink, changes) == 2
    cards = [one["attachments"][0]["content"] for one in receiver.documents]
    assert {block["type"] for card in cards for block in card["body"]} == {"RichTextBlock"}
    assert [card["body"][0]["inlines"][0]["color"] for card in cards] == ["Attention", "Good"]
    assert "[press](https://example.org)" in cards[0]["body"][1]["inlines"][0]["text"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_is_one_message_and_after_a_while_changes_are_told_by_themselves(
    receiver: Receiver, kind: str
) -> None:
    sink, seconds = sink_of(kind, url=f"{receiver.url}/hook"), [0.0]
    sink.pace = Pace(5, 30.0, lambda: seconds[0])
    flood = [change(number, machine_id=f"press-{number % 3}", priority="low") for number in range(9)]
    flood[7] = change(7, machine_id="press-1", priority="high")
    assert deliver(sink, flood) == 9
    (post,) = receiver.posts
    first, lines = told(kind, post.document)
    assert first == "9 changes of alarms at 3 machines"
    assert lines == [sentence(flood[7]), *(sentence(one) for one in flood if one is not flood[7])]
    assert sink.pace.wait(1) == 30.0
    assert deliver(sink, [change(20)]) == 1  # it was waited for: alone, it needs no summary
    assert told(kind, receiver.documents[1]) == (title(change(20)), [sentence(change(20))])
    assert receiver.posts[1].key == f"{20:016x}-1"
    seconds[0] = 150.0
    assert deliver(sink, [change(number) for number in range(30, 35)]) == 5
    assert len(receiver.posts) == 7
    assert sink.pace.wait(2) == 30.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_about_all_that_fails_is_tried_again_with_the_same_key(
    receiver: Receiver, kind: str
) -> None:
    sink = sink_of(kind, url=f"{receiver.url}/hook", at_once=1)
    flood = [change(number) for number in range(3)]
    receiver.replies = [Reply(429), Reply(400)]
    with pytest.raises(SinkUnavailableError):
        deliver(sink, flood)
    with pytest.raises(SinkError):
        deliver(sink, flood)
    assert deliver(sink, flood) == 3
    assert len({post.key for post in receiver.posts}) == 1
    assert len(receiver.taken) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["press", "press-ü-\U0001f600", "&<>&<>", '"\\"\\'])
def test_a_flood_fits_into_the_services_bounds_and_says_how_many_more_there_are(
    receiver: Receiver, kind: str, name: str
) -> None:
    sink = sink_of(kind, url=f"{receiver.url}/hook", at_once=1)
    flood = [change(number, machine_id=f"{name} {number}") for number in range(700)]
    assert deliver(sink, flood) == 700
    (post,) = receiver.posts
    first, lines = told(kind, post.document)
    assert first == "700 changes of alarms at 700 machines"
    shown = len(lines) - 1
    assert lines[:-1] == [sentence(one) for one in flood[:shown]]
    assert lines[-1] == f"and {700 - shown} {MORE}"
    room = {
        "ntfy": (len(post.document.get("message", "").encode()), 4096),
        "slack": (len(post.document.get("text", "")), 4000),
        "teams": (len(post.body), 28_000),
    }
    taken, most = room[kind]
    assert most // 2 < taken <= most


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_change_that_is_too_long_is_shown_in_part(receiver: Receiver, kind: str) -> None:
    sink = sink_of(kind, url=f"{receiver.url}/hook")
    comment = "ü" * 9000
    one = change(change="comment", comment=comment)
    assert deliver(sink, [one]) == 1
    (post,) = receiver.posts
    _, lines = told(kind, post.document)
    assert len(lines) == 1
    assert len(post.body) < 40_000
    assert sentence(one).startswith(lines[0].removesuffix("…"))


LINES = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=1000), max_size=60), min_size=1)


@settings(deadline=None)
@given(LINES, st.integers(200, 400))
def test_lines_fit_whatever_they_are_and_none_is_left_out_unsaid(lines: list[str], most: int) -> None:
    note = Note("title", tuple(lines), open=True, priority="low")
    shown = note.fitting(most, lambda line: len(line.encode()))
    assert sum(len(line.encode()) + 1 for line in shown) <= most
    if shown != lines:
        *some, last = shown
        assert some == lines[: len(some)]
        count = len(lines) - len(some)
        assert last == f"and {count} more change{'s' * (count > 1)}{MORE.removeprefix('more changes')}"


def test_a_first_line_that_is_too_long_is_shown_in_part_and_the_others_are_counted() -> None:
    note = Note("title", ("x" * 500, "y"), open=True, priority="low")
    first, last = note.fitting(200)
    assert first == "x" * (len(first) - 1) + "…"
    assert last == f"and 1 {MORE.replace('changes', 'change')}"
    assert 150 < len(first) + len(last) + 2 <= 200


@settings(deadline=None)
@given(st.integers(0, 3), st.integers(0, 3))
def test_what_matters_most_comes_first_and_the_rest_in_its_order(low: int, high: int) -> None:
    changes = [change(number, priority="low") for number in range(low)]
    changes += [change(10 + number, priority="high") for number in range(high)]
    if not changes:
        return
    note = Note.of(changes)
    assert list(note.lines) == [sentence(one) for one in (*changes[low:], *changes[:low])]
    assert note.is_urgent is (high > 0)
    assert json.dumps(note.title)


def test_a_message_about_all_is_as_urgent_as_what_is_still_open() -> None:
    over = change(1, event_id="a", change="returned", active=False, priority="high")
    still = change(2, event_id="b", change="raised", active=True, priority="low")
    found = Note.of([over, still])
    assert (found.open, found.priority, found.is_urgent) == (True, "low", False)
    raised = change(3, event_id="a", change="raised", active=True, priority="high")
    found = Note.of([raised, over])
    assert (found.open, found.is_urgent) == (False, False)
    assert Note.of([over, raised]).is_urgent
