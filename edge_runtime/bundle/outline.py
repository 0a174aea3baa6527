"""The gate's first half: the file's outermost message, read before the content digest is checked."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.bundle import caps, schema
from edge_runtime.bundle.metadata import METADATA_KEY
from edge_runtime.bundle.protobuf import Span, malformed, read_message
from edge_runtime.errors import BundleFormatError, GateError

__all__ = ["DEFAULT_DOMAIN", "Outline", "at_most", "read_outline"]

# What every ONNX writer begins with: it keeps a ZIP or a picture from being read as an odd model.
IR_VERSION_TAG = 0x08
# From what ONNX Runtime 1.18 still loads down to what edge-export writes.
IR_VERSIONS = range(8, 11)
OPSETS = range(17, 22)
DEFAULT_DOMAIN = frozenset({"", "ai.onnx"})


@dataclass(frozen=True, slots=True)
class Outline:
    """The file's outermost message: where the graph and the metadata lie.

    Attributes:
        ir_version: ONNX file format version.
        opset: Version of the default operator set.
        graph: Where the graph lies.
        metadata: Where the metadata document lies.
    """

    ir_version: int
    opset: int
    graph: Span
    metadata: Span


def read_outline(data: bytes) -> Outline:
    """Reads and checks the outermost message.

    Raises:
        BundleFormatError: Not ONNX, or ONNX but no bundle.
        GateError: Holds something that the gate does not let through.
    """
    if not data:
        raise BundleFormatError(
            "the file is empty", hint="copy it again, or name a bundle that edge-export wrote"
        )
    if data[0] != IR_VERSION_TAG:
        raise malformed("it does not begin like one")
    at_most(len(data), caps.MAX_FILE_BYTES, "bytes", "file")
    model = read_message(data, Span(0, len(data)), schema.MODEL, "model")
    entries = [read_message(data, s, schema.ENTRY, "metadata") for s in model.spans("metadata_props")]
    if METADATA_KEY not in {entry.text("key") for entry in entries} or not model.spans("graph"):
        raise BundleFormatError(
            f"not a bundle: it has no metadata '{METADATA_KEY}' beside a graph",
            hint="write one with edge-export",
        )
    if len(entries) != 1 or not entries[0].spans("value"):
        raise GateError("contains metadata other than its own, or contains it twice", where="metadata")
    opsets = [read_message(data, s, schema.OPSET, "opset") for s in model.spans("opset_import")]
    if len(opsets) != 1 or opsets[0].text("domain") not in DEFAULT_DOMAIN:
        raise GateError("must use the default operator set, once, and no other", where="model")
    outline = Outline(
        model.number("ir_version"),
        opsets[0].number("version"),
        model.spans("graph")[0],
        entries[0].spans("value")[0],
    )
    for what, version, known in (("IR", outline.ir_version, IR_VERSIONS), ("opset", outline.opset, OPSETS)):
        if version not in known:
            raise GateError(f"{what} version {version} is outside {known[0]} to {known[-1]}", where="model")
    at_most(len(data[outline.metadata]), caps.MAX_METADATA_BYTES, "bytes", "metadata")
    return outline


def at_most(count: int, limit: int, what: str, where: str) -> None:
    """Refuses what goes beyond a cap."""
    if count > limit:
        raise GateError(f"has {count:,} {what}, more than the {limit:,} that are allowed", where=where)
