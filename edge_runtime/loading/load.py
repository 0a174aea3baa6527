"""From a file to a bundle that is ready to use: every check, on the same bytes, read once."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.bundle.agreement import check_agreement
from edge_runtime.bundle.caps import MAX_FILE_BYTES
from edge_runtime.bundle.digest import check_content_digest, stated_digest
from edge_runtime.bundle.gate import Graph, check_graph
from edge_runtime.bundle.metadata import Metadata
from edge_runtime.bundle.outline import Outline, read_outline
from edge_runtime.errors import (
    BundleError,
    BundleFormatError,
    GateError,
    SignatureError,
    UsageError,
)
from edge_runtime.files import read_regular
from edge_runtime.loading.selftest import SelfTest, replay
from edge_runtime.scoring.session import make_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.loading.trial import Trial
    from edge_runtime.signing.trust import Approval, Trust

__all__ = ["STEPS", "Bundle", "Step", "is_default", "load_bundle", "load_bytes", "read_bundle"]

DEFAULT = "default.onnx"
DEFAULT_NAME = "default"
STEPS = (
    "size",
    "signature",
    "outline",
    "content digest",
    "gate",
    "metadata",
    "trial",
    "session",
    "self-test",
)


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
        approval: Its signature, when it was loaded with trusted keys.
    """

    name: str
    digest: str
    size: int
    metadata: Metadata
    outline: Outline
    graph: Graph
    self_test: SelfTest
    session: Any
    approval: Approval | None = None

    @property
    def short_digest(self) -> str:
        """The digest's first twelve digits: enough to name it in a log."""
        return self.digest[: len("sha256:") + 12]


def load_bundle(
    path: Path | str | None = None,
    *,
    on_step: Callable[[Step], None] | None = None,
    trust: Trust | None = None,
    trial: Trial | None = None,
) -> Bundle:
    """Loads and proves a bundle.

    Args:
        path: The file; None or "default" for the one that comes with this package.
        on_step: Called after each check that was passed.
        trust: Who must have signed it; None for a bundle that need not be signed.
        trial: How a bundle that this machine has not seen before is tried; None for the usual way, which
            leaves the default bundle out: it comes with the code that would try it.

    Raises:
        UsageError: There is no such file, or it cannot be read.
        BundleError: The bundle was refused; the subclass says why.
    """
    name, data = read_bundle(path)
    if trial is None and not is_default(path):
        from edge_runtime.loading.trial import Trial  # noqa: PLC0415 - not for the default bundle

        trial = Trial()
    signed = None if is_default(path) else Path(str(path))
    return load_bytes(data, name, on_step=on_step, trust=trust, signed=signed, trial=trial)


def is_default(path: Path | str | None) -> bool:
    """Whether this names the bundle that comes with this package."""
    return path is None or str(path) == DEFAULT_NAME


def read_bundle(path: Path | str | None) -> tuple[str, bytes]:
    """A bundle's file name and bytes, not checked but for their number.

    Raises:
        UsageError: There is no such file, or it cannot be read.
        BundleError: It is larger than any bundle.
    """
    if path is None or is_default(path):
        if path is not None and Path(path).exists():
            raise UsageError(
                f"'{path}' is the bundle that comes with edge-detect, but a file of this name exists here",
                hint=f"write {Path(path).absolute()} to use the file",
            )
        return DEFAULT, (Path(__file__).parents[1] / "data" / DEFAULT).read_bytes()
    path = Path(path)
    try:
        data = read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        raise UsageError(
            f"cannot read the bundle ({error.strerror})",
            where=str(path),
            hint="name a bundle that edge-export wrote",
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise GateError(
            f"larger than any bundle, which has at most {MAX_FILE_BYTES:,} bytes", where=str(path)
        )
    return path.name, data


def load_bytes(
    data: bytes,
    name: str,
    *,
    on_step: Callable[[Step], None] | None = None,
    trust: Trust | None = None,
    signed: Path | None = None,
    trial: Trial | None = None,
) -> Bundle:
    """The same for bytes in memory.

    Args:
        data: The whole file.
        name: What to call it in errors.
        on_step: Called after each check that was passed.
        trust: Who must have signed it; None for a bundle that need not be signed.
        signed: The bundle's path, beside which its signature lies; with `trust`.
        trial: How it is tried in a process of its own; None for bytes of one's own making, which are not.

    Raises:
        BundleError: The bundle was refused; the subclass says why.
    """

    def passed(step: str, finding: str) -> None:
        if on_step is not None:
            on_step(Step(step, finding))

    with _named(name):
        passed("size", f"{len(data):,} bytes")
        approval = None
        if trust:
            from edge_runtime.signing.beside import read_signature  # noqa: PLC0415 - not without trusted keys

            if signed is None:
                raise SignatureError(
                    "not signed: it comes with edge-detect, but trusted keys are set",
                    hint="name a signed bundle with --bundle",
                )
            approval = trust.check(data, read_signature(signed))
        passed("signature", approval.finding if approval else "not checked: no trusted keys are set")
        outline = read_outline(data)
        passed("outline", f"ONNX, opset {outline.opset}, IR {outline.ir_version}")
        stated = stated_digest(data, outline.metadata)
        document = data[outline.metadata]
        if stated is None:
            Metadata.from_json(document)  # says more of a file that is of another version, or damaged there
            raise BundleFormatError(
                "is not 'sha256:' and 64 lower-case digits", where="metadata: content_digest"
            )
        digest = check_content_digest(data, outline.metadata, stated)
        passed("content digest", stated)
        try:
            graph = check_graph(data, outline.graph)
        except GateError:
            _refuse_other_versions(document)
            raise
        passed(
            "gate", f"{sum(graph.operators.values())} nodes, {graph.initializer_bytes:,} bytes of constants"
        )
        metadata = Metadata.from_json(document)
        if metadata.content_digest != stated:
            raise BundleFormatError("must be in the file exactly once", where="metadata: content_digest")
        check_agreement(metadata, graph)
        passed("metadata", f"format version {metadata.format_version}, {graph.sensors} sensors")
        passed("trial", trial(data, digest) if trial else "not needed")
        session = make_session(data)
        passed("session", "ONNX Runtime, CPU, one thread")
        self_test = replay(session, metadata)
        passed(
            "self-test",
            f"{self_test.rows} golden rows, largest difference {self_test.largest_difference:.3g}",
        )
        if trust and approval:
            trust.remember(approval)
    return Bundle(name, digest, len(data), metadata, outline, graph, self_test, session, approval)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Puts the file's name in front of where an error was found."""
    try:
        yield
    except BundleError as error:
        where = f"{name}: {error.where}" if error.where else name
        raise type(error)(error.what, where=where, hint=error.hint) from None


def _refuse_other_versions(document: bytes) -> None:
    """That a file is of a later version says more than that it holds an operator of that version."""
    try:
        Metadata.from_json(document)
    except BundleFormatError as error:
        if error.where == "metadata: format_version":
            raise
