"""Signed but hostile manifests, bent and cut signatures: every one is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.manifests import ANOTHER, BUNDLE, HOSTILE, enveloped, good, with_signature
from support.signing import Gateway, signed, signed_payload

from edge_runtime.errors import SignatureError
from edge_runtime.loading.load import load_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """One that accepted version 3 of another bundle before."""
    gateway = Gateway(tmp_path / "state")
    gateway.install(ANOTHER, signed(ANOTHER, version=3))
    return gateway


@pytest.mark.parametrize(("make", "message"), [case[1:] for case in HOSTILE], ids=[c[0] for c in HOSTILE])
def test_it_is_refused_with_its_own_message_and_nothing_is_remembered(
    make: Callable[[], bytes], message: str, gateway: Gateway, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.onnx"
    path.write_bytes(BUNDLE)
    (tmp_path / "bundle.onnx.sig").write_bytes(make())
    before = (gateway.state / "accepted.json").read_bytes()
    with pytest.raises(SignatureError, match=message) as caught:
        load_bundle(path, trust=gateway.trust)
    text = str(caught.value)
    assert text.startswith("bundle.onnx: ")
    assert caught.value.hint
    assert text.isprintable()
    assert (gateway.state / "accepted.json").read_bytes() == before


def test_the_same_bundle_with_a_good_signature_is_accepted(gateway: Gateway, tmp_path: Path) -> None:
    path = tmp_path / "bundle.onnx"
    path.write_bytes(BUNDLE)
    (tmp_path / "bundle.onnx.sig").write_bytes(signed(BUNDLE))
    assert load_bundle(path, trust=gateway.trust).approval
    # As the helpers above make it, so that what they change is all that is wrong.
    for again in (
        signed_payload(json.dumps(good()).encode()),
        enveloped(lambda _: None)(),
        with_signature(lambda s: s)(),
    ):
        (tmp_path / "bundle.onnx.sig").write_bytes(again)
        assert load_bundle(path, trust=gateway.trust).approval


def test_no_single_bit_of_a_signature_can_be_flipped(gateway: Gateway) -> None:
    signature, accepted = signed(BUNDLE), []
    for bit in range(8 * len(signature)):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            gateway.trust.check(BUNDLE, bytes(flipped))
        except SignatureError:
            continue
        accepted.append(bit)
    assert accepted == []


def test_no_part_of_a_signature_is_enough_and_no_byte_too_many(gateway: Gateway) -> None:
    signature = signed(BUNDLE)
    for length in range(len(signature)):
        with pytest.raises(SignatureError):
            gateway.trust.check(BUNDLE, signature[:length])
    for byte in range(256):
        with pytest.raises(SignatureError):
            gateway.trust.check(BUNDLE, signature + bytes([byte]))


def test_no_bit_of_a_signed_bundle_can_be_flipped(gateway: Gateway) -> None:
    signature = signed(BUNDLE)
    for bit in range(0, 8 * len(BUNDLE), 97):
        flipped = bytearray(BUNDLE)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureError, match="the signature is for another file"):
            gateway.trust.check(bytes(flipped), signature)
