"""Alarms as mails, taken by a real server: with and without TLS and logins, one by one and in floods."""

from __future__ import annotations

import json
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from influxd import free_ports
from support.alarmtargets import some_changes
from support.authority import Authority
from support.postbox import LOGIN, PostBox
from support.targets import DIGEST, SENSORS

from edge_runtime.connector import Given
from edge_runtime.delivery.backoff import Backoff
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from edge_runtime.errors import SinkError, SinkUnavailableError
from edge_runtime.sinks.base import ALL_ALARMS, Verdicts
from edge_runtime.sinks.mail import EMAIL, MAX_MAILS, MailSink
from edge_runtime.sinks.outlet import Outlet
from edge_runtime.sinks.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_runtime.engine.alarms import Change

SOME = some_changes()
RAISED, RETURNED = SOME[0], next(one for one in SOME if one.change == "returned")
ADA, BOB = "ada@plant.example", "bob@plant.example"
PASSWORD = "EDGE_DETECT_SMTP_PASSWORD"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS, and the certificate that a client must know."""
    made = Authority(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*made.server)
    return context, made.cert


@pytest.fixture
def box() -> Iterator[PostBox]:
    with PostBox() as box:
        yield box


def sink_of(
    box: PostBox | int, said: list[str] | None = None, ca: Path | None = None, **own: Any
) -> MailSink:
    """A sink that delivers to this server, without TLS unless it is asked for."""
    port = box if isinstance(box, int) else box.port
    email = {"port": port, "security": "none", "sender": "Edge <edge@plant.example>", "to": [ADA], **own}
    tables = {"email": email, "tls": {} if ca is None else {"ca_file": str(ca)}}
    report = pytest.fail if said is None else said.append
    sink = EMAIL.made(
        Given.of(EMAIL, tables, "edge.toml"), Verdicts(sensors=SENSORS, digest=DIGEST, report=report)
    )
    assert isinstance(sink, MailSink)
    return sink


def others(number: int, change: Change = RAISED) -> list[Change]:
    """The same of so many other machines."""
    return [
        replace(
            change,
            time=change.time + i,
            fields={**change.fields, "machine_id": f"m-{i:03d}", "event_id": f"{i:016x}"},
        )
        for i in range(number)
    ]


def deliver(sink: MailSink, changes: Sequence[Change]) -> int:
    return sink.deliver([sink.encode_alarm(change) for change in changes])


def texts(box: PostBox) -> list[str]:
    bodies = [mail.get_body(("plain",)) for mail in box.mails]
    return [body.get_content().replace("\r\n", "\n") for body in bodies if body is not None]


class TestArriving:
    """What is in a mail box in the end."""

    def test_a_change_is_a_mail_that_says_what_and_where_and_what_to_do(self, box: PostBox) -> None:
        sink = sink_of(box, to=[ADA, "Bob <bob@plant.example>"])
        sink.check()
        assert deliver(sink, [RAISED]) == 1
        (mail,) = box.mails
        assert box.envelopes == [("edge@plant.example", [ADA, BOB])]
        assert mail["From"] == "Edge <edge@plant.example>"
        assert mail["To"] == f"{ADA}, Bob <{BOB}>"
        assert mail["Subject"] == (
            "[edge-detect] HIGH press-1: alarm raised, vibration 3.9557 mm/s (expected 1.3261)"
        )
        assert mail["Date"].datetime.tzinfo is not None
        assert (mail["Auto-Submitted"], mail["X-Auto-Response-Suppress"]) == ("auto-generated", "All")
        assert (mail["Importance"], mail["X-Priority"]) == ("high", "1")
        assert mail["X-Edge-Detect-Event"] == RAISED.fields["event_id"]
        assert mail["X-Edge-Detect-Revision"] == "1"
        (text,) = texts(box)
        assert "since          2026-09-21T14:15:00Z\n" in text
        assert "- vibration 3.9557 mm/s (expected 1.3261), 86% of the score\n" in text
        command = f"edge-detect alarms ack {RAISED.fields['event_id']} --revision 1 --state ledger.sqlite"
        assert command in text

    def test_an_alarm_is_a_thread_of_mails_and_each_has_the_same_id_when_it_comes_again(
        self, box: PostBox
    ) -> None:
        sink = sink_of(box, at_once=100)
        raised = replace(RAISED, fields={**RETURNED.fields, "revision": 1})
        assert deliver(sink, [raised, RETURNED]) == 2
        assert deliver(sink_of(box), [raised, RETURNED]) == 2  # as after a crash
        first, second, *again = box.mails
        assert [mail["Message-ID"] for mail in again] == [first["Message-ID"], second["Message-ID"]]
        assert first["Message-ID"] == f"<{raised.fields['event_id']}@plant.example>"
        assert first["References"] is None
        assert second["Message-ID"].startswith(f"<{raised.fields['event_id']}.2.")
        assert second["In-Reply-To"] == second["References"] == first["Message-ID"]
        assert second["Importance"] is None  # it is over

    def test_changes_can_be_attached_for_programs(self, box: PostBox) -> None:
        sink = sink_of(box, attach=True, at_once=1)
        deliver(sink, [RAISED])
        deliver(sink, SOME)
        documents = [json.loads(next(mail.iter_attachments()).get_content()) for mail in box.mails]
        assert documents == [[RAISED.to_dict()], [change.to_dict() for change in SOME]]
        assert "HIGH press-1: alarm raised" in texts(box)[0]

    @pytest.mark.parametrize("smtputf8", [True, False])
    def test_an_address_of_other_letters_needs_a_server_that_takes_them(self, smtputf8: bool) -> None:  # noqa: FBT001
        with PostBox(enable_SMTPUTF8=smtputf8) as box:
            sink = sink_of(box, to=["Jörg <jörg@pläne.example>"])
            sink.check()
            if not smtputf8:
                with pytest.raises(SinkUnavailableError, match="takes only addresses of ASCII letters"):
                    deliver(sink, [RAISED])
                return
            assert deliver(sink, [RAISED]) == 1
        assert box.envelopes == [("edge@plant.example", ["jörg@xn--plne-moa.example"])]
        assert "jörg@xn--plne-moa.example".encode() in box.raw[0]


class TestFloods:
    """More changes than anybody reads one by one."""

    def test_a_few_are_mails_of_their_own_and_more_are_one_about_all(self, box: PostBox) -> None:
        sink = sink_of(box, at_once=3)
        now = 0.0
        sink.pace = Pace(3, 60.0, lambda: now)
        assert deliver(sink, others(2)) == 2
        assert deliver(sink, others(2)) == 2  # one of them would have been one too many
        assert deliver(sink, others(1)) == 1  # nothing is left: it counts as a gathered one
        now = 59.0
        assert deliver(sink, others(2)) == 2
        now = 59.0 + 180.0
        assert deliver(sink, others(5)) == 5
        assert deliver(sink, others(2)) == 2  # one about all leaves nothing, however much was left before
        now = 59.0 + 180.0 + 120.0
        assert deliver(sink, others(2)) == 2
        about = [mail["Subject"].split()[1:4] for mail in box.mails]
        alone, two, five = ["HIGH", "m-000:", "alarm"], ["HIGH", "2", "changes"], ["HIGH", "5", "changes"]
        assert [one if one != ["HIGH", "m-001:", "alarm"] else alone for one in about] == [
            *(alone, alone, two, alone, two, five, two, alone, alone)
        ]
        assert box.connections == 7

    def test_a_digest_lists_every_change_with_what_asks_for_somebody_first(self, box: PostBox) -> None:
        changes = [*others(180, RETURNED), *others(320)]
        changes[0] = replace(changes[0], fields={**changes[0].fields, "event_id": "f" * 16})
        sink = sink_of(box)
        assert deliver(sink, changes) == 500
        (mail,), (text,) = box.mails, texts(box)
        assert mail["Subject"] == (
            "[edge-detect] HIGH 500 changes of alarms at 320 machines: 320 raised, 180 returned to normal"
        )
        assert mail["Importance"] == "high"
        lines = [line for line in text.splitlines() if line.startswith("- ")]
        assert len(lines) == 500
        assert lines[0].startswith("- 0000000000000000 HIGH m-000: vibration 3.9557 mm/s")
        assert lines[320].startswith(f"- {'f' * 16} MEDIUM m-000: ")
        assert text.index("320 raised:") < text.index("180 returned to normal:") < text.index("What to do")
        assert deliver(sink_of(box), changes) == 500
        assert box.mails[1]["Message-ID"] == mail["Message-ID"]
        assert deliver(sink_of(box), changes[1:]) == 499
        assert box.mails[2]["Message-ID"] != mail["Message-ID"]

    def test_only_so_many_mails_go_over_one_connection(self, box: PostBox) -> None:
        sink = sink_of(box, at_once=100)
        assert deliver(sink, others(30)) == MAX_MAILS
        assert len(box.mails) == MAX_MAILS
        assert box.connections == 1


class TestSecurity:
    """TLS and logins."""

    def test_starttls_with_a_login_out_of_a_private_file(
        self, authority: tuple[ssl.SSLContext, Path], tmp_path: Path
    ) -> None:
        secret = tmp_path / "password"
        secret.write_text(f"{LOGIN[1]}\n")
        secret.chmod(0o600)
        with PostBox(starttls=authority[0], logins=True) as box:
            sink = sink_of(
                box, ca=authority[1], security="starttls", username=LOGIN[0], password_file=str(secret)
            )
            sink.check()
            assert not box.mails
            deliver(sink, [RAISED])
            secret.write_text("another")  # which is taken up without a restart
            with pytest.raises(SinkUnavailableError, match="refuses the login"):
                deliver(sink, [RAISED])
            secret.chmod(0o644)  # for now as well: it is mended without a start, and no alarm is lost
            with pytest.raises(SinkUnavailableError, match="others may read this secret; chmod 600"):
                deliver(sink, [RAISED])
        assert (len(box.mails), box.logged_in) == (1, [b"edge"] * 3)

    @pytest.mark.filterwarnings("ignore:Requiring AUTH")  # aiosmtpd does not know that TLS is before it
    @pytest.mark.parametrize("exclude", [(), ("PLAIN",)])
    def test_tls_from_the_start_with_either_kind_of_login(
        self,
        authority: tuple[ssl.SSLContext, Path],
        monkeypatch: pytest.MonkeyPatch,
        exclude: tuple[str, ...],
    ) -> None:
        monkeypatch.setenv(PASSWORD, LOGIN[1])
        with PostBox(
            tls=authority[0], logins=True, auth_require_tls=False, auth_exclude_mechanism=exclude
        ) as box:
            deliver(sink_of(box, ca=authority[1], security="tls", username=LOGIN[0]), [RAISED])
        assert (len(box.mails), box.logged_in) == (1, [b"edge"])

    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_a_certificate_that_nobody_vouches_for_is_refused_with_the_mend(
        self, authority: tuple[ssl.SSLContext, Path], security: str
    ) -> None:
        tls = authority[0]
        with PostBox(tls=tls) if security == "tls" else PostBox(starttls=tls) as box:
            with pytest.raises(SinkUnavailableError, match=r"not trusted.*set ca_file in \[tls\]"):
                sink_of(box, security=security).check()
            with pytest.raises(SinkUnavailableError, match="mismatch.*host to a name that it is for"):
                sink_of(box, ca=authority[1], security=security, host="localhost").check()
            sink_of(box, ca=authority[1], security=security).check()

    def test_a_server_without_tls_gets_neither_login_nor_mail(
        self, box: PostBox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(PASSWORD, LOGIN[1])
        with pytest.raises(SinkUnavailableError, match="offers no STARTTLS; check port"):
            deliver(sink_of(box, security="starttls", username=LOGIN[0]), [RAISED])
        with pytest.raises(SinkUnavailableError, match="TLS: .*check security"):
            deliver(sink_of(box, security="tls", username=LOGIN[0]), [RAISED])
        assert not box.logged_in
        assert not box.mails

    def test_a_wrong_password_is_nowhere_in_what_is_said(
        self, authority: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(PASSWORD, "wr0ng-secret")
        with PostBox(starttls=authority[0], logins=True) as box:
            box.answers["AUTH"] = "535 5.7.8 (wr0ng-secret) is not the password"
            sink = sink_of(box, ca=authority[1], security="starttls", username=LOGIN[0])
            with pytest.raises(SinkUnavailableError) as caught:
                sink.check()
        assert "refuses the login (535 5.7.8 (…) is not the password); check username" in str(caught.value)
        assert "wr0ng" not in f"{caught.value!r} {sink._server!r} {vars(sink)}"

    def test_a_login_that_is_not_offered_and_one_that_is_missing(
        self, box: PostBox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(PASSWORD, LOGIN[1])
        with pytest.raises(SinkUnavailableError, match=r"offers no login by password.*\(none\)"):
            sink_of(box, username=LOGIN[0]).check()
        box.answers["MAIL"] = "530 5.7.0 authentication required"
        with pytest.raises(SinkUnavailableError, match="530.*; set username and password_file"):
            deliver(sink_of(box), [RAISED])


class TestRefusals:
    """What a server says instead of 250."""

    @pytest.mark.parametrize(
        ("command", "answer", "message"),
        [
            ("EHLO", "550 go away", r"does not greet \(550 go away\)"),
            ("MAIL", "451 busy", r"refuses mails from edge@plant.example \(451 busy\); it is tried again"),
            ("MAIL", "553 not yours", r"553 not yours\); check sender in \[email\]"),
            (ADA, "550 no such user", rf"every recipient, such as {ADA} \(550 no such user\); check to in"),
            (ADA, "451 greylisted", r"every recipient, .*451 greylisted"),
            (ADA, "421 closing", r"ends the session \(421 closing\)"),
            ("DATA", "451 scanner is away", r"does not take the mail now \(451 scanner is away\)"),
            ("DATA", "530 login first", "wants a login.*set username and password_file"),
            ("DATA", "554 5.2.252 SendAsDenied; no", "refuses the sender.*check sender"),
        ],
    )
    def test_what_may_be_mended_is_tried_again(
        self, box: PostBox, command: str, answer: str, message: str
    ) -> None:
        box.answers[command] = answer
        sink = sink_of(box)
        with pytest.raises(SinkUnavailableError, match=message):
            deliver(sink, [RAISED])
        box.answers.clear()
        assert deliver(sink, [RAISED]) == 1

    @pytest.mark.parametrize(
        ("command", "answer"),
        [("DATA", "554 5.7.1 looks like spam"), ("DATA", "552 too large"), ("MAIL", "552 too large")],
    )
    def test_a_mail_that_is_refused_for_good_is_not_tried_again(
        self, box: PostBox, command: str, answer: str
    ) -> None:
        box.answers[command] = answer
        with pytest.raises(SinkError, match=rf"refuses the mail \({answer}\)") as caught:
            deliver(sink_of(box), [RAISED])
        assert not isinstance(caught.value, SinkUnavailableError)

    def test_a_mail_that_is_too_large_is_not_sent_and_smaller_ones_are(self) -> None:
        with PostBox(data_size_limit=6000) as box:
            with pytest.raises(SinkError, match="takes 6,000 bytes, and the mail has ") as caught:
                deliver(sink_of(box), others(100))
            assert not isinstance(caught.value, SinkUnavailableError)
            assert deliver(sink_of(box), others(20)) == 20
        assert len(box.mails) == 1

    def test_a_recipient_that_is_refused_is_said_once_and_the_others_get_mails(self, box: PostBox) -> None:
        box.answers[BOB] = "550 5.1.1 no such user"
        said: list[str] = []
        sink = sink_of(box, said, to=[ADA, BOB, "cyn@plant.example"])
        assert deliver(sink, others(3)) == 3
        assert [to for _, to in box.envelopes] == [[ADA, "cyn@plant.example"]] * 3
        what = f"refuses {BOB} (550 5.1.1 no such user); mails go to the others alone"
        assert said == [f"email: mail server 127.0.0.1:{box.port}: {what}"]
        del box.answers[BOB]
        deliver(sink, others(1))
        box.answers[BOB] = "452 4.2.2 mailbox full"
        deliver(sink, others(1))
        assert [line.partition("(")[2][:3] for line in said] == ["550", "452"]

    def test_what_went_out_before_a_refusal_counts(self, box: PostBox) -> None:
        changes = others(4)
        box.answers["[edge-detect] HIGH m-002: alarm raised, vibration 3.9557 mm/s (expected 1.3261)"] = (
            "451 no"
        )
        sink = sink_of(box)
        assert deliver(sink, changes) == 2
        with pytest.raises(SinkUnavailableError):
            deliver(sink, changes[2:])
        box.answers.clear()
        assert deliver(sink, changes[2:]) == 2
        assert [mail["X-Edge-Detect-Event"][-1] for mail in box.mails] == list("0123")


class TestLedger:
    """By way of the ledger, as `run` does it."""

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Iterator[Ledger]:
        ledger = Ledger(tmp_path / "ledger.sqlite", "none")
        yield ledger
        ledger.close()

    @staticmethod
    def commit(ledger: Ledger, sender: Sender, changes: Sequence[Change]) -> None:
        found = sender.outlet.entries(None, changes, lambda _machine: [])
        payloads = [(EMAIL.name, *entry) for entry in found]
        ledger.commit(checkpoint=None, states=[], payloads=payloads, counters={})

    @staticmethod
    def sender_of(sink: MailSink, ledger: Ledger, said: list[str]) -> Sender:
        outlet = Outlet(sink, EMAIL.takes, ALL_ALARMS, EMAIL.tells)
        return Sender(outlet, ledger, said.append, backoff=Backoff(0.01, 0.01))

    def test_what_a_person_has_to_know_waits_for_the_server_and_arrives(self, ledger: Ledger) -> None:
        said: list[str] = []
        sink = sink_of(free_ports(1)[0], said, at_once=100)
        sender = self.sender_of(sink, ledger, said)
        sender.check()
        self.commit(ledger, sender, SOME)
        assert sender.drain() is not None
        assert "connection refused" in said[0]
        assert ledger.sums(EMAIL.name).waiting > 0
        with PostBox() as box:
            sender = self.sender_of(sink_of(box, said, at_once=100), ledger, said)
            assert sender.drain() is None
        wanted = [one for one in SOME if one.change in ("raised", "returned", "unshelved", "in service")]
        assert [mail["X-Edge-Detect-Event"] for mail in box.mails] == [
            one.fields["event_id"] for one in wanted
        ]
        sums = ledger.sums(EMAIL.name)
        assert (sums.waiting, sums.delivered, sums.dead) == (0, len(wanted), 0)

    def test_a_mail_that_is_refused_takes_no_other_along(self, ledger: Ledger) -> None:
        said: list[str] = []
        with PostBox() as box:
            sink = sink_of(box, said, at_once=100)
            sender = self.sender_of(sink, ledger, said)
            subject = "[edge-detect] HIGH m-003: alarm raised, vibration 3.9557 mm/s (expected 1.3261)"
            box.answers[subject] = "554 5.7.1 spam"
            self.commit(ledger, sender, others(8))
            assert sender.drain() is None
        assert sorted(mail["X-Edge-Detect-Event"][-1] for mail in box.mails) == list("0124567")
        sums = ledger.sums(EMAIL.name)
        assert (sums.waiting, sums.delivered, sums.dead) == (0, 7, 1)
        assert "554 5.7.1 spam" in said[0]

    def test_a_flood_that_is_too_large_for_a_mail_goes_in_several(self, ledger: Ledger) -> None:
        said: list[str] = []
        with PostBox(data_size_limit=4000) as box:
            sink = sink_of(box, said, gather_s=0.0)
            sender = self.sender_of(sink, ledger, said)
            self.commit(ledger, sender, others(100))
            assert sender.drain() is None
        listed = [line.split()[1] for text in texts(box) for line in text.splitlines() if line[:2] == "- "]
        assert listed == [change.fields["event_id"] for change in others(100)]
        assert 2 < len(box.mails) < 16
        assert ledger.sums(EMAIL.name).dead == 0
        assert not said
