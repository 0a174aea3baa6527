"""What a mail about alarms says and is made of, and what its settings may be."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.alarmtargets import some_changes
from support.targets import DIGEST, SENSORS

from edge_runtime.config import flat
from edge_runtime.connector import Given
from edge_runtime.errors import SinkError, UsageError
from edge_runtime.sinks.base import Verdicts
from edge_runtime.sinks.mail import EMAIL
from edge_runtime.sinks.mailing.message import Address, message
from edge_runtime.sinks.mailing.text import Gateway, about_many, about_one

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.message import EmailMessage

    from edge_runtime.engine.alarms import Change
    from edge_runtime.sinks.mailing.text import Letter

SOME = some_changes()
RAISED = SOME[0]
GATEWAY = Gateway("edge-7", Path("/var/lib/edge detect/ledger.sqlite"))
PREFIX = "[edge-detect]"
SENDER = Address.of("edge@plant.example", "sender")
ADA = Address.of("Ada <ada@plant.example>", "to")
HEADERS = [
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress"),
    *("Importance", "X-Priority", "X-Edge-Detect-Event", "X-Edge-Detect-Revision"),
    *("Content-Type", "MIME-Version", "Content-Transfer-Encoding"),
]


def changed(change: Change = RAISED, what: str | None = None, **fields: Any) -> Change:
    """The same with other fields."""
    return replace(change, change=what or change.change, fields={**change.fields, **fields})


def parsed(letter: Letter, changes: Sequence[Change]) -> EmailMessage:
    """The mail as a mail program reads it."""
    raw = message(letter, changes, SENDER, [ADA], attached=False)
    assert raw.isascii()
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert raw.count(b"\n") == raw.count(b"\r") == raw.count(b"\r\n")
    return email.message_from_bytes(raw, policy=email.policy.default)


def body(mail: EmailMessage) -> str:
    content: str = mail.get_content()
    return content.replace("\r\n", "\n")


ANY = st.text(st.characters(exclude_categories=()), max_size=40)
ODD = st.text('ab:,;<>@=?_ \\"\n\r\t\0\x85\u2028\u202e\udc80é漢🙂.', max_size=40)
WORDS = st.sampled_from(
    ["x\nBcc: eve@x", "=?utf-8?q?a=0ABcc=3Aeve?=", "a" * 300, "é" * 300, ".", "From x", "\r\n.\r\n", "", " "]
)
TEXTS = ANY | ODD | WORDS


@settings(max_examples=250, deadline=None)
@given(machine=TEXTS, subject=TEXTS, comment=TEXTS, sensor=TEXTS, prefix=TEXTS)
@example(machine="=?utf-8?q?Bcc:?=", subject="", comment=".\n..\n", sensor="", prefix="[é]")
def test_whatever_a_name_or_comment_is_a_mail_says_it_and_has_no_header_more(
    machine: str, subject: str, comment: str, sensor: str, prefix: str
) -> None:
    sensors = [{"name": sensor, "share": 0.5, "actual": 1.5, "expected": None, "unit": comment}]
    change = changed(machine_id=machine, subject=subject, comment=comment, sensors=sensors)
    other = changed(event_id="0" * 16)
    for letter, changes in (
        (about_one(change, GATEWAY, prefix), [change]),
        (about_many([change, other], GATEWAY, prefix), [change, other]),
    ):
        assert all(line.isprintable() for line in (letter.subject, *letter.text.split("\n")))
        assert len(letter.subject) <= 180
        mail = parsed(letter, changes)
        assert mail["Subject"] == letter.subject
        assert body(mail) == letter.text
        assert not mail.defects
        assert not [one for value in mail.values() for one in value.defects]
        wanted = [name for name in HEADERS if len(changes) == 1 or not name.startswith("X-Edge")]
        assert mail.keys() == wanted
    assert change.fields["event_id"] in letter.text


class TestText:
    """What a person reads."""

    @pytest.mark.parametrize(
        ("change", "subject", "words"),
        [
            (
                changed(),
                "alarm raised, vibration 3.9557 mm/s (expected 1.3261)",
                "alarms ack e1ca427dd2aedc41",
            ),
            (
                changed(what="again"),
                "alarm is still not acknowledged, vibration",
                "nobody has acknowledged it",
            ),
            (changed(what="priority", revision=3), "alarm has a higher priority now", "--revision 3 "),
            (changed(what="unshelved"), "alarm is no longer shelved", "It is told again"),
            (
                changed(what="returned", active=False, returned="2026-09-21T14:15:12Z"),
                "alarm has returned to normal",
                "It is over, but nobody has acknowledged it.",
            ),
            (changed(what="new in 2030"), "alarm new in 2030", "state          active, not acknowledged"),
            (changed(shelved_until="2026-09-22T00:00:00Z"), "raised", "shelved until  2026-09-22T00:00:00Z"),
            (changed(out_of_service=True), "raised", "active, not acknowledged, out of service"),
            (changed(comment="one\ntwo"), "raised", "comment        one\n               two\n"),
        ],
    )
    def test_a_change_is_said_as_a_person_understands_it(
        self, change: Change, subject: str, words: str
    ) -> None:
        letter = about_one(change, GATEWAY, PREFIX)
        assert letter.subject.startswith(f"{PREFIX} HIGH press-1: ")
        assert subject in letter.subject
        assert words in letter.text
        assert letter.text.endswith("\n")

    def test_commands_name_the_ledger_as_a_shell_takes_it(self) -> None:
        letter = about_one(RAISED, GATEWAY, PREFIX)
        assert " --revision 1 --state '/var/lib/edge detect/ledger.sqlite'\n" in letter.text

    @pytest.mark.parametrize(
        "change", [changed(acked=True), changed(what="forgotten", active=False), changed(what="replaced")]
    )
    def test_what_needs_no_acknowledgement_asks_for_none(self, change: Change) -> None:
        assert "alarms ack" not in about_one(change, GATEWAY, PREFIX).text

    @pytest.mark.parametrize(
        ("change", "urgent"),
        [
            (changed(), True),
            (changed(what="again"), True),
            (changed(priority="medium"), False),
            (changed(what="returned"), False),
        ],
    )
    def test_high_priority_is_urgent_until_it_is_over(self, change: Change, *, urgent: bool) -> None:
        assert about_one(change, GATEWAY, PREFIX).urgent is urgent
        assert about_many([change, changed(priority="low")], GATEWAY, PREFIX).urgent is urgent

    def test_a_digest_is_as_urgent_as_what_is_still_open(self) -> None:
        over, other = changed(what="returned", active=False), changed(priority="low", event_id="0" * 16)
        assert about_many([over, RAISED, other], GATEWAY, PREFIX).urgent  # it is raised once more
        letter = about_many([RAISED, over, other], GATEWAY, PREFIX)
        assert not letter.urgent
        assert letter.subject.startswith(f"{PREFIX} 3 changes of alarms")

    def test_of_many_sensors_the_first_is_in_the_subject_and_a_text_has_an_end(self) -> None:
        sensor = RAISED.fields["sensors"][0]
        change = changed(sensors=[{**sensor, "name": f"s{i}"} for i in range(1000)])
        letter = about_one(change, GATEWAY, PREFIX)
        assert letter.subject.endswith("s0 3.9557 mm/s (expected 1.3261) and 999 more sensors")
        assert letter.text.index("- s0 ") < letter.text.index("- s1 ")
        assert "- and 960 more sensors\n" in letter.text

    def test_a_digest_counts_what_happened_and_has_what_is_urgent_first(self) -> None:
        changes = [
            changed(what="returned", machine_id="m1"),
            changed(priority="low", machine_id="m2"),
            changed(what="again", machine_id="m3"),
            changed(machine_id="m4"),
            *[changed(what=what) for what in ("unshelved", "in service", "forgotten")],
        ]
        letter = about_many(changes, GATEWAY, PREFIX)
        assert letter.subject == (
            f"{PREFIX} HIGH 7 changes of alarms at 5 machines: 2 raised, 1 still not acknowledged, "
            "1 no longer shelved, …"
        )
        listed = [line.split(":")[0].split()[-1] for line in letter.text.splitlines() if line[:2] == "- "]
        assert listed == ["m4", "m2", "m3", "press-1", "press-1", "m1", "press-1"]


class TestAddresses:
    """From whom and to whom."""

    @pytest.mark.parametrize(
        ("written", "address", "shown"),
        [
            ("ada@plant.example", "ada@plant.example", "ada@plant.example"),
            (" root@localhost\n", "root@localhost", "root@localhost"),
            ("Ada L <a.b+c@x-y.example>", "a.b+c@x-y.example", '"Ada L" <a.b+c@x-y.example>'),
            ('"L, Ada" <ada@x>', "ada@x", '"L, Ada" <ada@x>'),
            ('A "B" \\C <ada@x>', "ada@x", '"A \\"B\\" \\\\C" <ada@x>'),
            ("Jörg <ada@pläne.example>", "ada@xn--plne-moa.example", None),
            ("=?utf-8?q?Eve?= <ada@x>", "ada@x", None),
        ],
    )
    def test_an_address_is_read_as_people_write_it(
        self, written: str, address: str, shown: str | None
    ) -> None:
        found = Address.of(written, "to")
        assert str(found) == address
        assert shown in (None, found.shown())
        mail = email.message_from_string(f"To: {found.shown()}\n\n", policy=email.policy.default)
        (read,) = mail["To"].addresses
        assert (read.addr_spec, read.display_name) == (address, found.name)

    @pytest.mark.parametrize(
        "written",
        [
            *(
                "",
                "ada",
                "@x",
                "ada@",
                "a@b@c",
                "a b@c",
                "a@b c",
                "a@b, c@d",
                "<a@b",
                "a@b>",
                "a..b@c",
            ),
            *(
                ".a@b",
                "a@-b",
                "a@b..c",
                "a\nBcc: x <a@b>",
                "a@b\r\nRCPT TO:<c@d>",
                "Ada\n <a@b>",
                "a@[1.2.3.4]",
            ),
            *(
                "a@" + "b" * 64,
                "a" * 65 + "@b",
                "a@é" + "b" * 70,
                "a\u202eb@c",
                '"a b"@c',
                "a@\udc80",
                "a;@b",
            ),
        ],
    )
    def test_what_is_none_is_refused(self, written: str) -> None:
        with pytest.raises(UsageError, match=r"to: '.*' is not the address of a mailbox; write for instance"):
            Address.of(written, "to")


class TestSettings:
    """The tables [email] and [tls]."""

    GOOD = {"sender": "edge@plant.example", "to": ["ada@plant.example"], "security": "none"}  # noqa: RUF012

    def made(self, tls: dict[str, str] | None = None, **own: Any) -> Any:
        tables = {"email": flat({**self.GOOD, **own}), "tls": tls or {}}
        return EMAIL.made(
            Given.of(EMAIL, tables, "edge.toml"),
            Verdicts(sensors=SENSORS, digest=DIGEST, report=pytest.fail),
        )

    @pytest.mark.parametrize(
        ("own", "message"),
        [
            ({"sender": ""}, r'\[email\] sender: mails need a sender; such as sender = "edge-detect@'),
            ({"to": []}, r'\[email\] to: mails need recipients; such as to = \["ada@'),
            ({"to": ["ada@x", "ada"]}, r"\[email\] to: 'ada' is not the address"),
            ({"sender": "a@b\nBcc: c@d"}, r"\[email\] sender: 'a@b\?Bcc: c@d' is not"),
            ({"to": [f"a{i}@x" for i in range(101)]}, "more than 100 recipients"),
            ({"host": ""}, r"\[email\] host: '' is not the name of a mail server; write for instance mail"),
            ({"host": "a b"}, "'a b' is not the name of a mail server"),
            ({"host": "smtp://x"}, "'smtp://x' is not the name"),
            ({"port": 0}, "port must be 1 to 65535"),
            ({"security": "ssl"}, "'ssl' is no protection; it is one of: starttls, tls, none"),
            ({"timeout": 0.0}, "timeout must be above 0"),
            ({"at_once": 0}, "at_once must be 1 to 10,000"),
            ({"gather_s": -1.0}, "gather_s must be 0 to an hour"),
            ({"username": "ada"}, "a user without a password; set password_file, or EDGE_DETECT_SMTP_PASS"),
            ({"password_file": "/nowhere"}, "a password without its user; set username"),
            ({"username": "ada", "password_file": "/nowhere"}, "cannot read the secret"),
            ({"only": {"priority": "urgent"}}, "'urgent' is no priority"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_mend(self, own: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            self.made(**own)

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
    def test_a_password_goes_without_tls_to_this_machine_alone(
        self, host: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EDGE_DETECT_SMTP_PASSWORD", "secret")
        self.made(host=host, username="ada")
        with pytest.raises(UsageError, match="as anybody can read it; set security"):
            self.made(host="mail.plant.example", username="ada")
        self.made(host="mail.plant.example")
        self.made(host="mail.plant.example", username="ada", security="starttls")

    def test_certificates_are_read_at_the_start_where_tls_is_used(self, tmp_path: Path) -> None:
        nowhere = {"ca_file": str(tmp_path / "ca.pem")}
        self.made(nowhere)
        with pytest.raises(UsageError, match="cannot read certificates"):
            self.made(nowhere, security="tls")

    @pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
    def test_the_port_follows_from_the_protection(self, security: str, port: int) -> None:
        assert self.made(security=security)._server.port == port
        assert self.made(security=security, port=2525)._server.port == 2525

    def test_a_recipient_is_written_to_once(self) -> None:
        sink = self.made(to=["ada@x", "Ada <ada@x>", "bob@x"])
        assert [str(one) for one in sink._recipients] == ["ada@x", "bob@x"]

    @pytest.mark.parametrize("payload", [b"", b"{}", b"[1]", b"\xff", b'{"time": "x", "change": "raised"}'])
    def test_what_is_no_change_is_refused_for_good(self, payload: bytes) -> None:
        sink = self.made()
        with pytest.raises(SinkError, match="what waited in the ledger is no change of an alarm"):
            sink.deliver([payload])

    def test_an_id_cannot_add_to_a_header(self) -> None:
        sink = self.made()
        with pytest.raises(SinkError, match="what waited in the ledger is no change of an alarm"):
            sink.deliver([sink.encode_alarm(changed(event_id="a>\r\nBcc: eve@x"))])
