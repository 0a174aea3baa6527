"""Alarms as messages in a channel of Slack, or of another service that takes Slack's incoming webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.config import setting
from edge_runtime.sinks.base import ALARMS, SinkKind, Verdicts
from edge_runtime.sinks.posting.people import Note, PeopleSettings, PeopleSink
from edge_runtime.sinks.posting.target import variable_of
from edge_runtime.tls import TlsSettings

if TYPE_CHECKING:
    from edge_runtime.connector import Given

__all__ = ["SLACK", "SlackSettings", "SlackSink"]

# Slack asks for texts of up to 4,000 letters; the title is one line more.
MAX_LETTERS = 3600
ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True, repr=False)
class SlackSettings(PeopleSettings):
    """Which incoming webhook."""

    url: str | None = setting(
        None, "Address of the incoming webhook, where it is no secret; that of Slack is one."
    )
    url_file: Path | None = setting(
        None,
        f"Private file with the address of the incoming webhook, instead of {variable_of('slack', 'url')}.",
    )
    token_file: Path | None = setting(
        None,
        "Private file with a token to send as Authorization: Bearer, which Slack does without, "
        f"instead of {variable_of('slack', 'token')}.",
    )


class SlackSink(PeopleSink):
    """Posts texts, in which names and comments neither link nor call anybody."""

    name = "slack"

    def document(self, note: Note) -> dict[str, Any]:
        """The title in bold type, and a line for each change."""
        lines = [_escaped(line) for line in note.fitting(MAX_LETTERS, lambda line: len(_escaped(line)))]
        return {"text": "\n".join([f"*{_escaped(note.title)}*", *lines])}


def _escaped(text: str) -> str:
    return text.translate(ESCAPED)


def _make(given: Given, _: Verdicts) -> SlackSink:
    return SlackSink(given[SlackSettings], given[TlsSettings])


SLACK = SinkKind(
    name="slack",
    summary="Posts alarms to a channel of Slack, or of a service that takes Slack's webhooks.",
    guarantee="At least once: a message whose answer is lost comes again, with the same Idempotency-Key.",
    tables={"slack": SlackSettings, "tls": TlsSettings},
    make=_make,
    takes=(ALARMS,),
    settings=SlackSettings,
    tells="people",
)
