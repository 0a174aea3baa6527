"""Signed, and hostile all the same: every way to sign, resign, replay or bend a signature."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from support.signing import KEY, OTHER_KEY, envelope, parts, signed, signed_payload, statement

from edge_runtime.loading.load import read_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ANOTHER", "BUNDLE", "HOSTILE", "enveloped", "good", "with_signature"]

BUNDLE = read_bundle(None)[1]
ANOTHER = b"another bundle, signed for the same gateways"
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
# The points of order 1, 2, 4, 4, 8, 8 and two encodings that are not canonical.
SMALL_ORDER = [
    "01" + "00" * 31,
    "ec" + "ff" * 30 + "7f",
    "00" * 31 + "80",
    "00" * 32,
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "01" + "00" * 30 + "80",
    "ee" + "ff" * 30 + "7f",
]
FORM = "not in the exact form of a signature file"
FORGED = "the signature does not match the key press: it is damaged or forged"


def good() -> dict[str, Any]:
    """The fields of a good statement."""
    document: dict[str, Any] = json.loads(statement(BUNDLE).to_bytes())
    return document


def field(name: str, value: Any) -> Callable[[], bytes]:
    """A statement with one field of another value, properly signed."""
    return lambda: signed_payload(json.dumps(good() | {name: value}).encode())


def raw(name: str, text: str) -> Callable[[], bytes]:
    """The same with a value as it would stand in the JSON."""
    return lambda: signed_payload(json.dumps(good() | {name: "@"}).replace('"@"', text).encode())


def enveloped(change: Callable[[dict[str, Any]], None]) -> Callable[[], bytes]:
    """A good signature in an envelope that was changed."""

    def make() -> bytes:
        document = json.loads(signed(BUNDLE))
        change(document)
        return envelope(document)

    return make


def with_signature(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    """A good envelope with another signature in it."""

    def make() -> bytes:
        document, _, signature = parts(signed(BUNDLE))
        document["signatures"][0]["sig"] = base64.b64encode(change(signature)).decode()
        return envelope(document)

    return make


def plus_orders(orders: int) -> Callable[[bytes], bytes]:
    """The same signature with S + n·L for S, which the same equation holds for."""

    def change(signature: bytes) -> bytes:
        number = int.from_bytes(signature[32:], "little") + orders * GROUP_ORDER
        return signature[:32] + number.to_bytes(32, "little")

    return change


def first_half(point: str) -> Callable[[bytes], bytes]:
    """The same signature with another R."""
    return lambda signature: bytes.fromhex(point) + signature[32:]


def only(point: str) -> Callable[[bytes], bytes]:
    """A signature of this R and an S of 0, which a key of small order would accept."""
    return lambda _: bytes.fromhex(point) + b"\0" * 32


def without_prefix() -> bytes:
    """Signed by the right key, but as bare bytes: as another protocol would have it."""
    document, payload, _ = parts(signed(BUNDLE))
    document["signatures"][0]["sig"] = base64.b64encode(KEY.sign(payload)).decode()
    return envelope(document)


def of_another_type() -> bytes:
    """A good DSSE signature of the right key over something that is no bundle."""
    payload = statement(BUNDLE).to_bytes()
    kind = b"application/vnd.in-toto+json"
    signature = KEY.sign(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    return envelope(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": kind.decode(),
            "signatures": [{"keyid": KEY.public.id, "sig": base64.b64encode(signature).decode()}],
        }
    )


def claiming_the_trusted_key() -> bytes:
    """The attacker's signature under the trusted key's name."""
    document, payload, _ = parts(signed(BUNDLE))
    forged = parts(signed_payload(payload, OTHER_KEY))[0]["signatures"][0]["sig"]
    document["signatures"][0]["sig"] = forged
    return envelope(document)


def of_old_payload_on_new() -> bytes:
    """An older bundle's good signature on a statement on this one."""
    document = json.loads(signed(BUNDLE))
    document["signatures"] = json.loads(signed(ANOTHER))["signatures"]
    return envelope(document)


def unpadded(document: dict[str, Any]) -> None:
    document["signatures"][0]["sig"] = document["signatures"][0]["sig"].rstrip("=")


def loose_bits(document: dict[str, Any]) -> None:
    """Another last digit, of which base64 uses two bits of six: the same 64 bytes."""
    text = document["signatures"][0]["sig"]
    assert text[-3] in "AQgw"
    document["signatures"][0]["sig"] = text[:-3] + chr(ord(text[-3]) + 1) + "=="


