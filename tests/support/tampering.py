"""Bundles that were changed after their export and stamped again, so that the digest is right again."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import onnx

from edge_runtime.bundle.digest import UNSTAMPED, stamp
from edge_runtime.bundle.metadata import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["restamped", "with_document", "with_model"]

STATED = re.compile(rb'("content_digest": ?")(sha256:[0-9a-f]{64})(")')


def with_model(data: bytes, change: Callable[[onnx.ModelProto], object]) -> bytes:
    """The bundle with its ONNX model changed in place."""
    model = onnx.ModelProto.FromString(data)
    change(model)
    return _stamped(model)


def with_document(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The bundle with its metadata document changed in place."""
    model = onnx.ModelProto.FromString(data)
    document = _document(model)
    change(document)
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(document)})
    return _stamped(model)


def _document(model: onnx.ModelProto) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(model.metadata_props[0].value)
    return document


def restamped(data: bytes) -> bytes:
    """The file with its content digest made right, where it states one."""
    unstamped, found = STATED.subn(rb"\g<1>" + UNSTAMPED.encode() + rb"\g<3>", data)
    return stamp(unstamped) if found == 1 else data


def _stamped(model: onnx.ModelProto) -> bytes:
    return restamped(model.SerializeToString(deterministic=True))
