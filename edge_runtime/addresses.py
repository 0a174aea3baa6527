"""Addresses of servers: when two are the same, and who answers at one."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from urllib.parse import urlsplit

__all__ = ["HTTP", "MQTT", "PORTS", "TLS", "identity", "same_server", "who_answers"]

PORTS = {"http": 80, "https": 443, "mqtt": 1883, "mqtts": 8883}
THIS_MACHINE = ("localhost", "::1", "0.0.0.0")  # noqa: S104 - nothing is bound to it
HTTP, MQTT, TLS = "an HTTP server", "an MQTT broker", "a server that talks TLS"
ANSWER_WITHIN_S = 3.0
# An MQTT 3.1.1 CONNECT for a session that ends with the connection; HTTP servers answer it with an error.
CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x05\x00\x00"
CONNACK = 0x20
TLS_RECORDS = (0x15, 0x16)
TLS_MAJOR = 0x03
GET = b"GET / HTTP/1.0\r\n\r\n"


def same_server(url: str) -> str:
    """An address as it is compared: what names this machine is one name, and the port is written out."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return url
    if host in THIS_MACHINE or host.startswith("127."):
        host = "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def identity(kind: str, url: str, **parts: str | None) -> str:
    """What is read, as one line that no other feed has: the server, and what of it."""
    words = [f"{name}={json.dumps(part, ensure_ascii=False)}" for name, part in parts.items() if part]
    return " ".join([kind, same_server(url), *words])


def who_answers(host: str, port: int) -> str | None:
    """What kind of server it is; None where none answers, or with something else."""
    for question in (CONNECT, GET, None):
        answer = _ask(host, port, _client_hello() if question is None else question)
        if answer.startswith(b"HTTP/"):
            return HTTP
        if answer[:1] == bytes([CONNACK]):
            return MQTT
        if len(answer) > 1 and answer[0] in TLS_RECORDS and answer[1] == TLS_MAJOR:
            return TLS
    return None


def _client_hello() -> bytes:
    """How TLS begins: many a server of it hangs up without a word on whatever begins otherwise."""
    import ssl  # noqa: PLC0415 - slow, and asked last

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def _ask(host: str, port: int, question: bytes) -> bytes:
    with (
        suppress(OSError),
        socket.create_connection((host, port), ANSWER_WITHIN_S) as connection,
    ):
        connection.settimeout(ANSWER_WITHIN_S)
        connection.sendall(question)
        return connection.recv(64)
    return b""
