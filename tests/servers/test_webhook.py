"""Alarms and rows posted to a receiver: what arrives, what an answer means, and what comes again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from influxd import free_ports
from support.alarmtargets import some_changes
from support.receiving import Reply, breaking, read_head, receiving
from support.targets import some_results
from support.webhooks import SENSORS, change, private, sink_of

from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from edge_runtime.engine.alarmtext import sentence
from edge_runtime.errors import SinkError, SinkUnavailableError
from edge_runtime.sinks import webhook
from edge_runtime.sinks.posting.sink import MAX_POSTS, Message
from edge_runtime.sinks.rows import json_lines

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from support.receiving import Posted, Receiver

FINAL = [400, 406, 411, 412, 413, 414, 415, 418, 422, 431]
FOR_NOW = [401, 402, 403, 404, 405, 407, 408, 409, 410, 423, 425, 426, 429, 451, 499]
FOR_NOW += [500, 501, 502, 503, 504, 505, 599]
TOKEN = "abc.def-ghi"


def entries(sink: Any, *numbers: int) -> list[bytes]:
    """Of the outbox, one for an alarm of each number."""
    return [sink.encode_alarm(change(number)) for number in numbers]


def test_a_change_arrives_as_json_with_its_key_and_its_sentence(receiver: Receiver) -> None:
    sink = sink_of("webhook", url=f"{receiver.url}/alarms?plant=1")
    sink.check()
    assert receiver.posts == []
    for one in some_changes():
        assert sink.deliver([sink.encode_alarm(one)]) == 1
    for post, one in zip(receiver.posts, some_changes(), strict=True):
        assert post.path == "/alarms?plant=1"
        assert post.headers["Content-Type"] == "application/json"
        assert post.headers["Authorization"] is None
        assert post.headers["Host"] == receiver.url.removeprefix("http://")
        assert post.key == f"{one.fields['event_id']}-{one.fields['revision']}"
        assert post.document == {**one.to_dict(), "text": sentence(one)}


@pytest.mark.parametrize(
    "words",
    [
        "<title>400 No required SSL certificate was sent</title>",
        "<title>400 The SSL certificate error</title>",
        "400 The plain HTTP request was sent to HTTPS port",
    ],
)
def test_what_a_proxy_says_of_the_connection_is_no_refusal_of_the_alarm(
    receiver: Receiver, words: str
) -> None:
    receiver.replies = [Reply(400, words.encode())]
    sink = sink_of("webhook", url=receiver.url)
    with pytest.raises(SinkUnavailableError, match=r"cert_file in \[tls\]"):
        sink.deliver(entries(sink, 1))
    assert sink.deliver(entries(sink, 1)) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226])
def test_any_success_is_one(receiver: Receiver, status: int) -> None:
    receiver.replies = [Reply(status)]
    sink = sink_of("webhook", url=receiver.url)
    assert sink.deliver(entries(sink, 1)) == 1
    assert len(receiver.posts) == 1


@pytest.mark.parametrize("status", FINAL)
def test_what_is_refused_for_its_content_is_refused_for_good(receiver: Receiver, status: int) -> None:
    receiver.replies = [Reply(status, b'{"error": "no such\\nfield \\u202e"}')]
    sink = sink_of("webhook", url=f"{receiver.url}/secret-path")
    with pytest.raises(SinkError, match=re.escape(f"it answers {status} (no such field ?)")) as caught:
        sink.deliver(entries(sink, 1))
    assert not isinstance(caught.value, SinkUnavailableError)
    assert caught.value.where == receiver.url


@pytest.mark.parametrize("status", FOR_NOW)
def test_what_may_be_taken_later_is_tried_again(receiver: Receiver, status: int) -> None:
    receiver.replies = [Reply(status, b"x" * 5000)]
    sink = sink_of("webhook", url=receiver.url)
    with pytest.raises(SinkUnavailableError, match=f"it answers {status} ") as caught:
        sink.deliver(entries(sink, 1))
    assert caught.value.hint
    assert len(str(caught.value)) < 500
    assert sink.deliver(entries(sink, 1)) == 1


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.replies = [Reply(status, headers={"Location": f"{receiver.url}/elsewhere"})]
    sink = sink_of("webhook", url=receiver.url)
    with pytest.raises(SinkUnavailableError, match="redirects are not followed") as caught:
        sink.deliver(entries(sink, 1))
    assert "elsewhere" not in str(caught.value)
    assert len(receiver.posts) == 1


def test_of_several_those_before_a_failure_are_delivered(receiver: Receiver) -> None:
    sink = sink_of("webhook", url=receiver.url)
    for refusal in (503, 400):
        receiver.posts.clear()
        receiver.replies = [Reply(), Reply(), Reply(refusal)]
        assert sink.deliver(entries(sink, 1, 2, 3, 4)) == 2
        assert len(receiver.posts) == 3


def test_so_many_are_posted_in_one_call_over_one_connection(receiver: Receiver) -> None:
    sink = sink_of("webhook", url=receiver.url)
    assert sink.deliver(entries(sink, *range(MAX_POSTS + 10))) == MAX_POSTS
    assert len(receiver.posts) == MAX_POSTS
    assert len({post.connection for post in receiver.posts}) == 1


def test_a_call_ends_when_its_time_is_over(receiver: Receiver) -> None:
    sink = sink_of("webhook", url=receiver.url, timeout=60.0)
    seconds = [0.0]
    sink._clock = lambda: seconds[0]

    def pass_time(_: object) -> None:
        seconds[0] += 25.0

    receiver.sooner = pass_time
    assert sink.deliver(entries(sink, 1, 2, 3, 4, 5)) == 3


def test_a_connection_that_was_closed_in_between_is_opened_again_and_nothing_comes_twice(
    receiver: Receiver,
) -> None:
    sink = sink_of("webhook", url=receiver.url)
    receiver.replies = [Reply(hangs_up=True), Reply(hangs_up=True), Reply()]
    assert sink.deliver(entries(sink, 1, 2, 3)) == 3
    assert [post.key for post in receiver.posts] == [f"{number:016x}-1" for number in (1, 2, 3)]
    assert len({post.connection for post in receiver.posts}) == 3


def test_an_answer_that_is_too_long_to_read_ends_its_connection(receiver: Receiver) -> None:
    sink = sink_of("webhook", url=receiver.url)
    receiver.replies = [Reply(body=b"x" * 200_000), Reply(body=b"y" * 60_000), Reply()]
    assert sink.deliver(entries(sink, 1, 2, 3)) == 3
    first, second, third = (post.connection for post in receiver.posts)
    assert first != second == third


def test_a_post_that_was_answered_in_part_is_not_posted_again_at_once() -> None:
    heard = []

    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        heard.append(read_head(connection))
        connection.sendall(b"HTTP/1.1 100 Go on\r\n\r\n")

    with breaking(answer) as url:
        sink = sink_of("webhook", url=url)
        assert sink.deliver(entries(sink, 1, 2)) == 1
        assert len(heard) == 1


def test_a_body_that_is_answered_before_its_end_is_refused_in_the_servers_words() -> None:
    def answer(connection: socket.socket) -> None:
        words = b"too long"
        connection.sendall(b"HTTP/1.1 413 No\r\nContent-Length: %d\r\n\r\n%s" % (len(words), words))

    with breaking(answer) as url:
        sink = sink_of("webhook", url=url)
        long = change(comment="x" * 4_000_000)
        with pytest.raises(SinkError) as caught:
            sink.deliver([sink.encode_alarm(long)])
    # Where the server resets the connection, its words may be lost on the way.
    assert "it answers 413 (too long)" in str(caught.value) or isinstance(caught.value, SinkUnavailableError)


def test_what_comes_again_has_the_same_key_and_signed_time_of_its_own(
    receiver: Receiver, tmp_path: Path
) -> None:
    secret = private(tmp_path / "secret", "whsec_" + base64.b64encode(b"0123456789abcdef").decode())
    sink = sink_of("webhook", url=receiver.url, secret_file=str(secret))
    moments = iter([1790000000.5, 1790000060.0])
    sink._now = lambda: next(moments)
    payload = entries(sink, 7)
    receiver.replies = [Reply(503)]
    with pytest.raises(SinkUnavailableError):
        sink.deliver(payload)
    assert sink.deliver(payload) == 1
    first, second = receiver.posts
    assert first.key == second.key == first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert [one.headers["webhook-timestamp"] for one in (first, second)] == ["1790000000", "1790000060"]


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("whsec_" + base64.b64encode(bytes(range(24))).decode(), bytes(range(24))),
        ("a plain secret, ü", "a plain secret, ü".encode()),
    ],
)
def test_a_signature_is_as_the_specification_has_it(
    receiver: Receiver, tmp_path: Path, written: str, key: bytes
) -> None:
    sink = sink_of("webhook", url=receiver.url, secret_file=str(private(tmp_path / "secret", written)))
    sink.deliver(entries(sink, 1))
    (post,) = receiver.posts
    assert verified(post.headers, post.body, key)
    assert not verified(post.headers, post.body + b" ", key)
    assert not verified(post.headers, post.body, key + b"x")
    assert written not in str(post)


def verified(headers: Any, body: bytes, key: bytes) -> bool:
    """What a receiver does by the specification, computed in another way than the sink does."""
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    padded = key.ljust(64, b"\0") if len(key) <= 64 else hashlib.sha256(key).digest().ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + text).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()
    versions = [part.split(",", 1) for part in headers["webhook-signature"].split(" ")]
    return any(
        version == "v1" and hmac.compare_digest(base64.b64decode(mac), outer) for version, mac in versions
    )


def test_the_example_of_the_specifications_own_libraries(tmp_path: Path) -> None:
    """See https://github.com/standard-webhooks/standard-webhooks/tree/main/libraries."""
    secret = private(tmp_path / "secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    sink = sink_of("webhook", url="http://127.0.0.1:9", secret_file=str(secret))
    sink._now = lambda: 1614265330
    headers = sink._headers(Message(b'{"test": 2432232314}', "msg_p5jXN8AQM9LWM0D4loKWxJek"))
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_are_read_again_before_a_retry(receiver: Receiver, tmp_path: Path) -> None:
    token = private(tmp_path / "token", "old")
    sink = sink_of("webhook", url=receiver.url, token_file=str(token))
    receiver.replies = [Reply(401, b"old is no token")]
    with pytest.raises(SinkUnavailableError, match=r"it answers 401 .*token_file in \[webhook\]"):
        sink.deliver(entries(sink, 1))
    token.write_text("new")
    assert sink.deliver(entries(sink, 1)) == 1
    assert [post.headers["Authorization"] for post in receiver.posts] == ["Bearer old", "Bearer new"]


def test_a_token_that_cannot_be_read_when_it_is_needed_again_is_waited_for(
    receiver: Receiver, tmp_path: Path
) -> None:
    token = private(tmp_path / "token", "old")
    sink = sink_of("webhook", url=receiver.url, token_file=str(token))
    receiver.replies = [Reply(403)]
    with pytest.raises(SinkUnavailableError):
        sink.deliver(entries(sink, 1))
    token.chmod(0o644)
    with pytest.raises(SinkUnavailableError, match=f"others may read this secret; chmod 600 {token}"):
        sink.deliver(entries(sink, 1))
    token.chmod(0o600)
    assert sink.deliver(entries(sink, 1)) == 1


def test_no_message_shows_what_is_secret(receiver: Receiver, tmp_path: Path) -> None:
    path = "/services/T0AAAAAA1/B0BBBBBB2/cccccccc%2Fdddd3"
    url = private(tmp_path / "url", f"{receiver.url}{path}?sig=eeeeeeee4")
    token, key = private(tmp_path / "token", TOKEN), private(tmp_path / "key", "a key to sign with")
    echo = f"cannot POST {path} cccccccc/dddd3 sig=eeeeeeee4 of Bearer {TOKEN}, a key to sign with".encode()
    for kind in ("webhook", "slack", "teams", "alertmanager"):
        more: dict[str, Any] = {"secret_file": str(key)} if kind == "webhook" else {}
        sink = sink_of(kind, url_file=str(url), token_file=str(token), **more)
        said = [repr(sink), repr(sink._target), repr(sink._settings)]
        for status in (400, 401, 404, 500, 301):
            receiver.replies = [Reply(status, echo)]
            with pytest.raises(SinkError) as caught:
                sink.deliver(entries(sink, 1))
            said += [str(caught.value), repr(caught.value)]
        private(url, f"http://127.0.0.1:{free_ports(1)[0]}{path}?sig=eeeeeeee4")
        gone = sink_of(kind, url_file=str(url), token_file=str(token), **more)
        for attempt in (gone.check, lambda: gone.deliver(entries(gone, 1))):  # noqa: B023
            with pytest.raises(SinkUnavailableError) as caught:
                attempt()
            said.append(str(caught.value))
        private(url, f"{receiver.url}{path}?sig=eeeeeeee4")
        secrets = ["T0AAAAAA1", "B0BBBBBB2", "dddd3", "eeeeeeee4", TOKEN]
        for secret in [*secrets, "a key to sign"] if kind == "webhook" else secrets:
            assert not [text for text in said if secret in text], (kind, secret)


class TestRows:
    """Rows instead of alarms, where that is asked for."""

    def test_a_block_arrives_as_an_array_with_a_key_of_its_content(
        self, receiver: Receiver, bundle: Path
    ) -> None:
        sink = sink_of("webhook", url=receiver.url, takes=["rows"])
        results = some_results(bundle)
        payload = sink.encode(results)
        assert sink.deliver([payload]) == sink.deliver([payload]) == 1
        first, second = receiver.posts
        assert first.document == [json.loads(line) for line in json_lines(results, SENSORS).splitlines()]
        assert first.key == second.key
        sink.deliver([sink.encode(results.take(slice(0, 1)))])
        assert receiver.posts[2].key != first.key
        assert len(receiver.documents[2]) == 1

    def test_a_long_block_arrives_in_parts_with_each_row_once(
        self, receiver: Receiver, bundle: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sink = sink_of("webhook", url=receiver.url, takes=["rows"])
        results = some_results(bundle)
        payload = sink.encode(results)
        rows = json.loads(payload)
        for most in (1, len(payload) // 3, len(payload) - 1, len(payload)):
            monkeypatch.setattr(webhook, "MAX_POST_BYTES", most)
            receiver.posts.clear()
            assert sink.deliver([payload]) == 1
            assert [row for part in receiver.documents for row in part] == rows
            longest = max(len(json.dumps(row, separators=(",", ":"))) for row in rows)
            assert all(len(post.body) <= max(most, longest + 2) for post in receiver.posts)
            assert (len(receiver.posts) == 1) is (most == len(payload))

    def test_rows_and_alarms_may_go_to_the_same_place(self, receiver: Receiver, bundle: Path) -> None:
        sink = sink_of("webhook", url=receiver.url, takes=["rows", "alarms"], body='{"text": "{title}"}')
        assert sink.deliver([sink.encode(some_results(bundle)), *entries(sink, 1)]) == 2
        rows, alarm = receiver.documents
        assert len(rows) == 6
        assert alarm == {"text": "press-1: high priority alarm raised"}


def test_by_way_of_the_ledger_what_waited_arrives_and_what_is_refused_is_put_aside(
    receiver: Receiver, tmp_path: Path
) -> None:
    ledger, said = Ledger(tmp_path / "ledger.sqlite", "none"), list[str]()
    sink = sink_of("webhook", url=receiver.url)
    sender = Sender(sink, ledger, said.append)
    for number in range(1, 8):
        waits = [("webhook", payload, 1) for payload in entries(sink, number)]
        ledger.commit(checkpoint=None, states=[], payloads=waits, counters={})
    receiver.replies = [Reply(503), Reply(), Reply(503), Reply(503)]
    assert sender.drain() is not None  # seconds to wait
    assert ledger.waiting("webhook") == 7
    assert sender.drain() is not None
    assert ledger.waiting("webhook") == 6
    refused = f"{3:016x}-1"

    def refuse(post: Posted) -> None:
        if post.key == refused:
            receiver.replies.insert(0, Reply(422, b"no such machine"))

    receiver.sooner = refuse
    assert sender.drain() is None
    assert ledger.waiting("webhook") == 0
    ledger.close()
    assert list(receiver.taken) == [f"{number:016x}-1" for number in range(1, 8) if number != 3]
    assert sender.refused == 1
    assert [line.partition(": ")[0] for line in said] == ["webhook"] * len(said)
    assert f"webhook: {receiver.url}: it answers 503; it is tried again; results wait in the ledger" in said
    assert "webhook: delivers again" in said
    assert receiver.url in said[-1]


def test_an_entry_that_is_none_is_a_dead_letter_and_takes_no_other_along(receiver: Receiver) -> None:
    sink = sink_of("webhook", url=receiver.url)
    for payload in (b"", b"{", b"{}", b"3", b"\xff", b'{"change":"raised","time":"never"}', b"{" * 100_000):
        with pytest.raises(SinkError, match="what waited in the ledger is no change") as caught:
            sink.deliver([payload, *entries(sink, 1)])
        assert not isinstance(caught.value, SinkUnavailableError)
        assert sink.deliver([*entries(sink, 1), payload]) == 1


def test_a_server_on_another_address_family_is_reached() -> None:
    with receiving() as server:
        sink = sink_of("webhook", url=server.url.replace("127.0.0.1", "localhost"))
        assert sink.deliver(entries(sink, 1)) == 1
        assert server.posts[0].headers["Host"] == f"localhost:{server.server_port}"
