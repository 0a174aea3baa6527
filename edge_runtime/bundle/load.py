"""From a file to a bundle that is ready to use: every check, on the same bytes, read once."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.bundle.digest import check_content_digest, file_digest
from edge_runtime.bundle.gate import MAX_FILE_BYTES, Graph, Outline, check_graph, read_outline
from edge_runtime.bundle.metadata import Golden, Metadata
from edge_runtime.bundle.selftest import SelfTest, replay
from edge_runtime.errors import BundleError, BundleFormatError, GateError, UsageError
from edge_runtime.scoring.session import make_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["STEPS", "Bundle", "Step", "load_bundle", "load_bytes", "read_bundle"]

DEFAULT = "default.onnx"
STEPS = ("size", "gate", "metadata", "content digest", "session", "self-test")


@dataclass(frozen=True, slots=True)
class Step:
    """A check that a bundle passed: one of `STEPS`, and what was found."""

    name: str
    finding: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that passed every check.

    Attributes:
        name: Its file name.
        digest: "sha256:" and 64 digits over the whole file: its name in logs and points.
        size: Of the file, in bytes.
        metadata: What it says of itself.
        outline: Its ONNX versions.
        graph: What its graph holds.
        self_test: How its golden rows came out.
        session: The `onnxruntime.InferenceSession`: `readings` to `score`, `errors`, `expected`.
    """

    name: str
    digest: str
    size: int
    metadata: Metadata
    outline: Outline
    graph: Graph
    self_test: SelfTest
    session: Any


def load_bundle(path: Path | str | None = None, *, on_step: Callable[[Step], None] | None = None) -> Bundle:
    """Loads and proves a bundle.

    Args:
        path: The file; None for the default one that comes with this package.
        on_step: Called after each check that was passed.

    Raises:
        UsageError: There is no such file, or it cannot be read.
        BundleError: The bundle was refused; the subclass says why.
    """
    name, data = read_bundle(path)
    return load_bytes(data, name, on_step=on_step)


def read_bundle(path: Path | str | None) -> tuple[str, bytes]:
    """A bundle's file name and bytes, not checked but for their number.

    Raises:
        UsageError: There is no such file, or it cannot be read.
        BundleError: It is larger than any bundle.
    """
    if path is None:
        return DEFAULT, resources.files("edge_runtime").joinpath("data", DEFAULT).read_bytes()
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read the bundle ({error.strerror})",
            where=str(path),
            mend="name a bundle that edge-export wrote",
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise GateError(
            f"larger than any bundle, which has at most {MAX_FILE_BYTES:,} bytes", where=str(path)
        )
    return path.name, data


def load_bytes(data: bytes, name: str, *, on_step: Callable[[Step], None] | None = None) -> Bundle:
    """The same for bytes in memory.

    Args:
        data: The whole file.
        name: What to call it in errors.
        on_step: Called after each check that was passed.

    Raises:
        BundleError: The bundle was refused; the subclass says why.
    """

    def passed(step: str, finding: str) -> None:
        if on_step is not None:
            on_step(Step(step, finding))

    with _named(name):
        passed("size", f"{len(data):,} bytes")
        outline = read_outline(data)
        document = data[outline.metadata.start : outline.metadata.stop]
        try:
            graph = check_graph(data, outline.graph)
        except GateError:
            _refuse_other_versions(document)
            raise
        passed(
            "gate", f"{sum(graph.operators.values())} nodes, opset {outline.opset}, IR {outline.ir_version}"
        )
        metadata = Metadata.from_json(document)
        _check_agreement(metadata, graph)
        passed("metadata", f"format version {metadata.format_version}, {graph.sensors} sensors")
        check_content_digest(data, outline.metadata, metadata.content_digest)
        passed("content digest", metadata.content_digest)
        session = make_session(data)
        passed("session", "ONNX Runtime, CPU, one thread")
        self_test = replay(session, metadata.model, metadata.golden)
        passed(
            "self-test",
            f"{self_test.rows} golden rows, largest difference {self_test.largest_difference:.3g}",
        )
    return Bundle(name, file_digest(data), len(data), metadata, outline, graph, self_test, session)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Puts the file's name in front of where an error was found."""
    try:
        yield
    except BundleError as error:
        where = f"{name}: {error.where}" if error.where else name
        raise type(error)(error.what, where=where, mend=error.mend) from None


def _refuse_other_versions(document: bytes) -> None:
    """That a file is of a later version says more than that it holds an operator of that version."""
    try:
        Metadata.from_json(document)
    except BundleFormatError as error:
        if error.where == "metadata: format_version":
            raise


def _check_agreement(metadata: Metadata, graph: Graph) -> None:
    """What the metadata says of the graph must be so, and its parts must fit together."""
    sensors = metadata.sensor_names
    if len(sensors) != graph.sensors:
        raise BundleFormatError(
            f"names {len(sensors)} sensors, but the graph takes {graph.sensors}", where="metadata: sensors"
        )
    if len(set(sensors)) != len(sensors) or not all(sensors):
        raise BundleFormatError("holds a sensor without a name, or one twice", where="metadata: sensors")
    for sensor in metadata.sensors:
        for low, high in filter(None, (sensor.physical_range, sensor.training_range)):
            if low > high:
                raise BundleFormatError("a range is upside down", where=f"metadata: sensor {sensor.name}")
    if metadata.model.state_shape != graph.state_shape:
        raise BundleFormatError(
            f"states a memory of shape {metadata.model.state_shape}, but the graph's is {graph.state_shape}",
            where="metadata: model.state_shape",
        )
    if metadata.model.time_of_day != graph.time_of_day:
        raise BundleFormatError(
            "says otherwise than the graph whether it asks for the time of day",
            where="metadata: model.time_of_day",
        )
    if metadata.warm_up_rows:
        raise BundleFormatError(
            "the model warms up, which this edge-detect cannot serve",
            where="metadata: warm_up_rows",
            mend="install a newer edge-detect",
        )
    _check_golden(metadata.golden, graph)


def _check_golden(golden: Golden, graph: Graph) -> None:
    times = len(golden.time_of_day) if golden.time_of_day is not None else 0
    fits = all(len(row) == graph.sensors for row in golden.readings)
    fits &= times == (len(golden.readings) if graph.time_of_day else 0)
    if not golden.readings or len(golden.scores) != len(golden.readings) or not fits:
        raise BundleFormatError("there are none, or they do not fit the graph", where="metadata: golden rows")
    if not (0 <= golden.relative_tolerance <= MAX_RELATIVE_TOLERANCE and golden.absolute_tolerance >= 0):
        raise BundleFormatError("proves nothing", where="metadata: golden tolerance")


# A self-test that lets a score be off by more than this would pass a wrong model.
MAX_RELATIVE_TOLERANCE = 0.01
