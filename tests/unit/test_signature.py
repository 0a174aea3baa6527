"""What a gateway with trusted keys accepts, remembers, and goes on running."""

from __future__ import annotations

import base64
import errno
import json
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.signing import KEY, NOW, OTHER_KEY, Gateway, parts, signed, statement
from support.tampering import with_document

from edge_runtime.bundle.load import Step, load_bundle, read_bundle
from edge_runtime.errors import SelfTestError, SignatureError, UsageError
from edge_runtime.signing.envelope import Envelope
from edge_runtime.signing.keys import PrivateKey, PublicKey, read_key, trusted_key
from edge_runtime.signing.remembered import Remembered, read_remembered, write_remembered
from edge_runtime.signing.trust import read_signature

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

ROOT = Path(__file__).parents[2]
A, B, C = b"bundle a", b"bundle b", b"bundle c"
YEAR = timedelta(days=365)


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path / "state")


def put(folder: Path, data: bytes, signature: bytes | None) -> Path:
    """A bundle, with its signature beside it."""
    path = folder / "b.onnx"
    path.write_bytes(data)
    if signature is not None:
        (folder / "b.onnx.sig").write_bytes(signature)
    return path


def refused(words: str) -> AbstractContextManager[Any]:
    return pytest.raises(SignatureError, match=words)


# --- the cryptography is the published one


def test_a_signature_is_that_of_rfc_8032() -> None:
    key = PrivateKey("t", bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    assert key.public.raw.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_a_key_file_is_that_of_rfc_8410(tmp_path: Path) -> None:
    private, public = tmp_path / "a.key", tmp_path / "a.pub"
    private.write_text(
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
        "-----END PRIVATE KEY-----\n"
    )
    private.chmod(0o600)
    public.write_text(
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        "-----END PUBLIC KEY-----\n"
    )
    key = read_key(private)
    assert isinstance(key, PrivateKey)
    assert key.public == read_key(public)
    assert private.read_text() in key.to_pem()
    assert public.read_text() in key.public.to_pem()
    assert "d4ee72" not in repr(key)


def test_what_is_signed_is_dsse() -> None:
    kind = "application/vnd.edge-detect.bundle-signature+json"
    assert Envelope(b"{}", "", b"").message == f"DSSEv1 {len(kind)} {kind} 2 {{}}".encode()


def test_the_example_for_other_readers_checks_a_signature_with_another_library(tmp_path: Path) -> None:
    program = (ROOT / "docs" / "bundle.md").read_text().partition("```python\n")[2].partition("```")[0]
    assert "edge_runtime" not in program
    (tmp_path / "press.pub").write_text(KEY.public.to_pem())
    data = read_bundle(None)[1]
    for name, content, code in (("good", data, 0), ("damaged", data[:-1], 1)):
        (tmp_path / "bundle.onnx").write_bytes(content)
        (tmp_path / "bundle.onnx.sig").write_bytes(signed(data))
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == code, (name, done.stderr)
    document, payload, signature = parts(signed(data))
    document["payload"] = base64.b64encode(payload.replace(b"line-2", b"line-3")).decode()
    (tmp_path / "bundle.onnx").write_bytes(data)
    (tmp_path / "bundle.onnx.sig").write_text(json.dumps(document))
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=False)
    assert b"InvalidSignature" in done.stderr
    assert len(signature) == 64


@pytest.mark.parametrize(
    "raw",
    [
        "01" + "00" * 31,
        "00" * 32,
        "ec" + "ff" * 30 + "7f",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "01" + "00" * 30 + "80",
        "ff" * 32,
        "02" + "00" * 31,
    ],
)
def test_a_key_under_which_anybody_could_sign_is_never_trusted(raw: str) -> None:
    entry = PublicKey("weak", bytes.fromhex(raw)).entry
    with pytest.raises(UsageError, match="not an ed25519 public key"):
        trusted_key(entry)
    # The identity as a key: R = S·B holds for every message. libsodium refuses it by itself, too.
    forged = bytes.fromhex("01" + "00" * 31) + b"\0" * 32
    assert not PublicKey("weak", bytes.fromhex(raw)).verifies(b"anything", forged)


# --- loading


def test_a_signed_bundle_loads_and_says_by_whom(tmp_path: Path, gateway: Gateway) -> None:
    data = read_bundle(None)[1]
    steps: list[Step] = []
    bundle = load_bundle(put(tmp_path, data, signed(data)), on_step=steps.append, trust=gateway.trust)
    assert bundle.approval
    assert bundle.approval.statement == statement(data)
    assert bundle.approval.key == KEY.public
    assert steps[1] == Step("signature", "key press, version 5, for line-2, expires 2027-12-31T00:00:00Z")
    (entry,) = read_remembered(gateway.state / "accepted.json")
    assert entry == Remembered("line-2", KEY.public.id, 5, bundle.digest, int(NOW.timestamp()))
    assert (gateway.state / "accepted.json").stat().st_mode & 0o777 == 0o600


def test_without_trusted_keys_a_signature_is_not_even_read(tmp_path: Path) -> None:
    steps: list[Step] = []
    bundle = load_bundle(put(tmp_path, read_bundle(None)[1], b"nonsense"), on_step=steps.append)
    assert bundle.approval is None
    assert steps[1] == Step("signature", "not asked for: no trusted keys")


def test_an_unsigned_bundle_is_refused_and_so_is_the_default_one(tmp_path: Path, gateway: Gateway) -> None:
    path = put(tmp_path, read_bundle(None)[1], None)
    with refused("b.onnx: not signed: no .sig file is beside it.*; have it signed with"):
        load_bundle(path, trust=gateway.trust)
    with refused("default.onnx: not signed"):
        load_bundle(trust=gateway.trust)


def test_a_signature_that_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, gateway: Gateway) -> None:
    path = put(tmp_path, read_bundle(None)[1], None)
    os.mkfifo(tmp_path / "b.onnx.sig")
    with refused("its signature is not a file"):
        load_bundle(path, trust=gateway.trust)
    (tmp_path / "b.onnx.sig").unlink()
    (tmp_path / "b.onnx.sig").mkdir()
    with refused("cannot read its signature .Is a directory"):
        load_bundle(path, trust=gateway.trust)
    (tmp_path / "b.onnx.sig").rmdir()
    (tmp_path / "b.onnx.sig").symlink_to("/dev/zero")
    with refused("its signature is not a file"):
        load_bundle(path, trust=gateway.trust)
    assert read_signature(None) is None


def test_a_signed_bundle_that_fails_a_later_check_is_not_remembered(tmp_path: Path, gateway: Gateway) -> None:
    def change(document: dict[str, Any]) -> None:
        document["golden"]["scores"][0] += 1

    data = with_document(read_bundle(None)[1], change)
    with pytest.raises(SelfTestError):
        load_bundle(put(tmp_path, data, signed(data, version=99)), trust=gateway.trust)
    assert not gateway.state.exists()
    good = read_bundle(None)[1]
    assert load_bundle(put(tmp_path, good, signed(good, version=1)), trust=gateway.trust).approval


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