# What it is, how it is made, what is said of it.
HOSTILE: list[tuple[str, Callable[[], bytes], str]] = [
    # --- TUF's attacks
    ("rollback", lambda: signed(BUNDLE, version=2), "version 2 is older than 3, which was accepted here"),
    ("same version", lambda: signed(BUNDLE, version=3), "another bundle of the same version 3 was accepted"),
    ("freeze", lambda: signed(BUNDLE, expires="2027-05-31T00:00:00Z"), "expired on 2027-05-31T00:00:00Z"),
    (
        "other target",
        lambda: signed(BUNDLE, target="line-3"),
        "signed for 'line-3', but the target here is 'line-2'",
    ),
    ("target's prefix", lambda: signed(BUNDLE, target="line-2/a"), "signed for 'line-2/a'"),
    ("replayed", lambda: signed(ANOTHER), "the signature is for another file"),
    ("swapped digest", field("digest", "sha256:" + "0" * 64), "the signature is for another file"),
    ("wrong length", field("length", len(BUNDLE) + 1), "the signature is for another file"),
    # --- keys and signatures
    ("wrong key", lambda: signed(BUNDLE, OTHER_KEY), "which is not trusted here; trusted: press"),
    ("another's key id", claiming_the_trusted_key, FORGED),
    ("key id inside", field("key_id", OTHER_KEY.public.id), "names the key .*, but is signed with press"),
    ("without DSSE's prefix", without_prefix, FORGED),
    ("of another type", of_another_type, 'signs "application/vnd.in-toto\\+json", which is not a bundle'),
    ("signature of another", of_old_payload_on_new, FORGED),
    *((f"S + {n}·L", with_signature(plus_orders(n)), FORGED) for n in (1, 2, 7, 14)),
    *((f"R {point[:6]}", with_signature(first_half(point)), FORGED) for point in SMALL_ORDER),
    *((f"R {point[:6]}, S 0", with_signature(only(point)), FORGED) for point in SMALL_ORDER),
    ("S 0", with_signature(lambda s: s[:32] + b"\0" * 32), FORGED),
    ("zeros", with_signature(lambda _: b"\0" * 64), FORGED),
    ("short signature", with_signature(lambda s: s[:-1]), FORM),
    ("long signature", with_signature(lambda s: s + b"\0"), FORM),
    ("no signature", with_signature(lambda _: b""), FORM),
    # --- the envelope
    ("empty file", lambda: b"", "the signature file is not JSON"),
    ("truncated", lambda: signed(BUNDLE)[:300], "the signature file is not JSON"),
    ("trailing bytes", lambda: signed(BUNDLE) + b"{}", "the signature file is not JSON .Extra data"),
    ("trailing line", lambda: signed(BUNDLE) + b"\n", FORM),
    ("respaced", lambda: json.dumps(json.loads(signed(BUNDLE))).encode(), FORM),
    ("huge", lambda: signed(BUNDLE) + b" " * 5000, "larger than any signature"),
    ("huge payload", lambda: signed_payload(b" " * 4000), "larger than any signature"),
    ("nested", lambda: b"[" * 4000, "the signature file is not JSON .nested too deeply"),
    ("a list", lambda: b"[]\n", "the signature file is not a JSON object"),
    ("not text", lambda: b"\xff\xfe\x00", "the signature file is not JSON"),
    ("UTF-16", lambda: signed(BUNDLE).decode().encode("utf-16"), "the signature file is not JSON"),
    (
        "payload twice",
        lambda: signed(BUNDLE).replace(b"{\n", b'{\n "payload": "",\n', 1),
        "signature file: payload: a field appears twice",
    ),
    ("second signature", enveloped(lambda d: d["signatures"].append(d["signatures"][0])), FORM),
    ("no signatures", enveloped(lambda d: d.update(signatures=[])), FORM),
    ("signatures a text", enveloped(lambda d: d.update(signatures="x")), FORM),
    ("signatures a number", enveloped(lambda d: d.update(signatures=1)), FORM),
    ("key id a number", enveloped(lambda d: d["signatures"][0].update(keyid=1)), FORM),
    ("payload a number", enveloped(lambda d: d.update(payload=1)), FORM),
    ("payload no base64", enveloped(lambda d: d.update(payload="@@@@")), FORM),
    ("no payload", enveloped(lambda d: d.pop("payload")), FORM),
    ("no type", enveloped(lambda d: d.pop("payloadType")), "signs null, which is not a bundle"),
    ("field beside", enveloped(lambda d: d.update(note="x")), FORM),
    ("base64 without padding", enveloped(unpadded), FORM),
    ("base64's loose bits", enveloped(loose_bits), FORM),
    # --- the statement: signed by the right key, but by a tool that errs
    ("payload cut", lambda: signed_payload(statement(BUNDLE).to_bytes()[:-1]), "statement is not JSON"),
    ("payload a list", lambda: signed_payload(b"[]"), "the signed statement is not a JSON object"),
    ("payload UTF-16", lambda: signed_payload(json.dumps(good()).encode("utf-16")), "statement is not JSON"),
    ("payload with a BOM", lambda: signed_payload(b"\xef\xbb\xbf{}"), "the signed statement is not JSON"),
    (
        "version twice",
        lambda: signed_payload(statement(BUNDLE).to_bytes().replace(b"{", b'{"version":9,', 1)),
        "signed statement: version: a field appears twice",
    ),
    ("version a text", field("version", "9"), 'version: is "9", which is not a whole number'),
    ("version true", field("version", True), "version: is true, which is not a whole number"),
    ("version null", field("version", None), "version: is null, which is not a whole number"),
    ("version 9.0", field("version", 9.0), "version: is 9.0, which is not a whole number"),
    ("version 1e400", raw("version", "1e400"), "version: is Infinity, which is not a whole number"),
    ("version NaN", raw("version", "NaN"), "the signed statement is not JSON .NaN is not a number"),
    ("version 0", field("version", 0), "version: must be 1 to 9007199254740991"),
    ("version -1", field("version", -1), "version: must be 1 to 9007199254740991"),
    ("version 2^53", field("version", 2**53), "version: must be 1 to 9007199254740991"),
    ("version of 2,000 digits", raw("version", "9" * 2000), "version: must be 1 to 9007199254740991"),
    ("length a text", field("length", str(len(BUNDLE))), "length: is .*, which is not a whole number"),
    ("length 0", field("length", 0), "length: must be at least 1"),
    ("digest in capitals", field("digest", "sha256:" + "A" * 64), "digest: is not 'sha256:' and 64 lower"),
    ("digest of another kind", field("digest", "md5:" + "0" * 32), "digest: is not 'sha256:'"),
    ("digest with more", field("digest", "sha256:" + "0" * 64 + "\n"), "digest: is not 'sha256:'"),
    ("digest a list", field("digest", []), "digest: is \\[\\], which is not a text"),
    ("expiry without zone", field("expires", "2027-12-31T00:00:00"), "expires: .* is not a time in UTC"),
    ("expiry with a zone", field("expires", "2027-12-31T00:00:00+14:00"), "expires: .* is not a time in UTC"),
    ("expiry of no day", field("expires", "2027-02-30T00:00:00Z"), "expires: .* is not a time in UTC"),
    ("expiry with a line", field("expires", "2027-12-31T00:00:00Z\n"), "expires: .* is not a time in UTC"),
    ("expiry in other digits", field("expires", "٢٠٢٧-12-31T00:00:00Z"), "expires: .* is not a time in UTC"),
    ("expiry beyond time", field("expires", "99999-12-31T00:00:00Z"), "expires: .* is not a time in UTC"),
    ("expiry a number", field("expires", 4102444800), "expires: is 4102444800, which is not a text"),
    ("expiry never", field("expires", None), "expires: is null, which is not a text"),
    ("target empty", field("target", ""), "target: must be 1 to 100 letters"),
    ("target with a line", field("target", "line-2\n"), "target: must be 1 to 100 letters"),
    ("target of any", field("target", "*"), "target: must be 1 to 100 letters"),
    ("target a list", field("target", ["line-2"]), "target: is .*, which is not a text"),
    ("unknown field", field("also", 1), "signed statement: also: is not a field of this format version"),
    ("field with escapes", field("\x1b[2J\n", 1), r"statement: \\u001b\[2J\\n: is not a field"),
    ("missing field", lambda: signed_payload(b'{"format_version": 1}'), "digest: is missing"),
    ("future format", field("format_version", 2), "version 2, but .* reads 1; install a newer edge-detect"),
    ("format true", field("format_version", True), "signature format version True, but"),
    ("format 1.0", field("format_version", 1.0), "signature format version 1.0, but"),
    ("format of none", lambda: signed_payload(b"{}"), "signature format version None, but"),
]
