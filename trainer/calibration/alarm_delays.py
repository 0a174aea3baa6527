"""The delays of alarms, and the severity of high ones, chosen on validation from the verdicts of its rows.

**On-delay.** Of some numbers of rows, the one with the fewest false alarms in the normal time of validation,
and the shortest of equals, that loses no fault: neither a labelled one, nor one that is injected.

**Off-delay.** Of the delays with which no fault is lost because an alarm about another one is still up, and
95 % of the faults that are found raise a single alarm, or as many as possible, it is the shortest whose false
alarms are no more than the fewest and one standard deviation of such a count. A longer one would spare a few
more, and let more faults begin in an alarm. Where validation has fewer than ten false alarms, nothing shows
how they follow each other: then it is the longest of these delays up to a minute, if that is more. It is at
most 120 rows and five minutes.

**High priority** begins at the severity that a tenth of the alarms about faults reach: ISA-18.2 aims at 5 %
high, 15 % medium and 80 % low over all alarms of a plant, of which these are those that are not low; sensors
and silence are. It is not stated for fewer than ten alarms.

A fault is found if an alarm is raised in it, or at most 30 s before. A labelled one, which may have begun
before its label, is not lost either where an alarm is up at its start that was raised at most 120 rows
before: whoever was called is there. Where fewer than twenty faults of validation are found, labelled and
injected ones together, nothing shows that a delay loses none: the on-delay is 0, and alarms that are a minute
apart are one, as in all figures of alarms here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.judging import LONGEST_ALARM_DELAY_S, Alarms
from trainer.calibration.alarm_counts import figures_of, judged_machines
from trainer.calibration.alarm_findings import AlarmDelays
from trainer.calibration.filled import piece
from trainer.calibration.weak_faults import weak_faults
from trainer.data.stretches import ALARM_JOIN_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Threshold
    from trainer.calibration.alarm_counts import AlarmFigures, JudgedMachine
    from trainer.data.training_data import TrainingData
    from trainer.detector import Detector

__all__ = ["choose_delays", "measure_alarm_delays"]

ON_ROWS = (0, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60)
OFF_ROWS = (0, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 120)
LONGEST_OFF_S = 300.0
# With a slow cadence, so many rows may take longer than that.
FEW_ROWS = 3
FEWEST_FAULTS = 20
# Of the faults found, the part that is to raise one alarm and no more.
SINGLE = 0.95
HIGH_PART, FEWEST_ALARMS = 0.1, 10
# Of a split, rows that are scored at most: some seconds' work.
MOST_SCORED = 300_000


def measure_alarm_delays(data: TrainingData, detector: Detector, threshold: Threshold) -> AlarmDelays:
    """Chooses the delays on validation, and measures them on test.

    Args:
        data: The splits. Of validation and of test at most 300,000 rows are scored; those of a machine in one
            piece.
        detector: Trained.
        threshold: When a row is anomalous.
    """
    val, test = (piece(split, MOST_SCORED) for split in (data.val, data.test))
    calm = judged_machines(val, detector, threshold)
    cadence = data.cadence_seconds
    reach = round(OFF_ROWS[-1] * cadence * SECOND_NS)
    broken = weak_faults(val, data.train.normal_values, detector, threshold, calm, reach)
    on, off = choose_delays(calm, broken, cadence)
    faults = [*calm, *broken]
    peaks = figures_of(faults, on, off).peaks
    alarms = Alarms(on, off, _high(peaks), len(val))
    tested = judged_machines(test, detector, threshold)

    def both(machines: Sequence[JudgedMachine]) -> tuple[AlarmFigures, AlarmFigures]:
        return figures_of(machines, 0.0, 0.0), figures_of(machines, on, off)

    return AlarmDelays(
        alarms, both(calm), both(broken) if any(one.faults for one in broken) else None, both(tested)
    )


def choose_delays(
    calm: Sequence[JudgedMachine], broken: Sequence[JudgedMachine], cadence: float
) -> tuple[float, float]:
    """On-delay and off-delay in seconds, multiples of the cadence.

    Args:
        calm: Validation, with the faults that are labelled in it.
        broken: The same with injected faults.
        cadence: Seconds between two rows of a machine.
    """
    near = OFF_ROWS[-1] * cadence
    before = [figures_of(machines, 0.0, 0.0).found for machines in (calm, broken)]
    if sum(int(found.sum()) for found in before) < FEWEST_FAULTS:
        joined = ALARM_JOIN_NS / SECOND_NS
        return 0.0, min(max(1, int(joined / cadence)) * cadence, LONGEST_ALARM_DELAY_S)

    def kept(on: float, off: float) -> AlarmFigures | None:
        """The figures of the faults, unless one is lost."""
        labelled, injected = (figures_of(machines, on, off) for machines in (calm, broken))
        told = labelled.found | (labelled.up_s <= near)
        lost = (before[0] & ~told).any() or (before[1] & ~injected.found).any()
        return None if lost else figures_of([*calm, *broken], on, off)

    ons = [rows * cadence for rows in ON_ROWS if rows * cadence <= LONGEST_ALARM_DELAY_S]
    on = min(
        (delay for delay in ons if kept(delay, 0.0) is not None),
        key=lambda delay: (figures_of(calm, delay, 0.0).false_alarms, delay),
    )
    longest = min(max(LONGEST_OFF_S, FEW_ROWS * cadence), LONGEST_ALARM_DELAY_S)
    offs = {rows * cadence: kept(on, rows * cadence) for rows in OFF_ROWS if rows * cadence <= longest}
    single = {delay: figures.single for delay, figures in offs.items() if figures is not None}
    wanted = min(SINGLE, max(single.values()))
    false = {
        delay: figures_of(calm, on, delay).false_alarms for delay, part in single.items() if part >= wanted
    }
    fewest = min(false.values())
    off = min(delay for delay, count in false.items() if count <= fewest + math.sqrt(fewest))
    if figures_of(calm, 0.0, 0.0).false_alarms < FEWEST_ALARMS:
        off = max([off, *(delay for delay in false if delay <= ALARM_JOIN_NS / SECOND_NS)])
    return on, off


def _high(peaks: NDArray[np.float64]) -> float | None:
    """The severity that a tenth of the alarms reach, to three digits."""
    if len(peaks) < FEWEST_ALARMS:
        return None
    value = float(f"{np.quantile(peaks, 1 - HIGH_PART):.3g}")
    return value if 1 < value < np.inf else None
