"""Alarms as cards in a channel of Microsoft Teams, by a webhook of a Power Automate workflow."""

from __future__ import annotations

import json
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

__all__ = ["TEAMS", "TeamsSettings", "TeamsSink"]

# Teams takes a message of 28 KB; the rest is for the title and what stands around it.
MAX_BYTES = 24_000


@dataclass(frozen=True, slots=True, repr=False)
class TeamsSettings(PeopleSettings):
    """Which workflow."""

    url: str | None = setting(None, "Address of the workflow's webhook, where it is no secret.")
    url_file: Path | None = setting(
        None,
        f"Private file with the address of the workflow's webhook, instead of {variable_of('teams', 'url')}.",
    )
    token_file: Path | None = setting(
        None,
        "Private file with a token to send as Authorization: Bearer, if the workflow wants one, "
        f"instead of {variable_of('teams', 'token')}.",
    )


class TeamsSink(PeopleSink):
    """Posts Adaptive Cards of runs of text, in which Teams looks for no Markdown."""

    name = "teams"

    def document(self, note: Note) -> dict[str, Any]:
        """A card with the title, and a block for each change."""
        lines = note.fitting(MAX_BYTES, lambda line: len(json.dumps(_block(line))))
        colour = "Good"
        if note.open:
            colour = "Attention" if note.is_urgent else "Warning"
        title = _block(note.title, weight="Bolder", size="Medium", color=colour)
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "msteams": {"width": "Full"},
            "body": [title, *map(_block, lines)],
        }
        attachment = {
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": None,
            "content": card,
        }
        return {"type": "message", "attachments": [attachment]}


def _block(text: str, **looks: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **looks}]}


def _make(given: Given, _: Verdicts) -> TeamsSink:
    return TeamsSink(given[TeamsSettings], given[TlsSettings])


TEAMS = SinkKind(
    name="teams",
    summary="Posts alarms to a channel of Microsoft Teams, by a workflow's webhook.",
    guarantee="At least once: a message whose answer is lost comes again, with the same Idempotency-Key.",
    tables={"teams": TeamsSettings, "tls": TlsSettings},
    make=_make,
    takes=(ALARMS,),
    settings=TeamsSettings,
    tells="people",
)
