"""The self-test: a bundle's golden rows must give the scores that the trainer saw, on this very machine."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import SelfTestError
from edge_runtime.records import Readings
from edge_runtime.scoring.graph import Graph
from edge_runtime.scoring.inference import infer, initial_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Baseline, BaselineState, Degraded, Metadata, Model
    from edge_runtime.loading.load import Bundle
    from edge_runtime.records import Scores
    from edge_runtime.scoring.baseline import Given

__all__ = ["DailyReplay", "SelfTest", "replay", "run_graph", "running"]

REPLAY_EVERY_S = 86_400.0
AGAIN = "export the model again; if that does not help, this machine computes differently"
# By how much a row's residual may differ from the trainer's: in parts of what is usual for it, which counts
# as no less than the second of these, for float32 rounds; and a sum, in parts of itself.
ROUNDED, LEAST_SPREAD, RELATIVE = 0.01, 1e-3, 1e-6


@dataclass(frozen=True, slots=True)
class SelfTest:
    """How the golden rows came out.

    Attributes:
        rows: Number of golden rows.
        largest_difference: Largest difference between a replayed score and the trainer's.
        allowance_used: Largest part of its tolerance that a row used, 0 to 1.
    """

    rows: int
    largest_difference: float
    allowance_used: float


def replay(session: Any, metadata: Metadata) -> SelfTest:
    """Scores the golden rows and compares.

    Args:
        session: Of the bundle.
        metadata: What the bundle says of itself.

    Raises:
        SelfTestError: A score differs by more than the tolerance, or the graph cannot be run.
    """
    golden = metadata.golden
    with np.errstate(over="ignore"):  # a reading beyond float32 becomes infinite, and fails below
        rows = np.asarray(golden.readings, np.float32)
    wanted = np.asarray(golden.scores, np.float64)
    seconds = None if golden.time_of_day is None else np.asarray(golden.time_of_day, np.float32)
    score, after = _scored(session, metadata, rows, seconds)
    difference = np.abs(np.asarray(score, np.float64) - wanted)
    allowance = golden.absolute_tolerance + golden.relative_tolerance * np.abs(wanted)
    _refuse_wrong(score, wanted, allowance, "golden rows")
    if metadata.degraded is not None:
        _check_degraded(session, metadata, metadata.degraded, rows, seconds)
    if metadata.baseline is not None and after is not None and golden.baseline_after is not None:
        _check_baseline(metadata.baseline, after, golden.baseline_after, len(rows))
    return SelfTest(
        len(rows), float(difference.max()), float((difference / np.maximum(allowance, 1e-300)).max())
    )


def _scored(
    session: Any, metadata: Metadata, rows: NDArray[np.float32], seconds: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], BaselineState | None]:
    """[rows] scores of golden rows, and where the baseline stands then.

    Raises:
        SelfTestError: The graph cannot be run.
    """
    if metadata.baseline is None:
        return run_graph(session, metadata.model, rows, seconds)[0].score, None
    return _with_baseline(session, metadata, metadata.baseline.golden, rows, seconds)


def _refuse_wrong(
    score: NDArray[np.float32], wanted: NDArray[np.float64], allowance: NDArray[np.float64], what: str
) -> None:
    """Refuses scores that are off by more than they may be.

    Raises:
        SelfTestError: One is.
    """
    # Written so that a NaN counts as different.
    wrong = np.flatnonzero(~(np.abs(np.asarray(score, np.float64) - wanted) <= allowance))
    if len(wrong):
        first = int(wrong[0])
        raise SelfTestError(
            f"{len(wrong)} of {len(wanted)} {what} do not give the scores that the trainer computed: "
            f"row {first} scores {score[first]:.6g} instead of {wanted[first]:.6g}",
            where="self-test",
            hint=AGAIN,
        )


def _check_degraded(
    session: Any,
    metadata: Metadata,
    degraded: Degraded,
    rows: NDArray[np.float32],
    seconds: NDArray[np.float32] | None,
) -> None:
    """Whether golden rows score as the trainer saw it, each sensor in turn being filled in one of them.

    Raises:
        SelfTestError: They do not, or the graph cannot be run.
    """
    from edge_runtime.scoring.filling import Filling, in_turns  # noqa: PLC0415 - for the bundles that have it

    with np.errstate(over="ignore"):
        index, filled = in_turns(Filling(degraded.absent, metadata.sensors), rows)
    moments = None if seconds is None else seconds[index]
    score, _ = _scored(session, metadata, filled, moments)
    wanted = np.asarray(degraded.golden, np.float64)
    allowance = degraded.absolute_tolerance + metadata.golden.relative_tolerance * np.abs(wanted)
    _refuse_wrong(score, wanted, allowance, "golden rows with a sensor missing")


def _with_baseline(
    session: Any,
    metadata: Metadata,
    start: BaselineState,
    rows: NDArray[np.float32],
    seconds: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float32], BaselineState | None]:
    """[rows] scores, from where a baseline stands, and where it stands then; it moves as it would in use.

    Raises:
        SelfTestError: The graph cannot be run.
    """
    with running():
        graph = Graph(session, metadata)
        times = np.arange(len(rows), dtype=np.int64)
        if seconds is not None:
            times = np.rint(seconds.astype(np.float64) * 1e9).astype(np.int64)
        graph.begin("golden", start)
        score = graph.score(Readings.coded(("golden",), None, times, rows), None).score
        return score, graph.baseline_of("golden")


def _check_baseline(baseline: Baseline, found: BaselineState, wanted: BaselineState, rows: int) -> None:
    """Whether the golden rows moved the baseline to where the trainer saw it.

    Raises:
        SelfTestError: They did not.
    """
    spread = np.maximum(baseline.spread, LEAST_SPREAD)
    sums = ROUNDED * rows * spread
    # A row that lies at a bound may count as beyond it on one machine alone.
    for name, allowed in (
        ("rows", 0),
        ("values", sums * max(1.0, baseline.gain) / baseline.horizon),
        ("persistence", 2 / baseline.horizon),
        ("near", sums),
        ("far", sums),
        ("beyond", 1),
    ):
        one, other = (np.asarray(getattr(state, name), np.float64) for state in (found, wanted))
        if not (np.abs(one - other) <= allowed + RELATIVE * np.abs(other)).all():
            raise SelfTestError(
                f"the golden rows do not move the baseline to where the trainer saw it: its {name} differ",
                where="self-test",
                hint=AGAIN,
            )


def run_graph(
    session: Any,
    model: Model,
    rows: NDArray[np.float32],
    time_of_day: NDArray[np.float32] | None,
    state: NDArray[np.float32] | None = None,
    baseline: Given | None = None,
) -> tuple[Scores, NDArray[np.float32] | None]:
    """Scores rows, from the start of a machine or from a state; returns the state to go on with, too.

    Args:
        session: As `make_session` made it.
        model: What the bundle says of its model.
        rows: [rows, sensors] raw units.
        time_of_day: [rows] seconds since midnight UTC, for a model that asks; else None.
        state: What an earlier call returned; None for the start.
        baseline: The slow baseline and the bound, for a graph that asks; else None.

    Raises:
        SelfTestError: The graph cannot be run, or its outputs have other shapes than it declares.
    """
    with running():
        before = initial_state(model) if state is None else state
        found, after, residuals = infer(session, rows, before, time_of_day, baseline)
    if (
        residuals is not None
        and baseline is not None
        and residuals.shape != (len(rows), baseline[0].shape[1])
    ):
        raise SelfTestError("the residuals do not have the shape that the graph declares", where="self-test")
    shapes = (found.errors.shape, found.expected.shape, None if after is None else after.shape)
    if found.score.shape != rows.shape[:1] or shapes != (rows.shape, rows.shape, model.state_shape):
        raise SelfTestError("the outputs do not have the shapes that the graph declares", where="self-test")
    return found, after


@contextmanager
def running() -> Iterator[None]:
    """What ONNX Runtime raises meanwhile becomes a `SelfTestError`."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no base class below Exception
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SelfTestError(
            f"ONNX Runtime cannot run the graph ({reason[:200]})", where="self-test"
        ) from None


class DailyReplay:
    """Once a day the golden rows, on the session that scores: memory and processors fail, too.

    Args:
        bundle: Which one.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, bundle: Bundle, clock: Callable[[], float]) -> None:
        self._bundle = bundle
        self._clock = clock
        self._proved = clock()

    def __call__(self) -> None:
        """Replays them if a day has passed.

        Raises:
            SelfTestError: They no longer come out.
        """
        if self._clock() - self._proved < REPLAY_EVERY_S:
            return
        bundle = self._bundle
        try:
            replay(bundle.session, bundle.metadata)
        except SelfTestError as error:
            raise SelfTestError(
                f"the daily replay failed: {error.what}",
                where=bundle.name,
                hint="start again; if it comes back, this machine's memory or processor is failing",
            ) from None
        self._proved = self._clock()
