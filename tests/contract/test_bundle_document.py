"""`docs/bundle.md` is what other implementers read: what it says of a bundle is so."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from support.bundles import make_bundle, normal_rows

from edge_runtime.bundle import caps
from edge_runtime.bundle.outline import IR_VERSIONS, OPSETS
from edge_runtime.loading.trial import TrialLimits
from edge_runtime.scoring.inference import CALL_ROWS

TEXT = (Path(__file__).parents[2] / "docs" / "bundle.md").read_text(encoding="utf-8")


def fields(value: Any, path: str = "") -> set[str]:
    """Every field's last name, but for those that users choose."""
    if isinstance(value, list):
        return {name for item in value for name in fields(item, path)}
    if not isinstance(value, dict) or path in {"per_machine", "validation", "test", "versions"}:
        return set()
    return set(value) | {name for key, item in value.items() for name in fields(item, key)}


def test_every_field_of_the_metadata_is_documented(tmp_path: Path) -> None:
    model = onnx.load(make_bundle(tmp_path, channels=True, horizon=1024.0, degraded=True))
    document = json.loads(model.metadata_props[0].value)
    missing = {name for name in fields(document) if f"{name}`" not in TEXT and f"{name}[]`" not in TEXT}
    # A parent is documented by its children.
    parents = {"model", "scaler", "threshold", "metrics", "provenance", "limits", "golden"}
    assert missing - parents == set()


def test_every_cap_is_documented() -> None:
    part = TEXT[TEXT.index("## What the gate lets through") : TEXT.index("## Digests")]
    numbers = [name for name in caps.__all__ if isinstance(getattr(caps, name), int)]
    assert len(numbers) >= 10
    for name in numbers:
        assert re.search(rf"\b{getattr(caps, name):,}\b", part), name
    limits = TrialLimits()
    for words in (
        f"IR version {IR_VERSIONS[0]} to {IR_VERSIONS[-1]}, opset {OPSETS[0]} to {OPSETS[-1]}",
        f"{CALL_ROWS:,} rows",
        f"{limits.seconds} seconds of CPU time and {limits.memory_mb} MB",
    ):
        assert words in " ".join(part.split()), words


def test_a_stranger_with_onnx_runtime_alone_gets_the_golden_scores(tmp_path: Path) -> None:
    path = make_bundle(tmp_path)
    model = onnx.load(path)
    assert [entry.key for entry in model.metadata_props] == ["edge_detect"]
    document = json.loads(model.metadata_props[0].value)
    session = onnxruntime.InferenceSession(str(path))
    assert [i.name for i in session.get_inputs()] == ["readings"]
    assert [o.name for o in session.get_outputs()] == ["score", "errors", "expected"]
    golden = document["golden"]
    (score,) = session.run(["score"], {"readings": np.asarray(golden["readings"], np.float32)})
    allowed = golden["absolute_tolerance"] + golden["relative_tolerance"] * np.abs(golden["scores"])
    assert (np.abs(score - golden["scores"]) <= allowed).all()


