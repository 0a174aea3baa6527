"""Those who are told: a web server, a mail server, and somebody who listens at an MQTT broker."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from aiosmtpd.controller import Controller
from influxd import free_ports
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from email.message import EmailMessage

__all__ = ["Listener", "MailServer", "WebServer"]

WITHIN_S = 120.0


class WebServer:
    """Takes posts within a `with` block, each under the path that it was posted to.

    Attributes:
        posts: Path to the key and the document of each post, in their order.
        url: Of the server.
    """

    def __init__(self) -> None:
        self.posts: dict[str, list[tuple[str, Any]]] = defaultdict(list)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posts[self.path].append((self.headers["Idempotency-Key"], json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Who posts may be killed in the middle of it."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class MailServer:
    """Takes mail within a `with` block, each under its first recipient.

    Attributes:
        mails: Recipient to messages, in their order.
        port: Of the server.
    """

    def __init__(self) -> None:
        self.mails: dict[str, list[EmailMessage]] = defaultdict(list)
        self.port = free_ports(1)[0]
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        """Keeps a mail."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails[envelope.rcpt_tos[0]].append(message)
        return "250 taken"


class Listener:
    """Subscribes to topics within a `with` block.

    Args:
        port: The broker's, on loopback.
        topic: Which topics.

    Attributes:
        messages: Topic, payload and whether it was retained, in the order in which they came.
    """

    def __init__(self, port: int, topic: str) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._port, self._topic, self._subscribed = port, topic, threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda *given: self._keep(given[2])
        self._client.on_subscribe = lambda *_: self._subscribed.set()

    def _keep(self, message: Any) -> None:
        self.messages.append((message.topic, message.payload, bool(message.retain)))

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self._client.subscribe(self._topic, qos=1)
        assert self._subscribed.wait(WITHIN_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
