"""What a gateway accepts by version, expiry, clock and key, and what it remembers of it."""

from __future__ import annotations

import errno
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.signing import KEY, NOW, OTHER_KEY, Gateway, refused, signed

from edge_runtime.signing.remembered import Remembered, read_remembered, write_remembered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A, B, C = b"bundle a", b"bundle b", b"bundle c"
YEAR = timedelta(days=365)


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path / "state")


# --- rollback


def test_an_older_version_is_refused_also_after_a_restart(gateway: Gateway) -> None:
    gateway.install(A, signed(A, version=5))
    gateway.install(B, signed(B, version=6))
    with refused("version 5 is older than 6"):
        gateway.install(A, signed(A, version=5))
    assert gateway.install(A, signed(A, version=7)) == ()  # going back on purpose
    with refused("version 6 is older than 7"):
        gateway.install(B, signed(B, version=6))


def test_one_version_is_one_bundle(gateway: Gateway) -> None:
    gateway.install(A, signed(A, version=5))
    with refused("another bundle of the same version 5"):
        gateway.install(B, signed(B, version=5))
    assert gateway.install(A, signed(A, version=5)) == ()
    # The same bundle signed again, to live longer, may keep its number or take a higher one.
    gateway.install(A, signed(A, version=5, expires="2028-12-31T00:00:00Z"))
    gateway.install(A, signed(A, version=6))
    with refused("version 5 is older than 6"):
        gateway.install(A, signed(A, version=5))


def test_each_target_counts_for_itself(gateway: Gateway) -> None:
    gateway.install(A, signed(A, version=5))
    gateway.target = "line-3"
    gateway.install(B, signed(B, version=1, target="line-3"))
    gateway.target = "line-2"
    with refused("version 4 is older than 5"):
        gateway.install(B, signed(B, version=4))


def test_a_command_that_only_looks_judges_by_the_record_and_leaves_it(gateway: Gateway) -> None:
    gateway.updates = False
    gateway.install(A, signed(A, version=9))
    assert not gateway.state.exists()
    gateway.updates = True
    gateway.install(A, signed(A, version=5))
    gateway.updates = False
    gateway.install(B, signed(B, version=9))
    with refused("version 4 is older than 5"):
        gateway.install(B, signed(B, version=4))
    assert [entry.version for entry in read_remembered(gateway.state / "accepted.json")] == [5]


def test_processes_that_accept_at_once_lose_nothing(gateway: Gateway) -> None:
    def accept(number: int) -> None:
        one = Gateway(gateway.state, target=f"line-{number}")
        one.install(A, signed(A, target=f"line-{number}", version=number + 1))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(accept, range(16)))
    entries = read_remembered(gateway.state / "accepted.json")
    assert {entry.target: entry.version for entry in entries} == {f"line-{n}": n + 1 for n in range(16)}


def test_what_another_process_accepted_meanwhile_counts(gateway: Gateway) -> None:
    slow = gateway.trust
    approval = slow.check(A, signed(A, version=5))
    gateway.install(B, signed(B, version=6))
    with refused("version 5 is older than 6"):
        slow.remember(approval)


# --- freeze, and the clock


def test_what_expired_is_not_installed_but_goes_on_running(gateway: Gateway) -> None:
    gateway.install(A, signed(A))
    assert gateway.install(A, signed(A)) == ()
    gateway.now += YEAR
    (warning,) = gateway.install(A, signed(A))
    assert warning == (
        "the signature expired on 2027-12-31T00:00:00Z, but this bundle was accepted before that"
    )
    with refused("expired on 2027-12-31T00:00:00Z, and it is 2028-05-31T12:00:00Z; have the bundle signed"):
        gateway.install(B, signed(B, version=6))
    # Nor by another machine that never accepted it.
    with refused("expired on"):
        Gateway(gateway.state / "other", now=gateway.now).install(A, signed(A))
    assert gateway.install(B, signed(B, version=6, expires="2028-12-31T00:00:00Z")) == ()
    # The one before it is not running any more.
    with refused("version 5 is older than 6"):
        gateway.install(A, signed(A))


def test_an_expiry_that_comes_near_is_a_warning(gateway: Gateway) -> None:
    gateway.now = datetime(2027, 12, 20, tzinfo=UTC)
    assert gateway.install(A, signed(A)) == ("the signature expires in 11 days: have it signed again",)


def test_a_clock_that_was_set_back_does_not_bring_a_signature_back_to_life(gateway: Gateway) -> None:
    gateway.install(A, signed(A))
    gateway.now = datetime(1970, 1, 1, 0, 2, tzinfo=UTC)
    (warning,) = gateway.install(A, signed(A))
    assert (
        warning
        == "the clock says 1970-01-01T00:02:00Z, but it is at least 2027-06-01T12:00:00Z: set the clock"
    )
    with refused("expired on 2027-05-01T00:00:00Z, and it is 2027-06-01T12:00:00Z"):
        gateway.install(B, signed(B, version=6, expires="2027-05-01T00:00:00Z"))
    # What is good at the time that is known is installed: a gateway without a battery can be served.
    assert len(gateway.install(B, signed(B, version=7))) == 1


def test_a_first_start_in_1970_knows_that_it_is_later(gateway: Gateway) -> None:
    gateway.now = datetime(1970, 1, 1, tzinfo=UTC)
    with refused("expired on 2026-01-01T00:00:00Z"):
        gateway.install(A, signed(A, expires="2026-01-01T00:00:00Z"))
    (warning,) = gateway.install(A, signed(A))
    assert "it is at least 2026-11-23" in warning