def test_the_graph_computes_the_documented_formula(tmp_path: Path) -> None:
    path = make_bundle(tmp_path, smooth=4)
    constants = {
        t.name: onnx.numpy_helper.to_array(t).astype(np.float64) for t in onnx.load(path).graph.initializer
    }
    readings = normal_rows(100, seed=5)
    scaled = (readings - constants["scaler.offset"]) / constants["scaler.scale"]
    value = scaled
    for layer in range(0, 11, 2):
        value = value @ constants[f"layer{layer}.weight"] + constants[f"layer{layer}.bias"]
        value = np.maximum(value, 0) if layer < 10 else value
    white = (scaled - value - constants["whitening.centre"]) @ constants["whitening.matrix"]
    own = white**2 / 4
    cap, state = constants["smoothing.cap"], np.zeros((3, 4), np.float32)
    capped = np.vstack([state, own * np.minimum(1, cap / own.sum(1, keepdims=True))])
    mean = np.stack([capped[i : i + 4].mean(0) for i in range(100)])
    errors = np.maximum(own, mean)
    assert (mean > own).sum() > 10
    session = onnxruntime.InferenceSession(str(path))
    score, found, expected, state_out = session.run(None, {"readings": readings, "state": state})
    np.testing.assert_allclose(state_out, capped[-3:], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found, errors, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(score, errors.sum(1), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(
        expected, value * constants["scaler.scale"] + constants["scaler.offset"], rtol=1e-5
    )


def diagonal(matrix: Any) -> tuple[Any, Any]:
    """The two blocks of a matrix that is zero elsewhere."""
    rows, columns = (size // 2 for size in matrix.shape)
    assert not matrix[:rows, columns:].any()
    assert not matrix[rows:, :columns].any()
    return matrix[:rows, :columns], matrix[rows:, columns:]


@pytest.mark.parametrize("others", [{}, {"lasting": 5, "sudden": 0.25}], ids=["two channels", "all channels"])
def test_channels_compute_the_documented_formula(others: dict[str, Any], tmp_path: Path) -> None:
    path = make_bundle(tmp_path, channels=True, horizon=1024.0, **others)
    constants = {
        t.name: onnx.numpy_helper.to_array(t).astype(np.float64) for t in onnx.load(path).graph.initializer
    }
    readings, random = normal_rows(200, seed=5), np.random.default_rng(6)
    spread = np.asarray(json.loads(onnx.load(path).metadata_props[0].value)["baseline"]["spread"])
    columns = 16 if others else 8
    baseline, bound = random.normal(0, 0.5, columns) * spread, spread * random.uniform(0.5, 2, columns)
    given = {"baseline": baseline[None].astype(np.float32), "bound": bound[None].astype(np.float32)}
    if others:
        readings[50, 2] += 1e6  # beyond reach
        given["state"] = np.zeros((4, 4), np.float32)
    session = onnxruntime.InferenceSession(str(path))
    names = ["score", "errors", "expected", "residuals"]
    score, errors, expected, residuals = session.run(names, {"readings": readings, **given})

    scaled = (readings - constants["scaler.offset"]) / constants["scaler.scale"]
    value = scaled
    for layer in range(0, 11, 2):
        value = value @ constants[f"layer{layer}.weight"] + constants[f"layer{layer}.bias"]
        value = np.maximum(value, 0) if layer < 10 else value
    distance = scaled - constants["sensors.level"]
    wanted = np.hstack([scaled - value, distance])
    if others:
        known = np.maximum(np.minimum(distance, constants["reach.high"]), constants["reach.low"])
        series = np.vstack([np.zeros((4, 4)), known])
        lasting = np.mean([series[i : i + len(known)] for i in range(5)], 0)
        wanted = np.hstack([wanted, lasting, known + series[3:-1] @ constants["sudden.gone"]])
    np.testing.assert_allclose(residuals, wanted, rtol=1e-3, atol=1e-5)

    # Both views lie side by side.
    whitening, _ = diagonal(constants["whitening.matrix"])
    energies, weights = diagonal(constants["channels.energies"]), diagonal(constants["channels.weights"])[0]
    by_sensor, again = np.split(constants["sensors.shares"], 2)
    np.testing.assert_array_equal(by_sensor, again)

    def squares(of: Any) -> Any:
        return (of @ whitening) ** 2

    def view(of: Any, sums: Any) -> Any:
        return np.exp(np.log(of @ sums + 1e-30) @ weights)

    moved = np.maximum(np.minimum(wanted - baseline, bound), -bound)
    own, other = view(squares(wanted), energies[0]), view(squares(moved), energies[1])
    assert 20 < (own < other).sum() < 180
    least, part = np.minimum(own, other), own / (own + other)
    np.testing.assert_allclose(score, least[:, 0], rtol=1e-3, atol=1e-5)
    shares = ((1 - part) * squares(wanted) + part * squares(moved)) @ by_sensor
    shared = shares * least / shares.sum(1, keepdims=True)
    np.testing.assert_allclose(errors, shared, rtol=2e-3, atol=1e-5)
    levels = (value + part * baseline[:4]) * constants["scaler.scale"] + constants["scaler.offset"]
    np.testing.assert_allclose(expected, levels, rtol=1e-4)


def test_the_content_digest_is_as_documented(tmp_path: Path) -> None:
    data = make_bundle(tmp_path).read_bytes()
    stated = json.loads(onnx.ModelProto.FromString(data).metadata_props[0].value)["content_digest"]
    digits = stated.removeprefix("sha256:").encode()
    assert data.count(digits) == 1
    assert hashlib.sha256(data.replace(digits, b"0" * 64)).hexdigest().encode() == digits
