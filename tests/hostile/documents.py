"""Bundles whose metadata document is broken, hostile, or does not fit the graph."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import onnx
from hostile.files import field
from support.tampering import restamped, with_document

from edge_runtime.bundle.metadata import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hostile.files import Entry

__all__ = ["drifting", "hostile"]

NOT_JSON = "the metadata is not JSON"


def hostile(good: bytes) -> Iterator[Entry]:
    """The files."""
    yield from _texts(good)
    yield from _values(good)
    yield from _golden(good)


def drifting(good: bytes) -> Iterator[Entry]:
    """Of a bundle with a slow baseline."""

    def changed(name: str, value: Any) -> bytes:
        return with_document(good, lambda d: d["baseline"].update({name: value}))

    yield "a baseline that advances never", changed("rows", 2**62), "baseline.rows: is out of range"
    yield "a baseline that leaps", changed("gain", 1e30), "baseline.horizon: is out of range"
    yield "a baseline that is not bounded", changed("far", 1e300), "baseline.far: is out of range"
    yield "a baseline of another width", changed("spread", [1.0] * 100_000), "spread: has 100000 numbers"
    yield (
        "a baseline of nested lists",
        changed("golden", [[[]]] * 9),
        "golden: expected an object, found a list",
    )
    yield "a baseline that follows faster", changed("horizon", 512.0), "golden rows do not move the baseline"
    yield (
        "a need of which nothing is known",
        with_document(good, lambda d: d["needs"].append("\x1b[2J")),
        "the bundle needs .*, which this edge-detect does not know",
    )


def _texts(good: bytes) -> Iterator[Entry]:
    model = onnx.ModelProto.FromString(good)
    document = model.metadata_props[0].value
    digest = json.loads(document)["content_digest"]
    model.ClearField("metadata_props")
    rest = model.SerializeToString(deterministic=True)

    def written(text: str | bytes) -> bytes:
        """The bundle with this document, which states a digest somewhere."""
        value = text.encode() if isinstance(text, str) else text
        return restamped(rest + field(14, field(1, METADATA_KEY.encode()) + field(2, value)))

    def with_field(text: str) -> bytes:
        return written(f"{document[:-1]},{text}}}")

    yield "no document", written(""), NOT_JSON
    yield "a document cut off", written(document[:-20]), NOT_JSON
    yield "two documents", written(document + document.replace(digest, "")), NOT_JSON
    yield "a list of documents", written(f"[{document}]"), "the metadata is not a JSON object"
    yield (
        "a document that is not UTF-8",
        written(document.encode().replace(b"press-1", b"press\xff1")),
        NOT_JSON,
    )
    yield "a document in UTF-16", written(document.encode("utf-16")), NOT_JSON
    yield "a document with a byte order mark", written("\ufeff" + document), NOT_JSON
    yield "a hundred thousand nested lists", with_field('"x":' + "[" * 100_000), NOT_JSON
    yield "a hundred thousand nested objects", with_field('"x":' + '{"a":' * 100_000), NOT_JSON
    for depth in (500, 900, 960, 980):
        nested = "[" * depth + "]" * depth
        yield f"{depth} nested lists", with_field(f'"x":{nested}'), f"an unknown field|{NOT_JSON}"
    deep = document.replace('"cadence_seconds":1.0', '"cadence_seconds":' + "[" * 900 + "]" * 900)
    yield "a number that is nested lists", written(deep), f"expected a finite number, found a list|{NOT_JSON}"
    yield "a number of 100,000 digits", with_field('"x":' + "1" * 100_000), NOT_JSON
    yield (
        "a number of 4,000 digits",
        written(document.replace('"rows":2000', '"rows":' + "1" * 4000)),
        "expected a whole number of at most 64 bits",
    )
    yield "a field twice", with_field('"cadence_seconds":2'), "cadence_seconds: a field appears twice"
    many = ",".join(f'"k{i}":1' for i in range(60_000)) + ',"k59999":1'
    yield "60,000 fields, one of them twice", with_field(f'"x":{{{many}}}'), "k59999: a field appears twice"
    yield (
        "a digest twice",
        with_field(f'"content_digest":"sha256:{"0" * 64}"'),
        "a field appears twice|exactly once|does not match",
    )
    hidden = document.replace('"content_digest"', '"content\\u005fdigest"')
    yield "a digest behind an escape", written(hidden), "is not 'sha256:' and 64 lower-case digits|damaged"
    elsewhere = document.replace(
        f'"content_digest":"{digest}"', '"content\\u005fdigest":"sha256:' + "1" * 64 + '"'
    )
    elsewhere = elsewhere.replace('"versions":{', f'"versions":{{"content_digest":"{digest}",')
    yield "a digest in another place", written(elsewhere), "exactly once"


def _values(good: bytes) -> Iterator[Entry]:
    def changed(path: str, value: Any) -> bytes:
        def change(document: dict[str, Any]) -> None:
            place: Any = document
            *folders, last = path.split(".")
            for name in folders:
                place = place[int(name)] if name.isdigit() else place[name]
            place[last] = value

        return with_document(good, change)

    def removed(path: str) -> bytes:
        return with_document(good, lambda d: d.pop(path))

    number = "expected a finite number"
    for path, value, message in (
        ("format_version", 3, "bundle format version 3, but this edge-detect reads versions 1 and 2"),
        ("format_version", 2, "needs: is not a list of names"),
        ("needs", ["baseline"], "needs: an unknown field"),
        ("format_version", True, "bundle format version true"),
        ("format_version", "1", 'bundle format version "1"'),
        ("format_version", [[]] * 9, "bundle format version a list of 9"),
        ("threshold.value", float("nan"), number),
        ("threshold.value", float("inf"), number),
        ("threshold.value", -1.0, "a threshold must be finite and positive"),
        ("threshold.value", 0, "a threshold must be finite and positive"),
        ("threshold.value", 10**400, number),
        ("threshold.value", "1", number),
        ("threshold.value", None, number),
        ("threshold.rows", 1.5, "expected a whole number"),
        ("threshold.rows", 10**30, "expected a whole number of at most 64 bits"),
        ("threshold.hold.cap", -1, "a hold needs"),
        ("threshold.per_machine", {"press\n1": 1.0}, "expected printable text"),
        ("threshold.per_machine", {"press-1": -1.0}, "a threshold must be finite and positive"),
        ("threshold.value", 1e39, "1e.39 is no score that float32 holds"),
        ("threshold.value", 1e-40, "1e-40 is no score that float32 holds"),
        ("threshold.per_machine", {"press-1": 1e300}, "per_machine.press-1: 1e.300 is no score"),
        ("threshold.per_machine", {"press\u200b-1": 1.0}, "expected printable text"),
        ("threshold.per_machine", {"pr\u0435ss-1": 1.0}, "mixes letters that look alike"),
        ("threshold.quantile", 1.5, "threshold.quantile: must be 0 to 1, not 1.5"),
        ("threshold.quantile", -0.1, "threshold.quantile: must be 0 to 1"),
        ("threshold.rows", -1, "threshold.rows: must not be negative, and is -1"),
        ("threshold.hold.cap", 1e9, "a hold would begin or end only after more than 100,000 rows"),
        ("threshold.hold.fall", 1e-9, "a hold would begin or end only after more than 100,000 rows"),
        ("threshold.hold", {"rise": 1e-9, "fall": 1, "cap": 2, "level": 1}, "a hold would begin or end only"),
        ("model.parameters", -1, "model.parameters: must not be negative"),
        ("provenance.seed", -1, "provenance.seed: must not be negative"),
        ("provenance.seed", 2**64, "expected a whole number of at most 64 bits"),
        ("provenance.time_start", "yesterday", "'yesterday' is no time as in ISO 8601"),
        ("provenance.time_stop", "2026-02-30T00:00:00Z", "provenance.time_stop: .* is no time"),
        ("provenance.created", "x" * 300, "provenance.created: .* is no time"),
        ("provenance.time_start", "2030-01-01T00:00:00Z", "the training data begins after its end"),
        ("provenance.machines", ["press\u202e1"], "expected printable text"),
        ("cadence_seconds", 1e-9, "cadence_seconds: must be a microsecond to a year"),
        ("cadence_seconds", 1e9, "cadence_seconds: must be a microsecond to a year"),
        ("sensors.0.unit", "\u200b", "expected printable text"),
        ("sensors.0.name", "x" * 200, "has 200 characters, and a name has at most 128"),
        ("sensors.0.name", "time", "is the name of a column that the results have themselves"),
        ("sensors.0.name", "vibr\u0430tion", "mixes letters that look alike, Cyrillic and Latin"),
        ("sensors.0.name", "error_vibration", "is also the column that the results have for the sensor"),
        ("sensors.0.training_range", [-1e300, 1e300], "a range is wider than float32"),
        ("sensors.0.physical_range", [5.0, 5.0], "its physical range is empty"),
        ("sensors.0.physical_range", [1000.0, 2000.0], "no row would be judged"),
        ("threshold.surplus", 1, "threshold.surplus: an unknown field"),
        ("cadence_seconds", 0, "cadence_seconds: must be above zero"),
        ("cadence_seconds", -1, "cadence_seconds: must be above zero"),
        ("limits.memory_mb", -1, "limits.memory_mb: must be above zero"),
        ("sensors", [], "names 0 sensors, but the graph takes 4"),
        ("sensors", {}, "sensors: expected a list, found an object of 0"),
        ("sensors.0.name", "", "contains a sensor without a name, or the same sensor twice"),
        ("sensors.0.name", "vibration", "contains a sensor without a name, or the same sensor twice"),
        ("sensors.0.name", "\x1b[2J", "sensors.0..name: expected printable text"),
        ("sensors.0.name", "\ud800", "sensors.0..name: expected printable text"),
        ("sensors.0.name", 7, "sensors.0..name: expected printable text, found 7"),
        ("sensors.0.training_range", [1.0], "expected 2 values, found a list of 1"),
        ("sensors.0.physical_range", [9.0, 1.0], "the lower end of a range is above its upper end"),
        ("model.state_shape", [1, 4], "but the graph's is None"),
        ("model.time_of_day", True, "needs the time of day"),
        ("model.time_of_day", 0, "expected true or false"),
        ("warm_up_rows", 10, "needs warm-up rows"),
        ("content_digest", "sha256:12", "is not 'sha256:' and 64 lower-case digits"),
        ("content_digest", None, "content_digest: expected printable text"),
    ):
        shown = json.dumps(value)
        yield f"{path} of {shown if len(shown) < 30 else shown[:20] + '…'}", changed(path, value), message
    for path in ("sensors", "golden", "threshold", "content_digest", "format_version"):
        message = "format version null" if path == "format_version" else f"{path}: a field is missing"
        yield f"no {path}", removed(path), message
    yield "an unknown field in the document", changed("colour", "red"), "colour: an unknown field"
    yield "an unknown field with an escape", changed("\x1b[2J", 1), r"\\u001b\[2J.*: an unknown field"


def _golden(good: bytes) -> Iterator[Entry]:
    def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
        return with_document(good, lambda d: change(d["golden"]))

    out = "golden rows do not give the scores that the trainer computed"
    proves = "golden tolerance: is negative, or so large that it proves nothing"
    fit = "golden rows: are missing, or do not fit the graph"
    yield (
        "a golden score that does not match",
        changed(lambda g: g["scores"].__setitem__(3, g["scores"][3] * 1.01)),
        out,
    )
    yield "golden scores of zero", changed(lambda g: g.update(scores=[0.0] * len(g["scores"]))), out
    yield "a golden reading beyond float32", changed(lambda g: g["readings"][0].__setitem__(0, 1e300)), out
    yield "no golden rows", changed(lambda g: g.update(readings=[], scores=[])), fit
    yield "golden rows without scores", changed(lambda g: g.update(scores=[])), fit
    yield (
        "golden rows of another width",
        changed(lambda g: g.update(readings=[[1.0]] * len(g["scores"]))),
        fit,
    )
    yield "golden times of day", changed(lambda g: g.update(time_of_day=[0.0] * len(g["scores"]))), fit
    yield "a tolerance of 1", changed(lambda g: g.update(relative_tolerance=1.0)), proves
    yield "a huge tolerance", changed(lambda g: g.update(absolute_tolerance=1e30)), proves
    yield "a negative tolerance", changed(lambda g: g.update(absolute_tolerance=-1.0)), proves
    yield (
        "a tolerance that is not a number",
        changed(lambda g: g.update(relative_tolerance=float("nan"))),
        "expected a finite number",
    )