def test_a_clock_that_ran_ahead_for_once_locks_nobody_out(gateway: Gateway) -> None:
    gateway.install(A, signed(A))
    gateway.now = datetime(2099, 1, 1, tzinfo=UTC)
    (warning,) = gateway.install(A, signed(A))
    assert "expired" in warning
    with refused("set this machine's clock if it is wrong"):
        gateway.install(B, signed(B, version=6))
    gateway.now = NOW + timedelta(days=3)
    assert gateway.install(A, signed(A)) == ()
    assert gateway.install(B, signed(B, version=6)) == ()


def test_a_restart_writes_no_more_than_once_a_day(gateway: Gateway) -> None:
    gateway.install(A, signed(A))
    record = gateway.state / "accepted.json"
    first = record.stat().st_ino, record.read_bytes()
    gateway.now += timedelta(hours=23)
    gateway.install(A, signed(A))
    assert (record.stat().st_ino, record.read_bytes()) == first
    gateway.now += timedelta(hours=2)
    gateway.install(A, signed(A))
    (entry,) = read_remembered(record)
    assert entry.seen == int((NOW + timedelta(hours=25)).timestamp())


# --- keys: fast-forward and rotation


def test_a_stolen_key_that_signed_the_highest_version_is_overcome_by_another_key(gateway: Gateway) -> None:
    gateway.install(A, signed(A, version=2**53 - 1, expires="2099-12-31T00:00:00Z"))
    with refused("is older than 9007199254740991"):
        gateway.install(B, signed(B, version=6))
    # As long as the old key is trusted, what it signed counts ...
    gateway.keys = (KEY, OTHER_KEY)
    with refused("is older than 9007199254740991"):
        gateway.install(B, signed(B, OTHER_KEY, version=6))
    # ... and with the key it is gone.
    gateway.keys = (OTHER_KEY,)
    with refused("which is not trusted here; trusted: lathe"):
        gateway.install(A, signed(A, version=2**53 - 1))
    assert gateway.install(B, signed(B, OTHER_KEY, version=6)) == ()
    with refused("version 5 is older than 6"):
        gateway.install(C, signed(C, OTHER_KEY, version=5))


def test_a_key_is_rotated_while_everything_runs(gateway: Gateway) -> None:
    gateway.install(A, signed(A, version=5))
    gateway.keys = (KEY, OTHER_KEY)
    gateway.install(A, signed(A, version=5))
    gateway.install(A, signed(A, OTHER_KEY, version=5))  # the same bundle, signed with the new key
    gateway.install(B, signed(B, OTHER_KEY, version=6))
    with refused("version 5 is older than 6"):  # no way back through the old key
        gateway.install(A, signed(A, version=5))
    gateway.keys = (OTHER_KEY,)
    gateway.install(B, signed(B, OTHER_KEY, version=6))


def test_a_time_that_was_seen_goes_with_the_key_too(gateway: Gateway) -> None:
    gateway.now = datetime(2098, 1, 1, tzinfo=UTC)
    gateway.install(A, signed(A, expires="2099-12-31T00:00:00Z"))
    gateway.now = NOW
    with refused("expired on"):
        gateway.install(B, signed(B, version=6))
    gateway.keys = (OTHER_KEY,)
    assert gateway.install(B, signed(B, OTHER_KEY, version=1)) == ()


# --- the record


def test_a_damaged_record_is_said_and_not_forgotten(gateway: Gateway) -> None:
    gateway.install(A, signed(A))
    record = gateway.state / "accepted.json"
    good = record.read_bytes()
    for bit in range(8 * len(good)):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        record.write_bytes(bytes(flipped))
        with refused("which bundles were accepted before is damaged .*; make sure that this bundle"):
            read_remembered(record)
    for part in (b"", good[:-20], b"[]", b"null", b"[" * 5000, b"\xff"):
        record.write_bytes(part)
        with refused("is damaged"):
            gateway.trust.check(A, signed(A))
    record.unlink()
    assert gateway.install(A, signed(A)) == ()


@pytest.mark.parametrize(
    "change", [{"version": "5"}, {"version": True}, {"seen": 10**18}, {"seen": -1}, {"target": None}]
)
def test_a_record_of_wrong_types_is_damaged(gateway: Gateway, change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "target": "line-2",
        "key_id": KEY.public.id,
        "version": 5,
        "digest": "sha256:",
        "seen": 0,
    }
    write_remembered(gateway.state / "accepted.json", [Remembered(**{**fields, **change})])
    with refused("is damaged"):
        gateway.install(A, signed(A))


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file can be written any further."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_what_cannot_be_remembered_is_not_installed(gateway: Gateway, full_disk: None) -> None:  # noqa: ARG001
    with refused(f"cannot remember that this bundle was accepted .{os.strerror(errno.EFBIG)}"):
        gateway.install(A, signed(A))
    assert list(gateway.state.iterdir()) == []


def test_a_full_disk_stops_no_restart(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    gateway = Gateway(tmp_path)
    gateway.install(A, signed(A))
    before = (tmp_path / "accepted.json").read_bytes()
    request.getfixturevalue("full_disk")
    gateway.now += timedelta(days=2)
    assert gateway.install(A, signed(A)) == ()
    with refused("cannot remember"):
        gateway.install(B, signed(B, version=6))
    assert (tmp_path / "accepted.json").read_bytes() == before


def test_a_state_folder_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with refused("cannot read which bundles were accepted before .Not a directory"):
        Gateway(tmp_path / "file").install(A, signed(A))
