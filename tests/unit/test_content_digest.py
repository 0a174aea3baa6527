from __future__ import annotations

import hashlib

import pytest

from edge_runtime.bundle.digest import UNSTAMPED, check_content_digest, content_digest, file_digest, stamp
from edge_runtime.bundle.protobuf import Span
from edge_runtime.errors import BundleFormatError

PLAIN = b'head {"content_digest":"' + UNSTAMPED.encode() + b'"} tail'


def test_the_digest_is_sha256_with_its_own_digits_zero() -> None:
    stamped = stamp(PLAIN)
    digits = hashlib.sha256(PLAIN).hexdigest()
    assert stamped == PLAIN.replace(b"0" * 64, digits.encode())
    whole = check_content_digest(stamped, Span(5, len(stamped) - 5), f"sha256:{digits}")
    assert whole == file_digest(stamped)
    assert content_digest(stamped, PLAIN.index(b"0" * 64)) == f"sha256:{digits}"


def test_the_file_digest_is_plain_sha256() -> None:
    assert file_digest(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_change_anywhere_is_found() -> None:
    stamped = stamp(PLAIN)
    stated = stamped[24 : 24 + 71].decode()
    for position in (0, len(stamped) - 1):
        changed = bytearray(stamped)
        changed[position] ^= 1
        with pytest.raises(BundleFormatError, match="does not match its digest"):
            check_content_digest(bytes(changed), Span(5, len(stamped) - 5), stated)


def test_the_digest_must_stand_once_and_in_the_metadata() -> None:
    stamped = stamp(PLAIN)
    stated = stamped[24 : 24 + 71].decode()
    with pytest.raises(BundleFormatError, match="exactly once"):
        check_content_digest(stamped + stated.encode(), Span(0, len(stamped)), stated)
    with pytest.raises(BundleFormatError, match="not inside the metadata"):
        check_content_digest(stamped, Span(0, 5), stated)
    with pytest.raises(BundleFormatError, match="exactly once"):
        stamp(b"nothing to stamp")


@pytest.mark.parametrize(
    "stated", ["", "sha256:", "md5:" + "0" * 64, "sha256:" + "G" * 64, "sha256:" + "A" * 64]
)
def test_what_is_no_digest_is_refused(stated: str) -> None:
    with pytest.raises(BundleFormatError, match="is not 'sha256:'"):
        check_content_digest(PLAIN, Span(0, len(PLAIN)), stated)
