"""A mail as a server gets it: addresses, header lines that nobody can add to, and a text."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.charset import QP, Charset
from email.generator import BytesGenerator
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.mime.base import MIMEBase

    from edge_runtime.engine.alarms import Change
    from edge_runtime.sinks.mailing.text import Letter

__all__ = ["Address", "message"]

WRITTEN = re.compile(r"(?:(?P<name>[^<>]*)<(?P<inner>[^<>]*)>|(?P<bare>[^<>]*))")
# What a local part and a domain have; of other alphabets, letters and digits.
LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*")
LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
DOMAIN = re.compile(rf"{LABEL}(?:\.{LABEL})*")
MAX_LOCAL, MAX_DOMAIN, MAX_NAME = 64, 255, 100
LINE = "\r\n"
# How an encoded word begins: what is no such word must not be taken for one.
ENCODED = "=?"
URGENT = {"Importance": "high", "X-Priority": "1"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a mail goes to, or comes from.

    Attributes:
        name: What is shown; empty for none.
        local: Before the "@".
        domain: After it, in the letters that name servers know.
    """

    name: str
    local: str
    domain: str

    @classmethod
    def of(cls, text: str, where: str) -> Address:
        """An address as a person writes it: "ada@plant.example" or "Ada <ada@plant.example>".

        Raises:
            UsageError: It is none.
        """
        text = text.strip()
        found = WRITTEN.fullmatch(text) if text.isprintable() else None
        written = (found and (found["bare"] if found["inner"] is None else found["inner"])) or ""
        name = ((found and found["name"]) or "").strip().strip('"')
        local, _, domain = written.strip().partition("@")
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            domain = ""
        fits = LOCAL.fullmatch(local) and DOMAIN.fullmatch(domain)
        if not fits or len(local) > MAX_LOCAL or len(domain) > MAX_DOMAIN:
            raise UsageError(
                f"'{printable(text)}' is not the address of a mailbox",
                where=where,
                hint='write for instance "ada@plant.example" or "Ada <ada@plant.example>"',
            )
        return cls(name[:MAX_NAME], local, domain)

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def needs_utf8(self) -> bool:
        """Whether only a server that knows SMTPUTF8 takes it."""
        return not self.local.isascii()

    def shown(self) -> str:
        """As a header has it."""
        if not self.name:
            return str(self)
        if self.name.isascii() and ENCODED not in self.name:
            quoted = self.name.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{quoted}" <{self}>'
        return f"{_encoded(self.name, 'From')} <{self}>"


def message(
    letter: Letter,
    changes: Sequence[Change],
    sender: Address,
    recipients: Sequence[Address],
    *,
    attached: bool,
) -> bytes:
    """A mail.

    Its Message-ID follows from the changes that it is about, so that one that comes again can be told. An
    alarm's first mail has an id that its later ones refer to, and mail programs show them as a thread.

    Args:
        letter: What it says.
        changes: What it is about; at least one.
        sender: From whom.
        recipients: To whom.
        attached: Whether the changes are in it once more, as JSON.
    """
    events = list(dict.fromkeys(change.fields["event_id"] for change in changes))
    headers = {
        "From": sender.shown(),
        "To": f",{LINE} ".join(address.shown() for address in recipients),
        "Subject": _encoded(letter.subject, "Subject"),
        "Date": format_datetime(datetime.now(UTC)),
        "Message-ID": f"<{_identity(changes)}@{sender.domain}>",
    }
    if len(events) == 1 and _identity(changes) != events[0]:
        headers |= dict.fromkeys(("In-Reply-To", "References"), f"<{events[0]}@{sender.domain}>")
    # No program answers it, and no mailing list sends it round in circles.
    headers |= {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}
    headers |= URGENT if letter.urgent else {}
    if len(changes) == 1:
        headers |= {
            "X-Edge-Detect-Event": events[0],
            "X-Edge-Detect-Revision": str(changes[0].fields["revision"]),
        }
    head = "".join(f"{name}: {value}{LINE}" for name, value in headers.items())
    return head.encode() + _body(letter, changes, attached=attached)


def _identity(changes: Sequence[Change]) -> str:
    """What tells a mail from every other."""
    ids = []
    for change in changes:
        event, what = change.fields["event_id"], f"{change.change} {change.time}"
        first = change.change == "raised"
        ids.append(event if first else f"{event}.{change.fields['revision']}.{_digest(what)[:8]}")
    return ids[0] if len(ids) == 1 else f"digest.{_digest(' '.join(ids))[:32]}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _encoded(text: str, header: str) -> str:
    """A text as the value of a header, in as many lines as it needs; it has no line's end in it."""
    plain = text.isascii() and ENCODED not in text
    return Header(text, "us-ascii" if plain else "utf-8", header_name=header).encode(linesep=LINE)


def _body(letter: Letter, changes: Sequence[Change], *, attached: bool) -> bytes:
    """The text, and what is attached, with the headers that describe them."""
    charset = Charset("utf-8")
    charset.body_encoding = QP  # no line is too long, and most of it can be read as it is
    part: MIMEBase = MIMEText(letter.text, "plain", charset)  # type: ignore[arg-type]
    if attached:
        document = json.dumps([change.to_dict() for change in changes], indent=1)  # with ASCII letters alone
        file = MIMEText(document, "plain", charset)  # type: ignore[arg-type]
        file.set_type("application/json")
        file.add_header("Content-Disposition", "attachment", filename="alarms.json")
        boundary = f"edge-detect-{_digest(document)[:32]}"
        part = MIMEMultipart("mixed", boundary=boundary, _subparts=[part, file])
    out = io.BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=compat32.clone(linesep=LINE)).flatten(part)
    return out.getvalue()
