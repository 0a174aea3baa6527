"""Every single-bit flip of the default bundle is refused by the real loader."""

from __future__ import annotations

import pytest

from edge_runtime.bundle.load import load_bytes, read_bundle
from edge_runtime.errors import BundleError


def accepted(data: bytes, first: int, last: int) -> list[tuple[int, int]]:
    """The flips that were let through, as byte and bit."""
    changed = bytearray(data)
    let_through = []
    for position in range(first, last):
        for bit in range(8):
            changed[position] ^= 1 << bit
            try:
                load_bytes(bytes(changed), "flipped")
            except BundleError:
                pass
            else:
                let_through.append((position, bit))
            changed[position] ^= 1 << bit
    return let_through


@pytest.mark.slow
def test_every_flipped_bit_of_the_default_bundle_is_refused() -> None:
    _, data = read_bundle(None)
    assert len(data) > 10_000
    assert accepted(data, 0, len(data)) == []
