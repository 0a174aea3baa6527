"""The published cryptography, and loading a bundle that must be signed."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.signing import KEY, NOW, Gateway, parts, refused, signed, statement
from support.tampering import with_document

from edge_runtime.errors import SelfTestError, UsageError
from edge_runtime.loading.load import Step, load_bundle, read_bundle
from edge_runtime.signing.beside import read_signature
from edge_runtime.signing.envelope import Envelope
from edge_runtime.signing.keys import PrivateKey, PublicKey, read_key, trusted_key
from edge_runtime.signing.remembered import Remembered, read_remembered

ROOT = Path(__file__).parents[2]


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


def test_a_statement_of_no_time_cannot_even_be_made() -> None:
    with refused("expires: '2027-12-31' is not a time in UTC"):
        statement(b"a", expires="2027-12-31")


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
    assert (gateway.state / "accepted.json").stat().st_mode & 0o777 == 0o640


def test_without_trusted_keys_a_signature_is_not_even_read(tmp_path: Path) -> None:
    steps: list[Step] = []
    bundle = load_bundle(put(tmp_path, read_bundle(None)[1], b"nonsense"), on_step=steps.append)
    assert bundle.approval is None
    assert steps[1] == Step("signature", "not checked: no trusted keys are set")


def test_an_unsigned_bundle_is_refused_and_so_is_the_default_one(tmp_path: Path, gateway: Gateway) -> None:
    path = put(tmp_path, read_bundle(None)[1], None)
    with refused("b.onnx: not signed: there is no .sig file beside it.*; have it signed with"):
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
