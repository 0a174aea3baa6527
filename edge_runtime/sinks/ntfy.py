"""Alarms as push messages of an ntfy server, published as JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.config import setting
from edge_runtime.engine.alarms import HIGH, LOW, MEDIUM
from edge_runtime.errors import UsageError
from edge_runtime.sinks.base import ALARMS, SinkKind, Verdicts
from edge_runtime.sinks.posting.people import Note, PeopleSettings, PeopleSink
from edge_runtime.sinks.posting.target import Target, variable_of
from edge_runtime.tls import TlsSettings

if TYPE_CHECKING:
    from edge_runtime.connector import Given

__all__ = ["NTFY", "NtfySettings", "NtfySink"]

TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}", re.ASCII)
# A message that is longer, in bytes of UTF-8, becomes an attachment.
MAX_BYTES = 4000
# Of 1 to 5: the most urgent ones ring through a phone's silence.
PRIORITIES = {LOW: 2, MEDIUM: 3, HIGH: 5}
CALM = 2


@dataclass(frozen=True, slots=True, repr=False)
class NtfySettings(PeopleSettings):
    """Which topic of which server."""

    url: str | None = setting(
        None, "Address of the topic, such as https://ntfy.example.org/plant-1, without a login."
    )
    url_file: Path | None = setting(
        None,
        "Private file with that address, where the topic is a secret, "
        f"instead of {variable_of('ntfy', 'url')}.",
    )
    token_file: Path | None = setting(
        None,
        f"Private file with an access token of the server, instead of {variable_of('ntfy', 'token')}.",
    )


class NtfySink(PeopleSink):
    """Publishes to the server's root, as its API wants JSON; the topic is the last part of the address."""

    name = "ntfy"

    def document(self, note: Note) -> dict[str, Any]:
        """A message with a priority and a pictogram."""
        lines = note.fitting(MAX_BYTES, lambda line: len(line.encode()))
        picture = "white_check_mark"
        if note.open:
            picture = "rotating_light" if note.is_urgent else "warning"
        return {
            "topic": _divided(self._target)[1],
            "title": note.title,
            "message": "\n".join(lines),
            "priority": PRIORITIES[note.priority] if note.open else CALM,
            "tags": [picture],
        }

    def _check_target(self, target: Target) -> None:
        if "?" in target.path or not TOPIC.fullmatch(_divided(target)[1]):
            raise UsageError(
                "the address of ntfy does not end with a topic",
                where="[ntfy]",
                hint="write for instance https://ntfy.example.org/plant-1",
            )

    def _path(self, target: Target) -> str:
        return _divided(target)[0]


def _divided(target: Target) -> tuple[str, str]:
    """The server's root, and the topic."""
    root, _, topic = target.path.rstrip("/").rpartition("/")
    return f"{root}/", topic


def _make(given: Given, _: Verdicts) -> NtfySink:
    return NtfySink(given[NtfySettings], given[TlsSettings])


NTFY = SinkKind(
    name="ntfy",
    summary="Sends alarms to phones, by a topic of an ntfy server.",
    guarantee="At least once: a message whose answer is lost comes again, with the same Idempotency-Key.",
    tables={"ntfy": NtfySettings, "tls": TlsSettings},
    make=_make,
    takes=(ALARMS,),
    settings=NtfySettings,
    tells="people",
)
