"""Whether train, val and test look like one machine's history: what changed, in which sensor, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import counted, listed
from trainer.data.machines import trained_on, untrained
from trainer.data.rows import iso_times
from trainer.data.stretches import by_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.data.training_data import TrainingData

    Numbers = NDArray[np.float64]

__all__ = ["doubts_about_splits"]

# A history is looked at in so many blocks if they have so many rows; a change has so many on either side.
BLOCKS, MIN_BLOCK_ROWS, MIN_SIDE = 50, 8, 4
# Rows of a machine that are looked at; of more, every second, third and so on.
MAX_ROWS = 200_000
# A spread is from the first of these quantiles to the second.
LOW, HIGH = 0.1, 0.9
# A level moved if it did by so many spreads of either side, or by fewer if a unit explains it.
MOVED, MOVED_BY_UNIT = 3.0, 1.5
# So many times wider is another signal.
WIDER = 3.0
# Part of training.
KNOWN = 0.25
# How far beyond training's range a split's middle may be: in parts of that range, and in those distances by
# which the windows of training are beyond one another.
BEYOND, USUAL, WINDOWS = 0.25, 2.0, 5
# Part of a split's rows.
MISSING = 0.3
# What a reading is multiplied with, and what is added, when its unit changes.
UNITS = {
    "°C to °F": (1.8, 32.0),
    "°F to °C": (1 / 1.8, -32 / 1.8),
    "°C to K": (1.0, 273.15),
    "K to °C": (1.0, -273.15),
    "bar to psi": (14.5038, 0.0),
    "psi to bar": (1 / 14.5038, 0.0),
    "g to m/s²": (9.80665, 0.0),
    "m/s² to g": (1 / 9.80665, 0.0),
    "one to its thousandth": (1000.0, 0.0),
    "one to its thousandfold": (0.001, 0.0),
}
NEAR, ALIKE = 0.05, 4.0  # of the change, and as a factor between spreads
SPLITS = ("training", "validation", "test")


def doubts_about_splits(data: TrainingData, percentile: float | None = None) -> list[str]:
    """Sentences on what makes the splits a poor basis, each with its sensor and, where it is known, the time.

    Machines that training learns nothing from come first. Rows that are labelled as anomalous are left out.

    Args:
        data: The splits.
        percentile: By which the threshold is to be chosen; None for another way.
    """
    found = [*untrained(data.train, data.sensors), *_machines(data), *_few_rows(data, percentile)]
    splits = (data.train, data.val, data.test)
    times = np.concatenate([split.times for split in splits])
    machines = np.concatenate([split.machines for split in splits])
    usable = np.concatenate([_unlabelled(split) for split in splits])
    orders = [(name, index[usable[index]]) for name, index in by_machine(times, machines)]
    for column, sensor in enumerate(data.sensors):
        values = np.concatenate([split.values[:, column] for split in splits]).astype(np.float64)
        changes = []
        for machine, order in orders:
            rows = order[np.isfinite(values[order])]
            rows = rows[:: 1 + len(rows) // MAX_ROWS]
            change = _change(times[rows], values[rows], int((rows < len(data.train)).sum()))
            if change:
                changes.append(f"{sensor}{f' of {machine}' if len(orders) > 1 else ''} {change}")
        found += changes or _differences(data, column, sensor)
        found += _gaps(data, column, sensor)
    return found


def _machines(data: TrainingData) -> Iterator[str]:
    """Of machines that set the threshold without being trained on, and of those trained on that do not."""
    every = set(data.train.machines.tolist()).union(data.val.machines.tolist(), data.test.machines.tolist())
    if data.by_machine or len(every) == 1:
        return  # of one machine, the sensors say it
    trained = set(trained_on(data.train))
    strangers = sorted(set(trained_on(data.val)) - trained)
    if strangers and trained:
        yield (
            f"rows of {listed(strangers)} set the threshold, and nothing was trained on them: choose the "
            "machines with --machine"
        )
    for name, split in (("validation", data.val), ("test", data.test)):
        there, complete = set(split.machines.tolist()), set(split.machines[split.finite].tolist())
        if blind := sorted(trained & (there - complete)):
            yield f"no row of {listed(blind)} in {name} has a reading of every sensor"


def _unlabelled(split: Split) -> NDArray[np.bool_]:
    return np.ones(len(split), np.bool_) if split.labels is None else ~split.labels


def _few_rows(data: TrainingData, percentile: float | None) -> Iterator[str]:
    rows = int(data.val.normal.sum())
    needed = 0 if percentile is None else round(1 / (1 - percentile / 100))
    if 0 < rows < needed:
        yield (
            f"the threshold comes from only {counted(rows, 'validation row')}, and with fewer than "
            f"{needed:,} none of them is above percentile {percentile:g}; take a longer history"
        )


def _change(times: NDArray[np.int64], values: Numbers, train: int) -> str | None:
    """What changed once, and stayed so: the level or the spread.

    But for a change of unit, it does not count where much of training comes after it: a machine has several
    loads, and what is normal under each of them is known then. Nor does it for a machine that is not in
    training.

    Args:
        times: [rows] ns, ascending.
        values: [rows] all finite.
        train: How many of the rows are training's, the first ones.
    """
    blocks = min(BLOCKS, len(values) // MIN_BLOCK_ROWS)
    if blocks < 2 * MIN_SIDE:
        return None
    each = len(values) // blocks
    first = len(values) - blocks * each
    parts = values[first:].reshape(blocks, each)
    low, middle, high = np.quantile(parts, [LOW, 0.5, HIGH], axis=1)
    step, at, up = _step(middle)
    spreads = step / (max(_spread(parts[:at]), _spread(parts[at:])) or 1.0) if step else 0.0
    if spreads > MOVED_BY_UNIT:
        row = _moment(values, middle[:at], middle[at:], up=up)
        unit = _unit(values[:row], values[row:])
        if unit or (spreads > MOVED and 0 < train < row + KNOWN * train):
            return _moved(values[:row], values[row:], _when(times[row]), unit)
    width = high - low
    least = 1e-3 * (float(np.median(width)) or float(width.max()))
    if least > 0:
        step, at, up = _step(np.log(np.maximum(width, least)))
        if step > np.log(WIDER) and 0 < train < first + at * each + KNOWN * train:
            before, after = float(np.median(width[:at])), float(np.median(width[at:]))
            when = _when(times[first + at * each])
            if after <= least:
                return f"does not move any more from about {when}"
            return (
                f"varies {'more' if up else 'less'} from about {when}: by {after:.4g}, before by {before:.4g}"
            )
    return None


def _step(levels: Numbers) -> tuple[float, int, bool]:
    """The widest gap between the levels before a block and those after: its size, the block, and whether up.

    It counts only where it is larger than what the levels of either side differ among themselves.
    """
    best = (0.0, MIN_SIDE, True)
    for at in range(MIN_SIDE, len(levels) - MIN_SIDE + 1):
        (least, most), (lowest, highest) = _span(levels[:at]), _span(levels[at:])
        gap, among = max(lowest - most, least - highest), max(most - least, highest - lowest)
        if gap > among and gap > best[0]:
            best = (gap, at, lowest > most)
    return best


def _span(levels: Numbers) -> tuple[float, float]:
    """The lowest and the highest, but for a tenth at either end: an anomaly nobody labelled is no level."""
    ordered, drop = np.sort(levels), len(levels) // 10
    return float(ordered[drop]), float(ordered[-1 - drop])


def _spread(values: Numbers) -> float:
    low, high = np.quantile(values, [LOW, HIGH])
    return float(high - low)


def _moment(values: Numbers, before: Numbers, after: Numbers, *, up: bool) -> int:
    """The first row of the new level."""
    (least, most), (lowest, highest) = _span(before), _span(after)
    is_new = values > (most + lowest) / 2 if up else values < (least + highest) / 2
    score = np.concatenate([[0], np.cumsum(np.where(is_new, -1, 1))])
    return min(max(1, int(np.argmax(score))), len(values) - 1)


def _moved(before: Numbers, after: Numbers, when: str, unit: str | None) -> str:
    old, new = float(np.median(before)), float(np.median(after))
    change = abs(new - old)
    text = f"moved from {_number(old, change)} to {_number(new, change)} at {when} and stayed there"
    return text if unit is None else f"{text}, as if its unit had changed from {unit}"


def _unit(before: Numbers, after: Numbers) -> str | None:
    """The change of unit that turns one level and its spread into the other."""
    old, new = float(np.median(before)), float(np.median(after))
    for unit, (factor, offset) in UNITS.items():
        ratio = (_spread(after) + 1e-12) / (factor * _spread(before) + 1e-12)
        if abs(new - (factor * old + offset)) < NEAR * abs(new - old) and 1 / ALIKE < ratio < ALIKE:
            return unit
    return None


def _differences(data: TrainingData, column: int, sensor: str) -> Iterator[str]:
    """Of one sensor, where no single moment explains them: the middle of a split beyond training's range.

    It counts where it is further beyond than a part of training is beyond the others: a history that is short
    for the machine's loads is no other machine's. Where each split has machines of its own, the parts are the
    machines.
    """
    train, _ = _in_time(data.train, column)
    if len(train) < WINDOWS:
        return
    least, most = float(train.min()), float(train.max())
    windows = _of_machines(data.train, column) if data.by_machine else []
    if len(windows) <= 1:
        windows = np.array_split(train, WINDOWS)
    usual = max(
        _beyond(float(np.median(window)), [rest for rest in windows if rest is not window])
        for window in windows
    )
    allowed = max(BEYOND * (most - least), USUAL * usual)
    outside, since = [], []
    for name, split in zip(SPLITS[1:], (data.val, data.test), strict=True):
        values, times = _in_time(split, column)
        if len(values) >= MIN_BLOCK_ROWS and _beyond(float(np.median(values)), [train]) > allowed:
            is_out = (values < least) | (values > most)
            middle = _number(float(np.median(values)), most - least)
            outside.append(f"{is_out.mean():.0%} of the {name} rows (around {middle})")
            score = np.cumsum(np.where(is_out, 1, -1)[::-1])[::-1]
            since.append(_when(times[int(np.argmax(score))]))
    if outside:
        limits = f"{_number(least, most - least)} to {_number(most, most - least)}"
        when = "" if data.by_machine else f", from about {since[0]}"
        yield f"{sensor} is outside training's {limits} in {' and '.join(outside)}{when}"


def _beyond(middle: float, others: list[Numbers]) -> float:
    """How far the middle of some readings is beyond the range of others."""
    least, most = min(float(part.min()) for part in others), max(float(part.max()) for part in others)
    return max(least - middle, middle - most, 0.0)


def _gaps(data: TrainingData, column: int, sensor: str) -> Iterator[str]:
    """Readings that are missing in one split and not in another."""
    splits = (data.train, data.val, data.test)
    gone = [~np.isfinite(split.values[:, column]) for split in splits]
    missing = {name: float(part.mean()) for name, part in zip(SPLITS, gone, strict=True) if len(part)}
    low, high = min(missing, key=missing.__getitem__), max(missing, key=missing.__getitem__)
    if missing[high] - missing[low] <= MISSING:
        return
    said = (
        f"{sensor} has no reading in {missing[high]:.0%} of the {high} rows and {missing[low]:.0%} of the "
        f"{low} rows"
    )
    if data.by_machine:
        yield said
        return
    times = np.concatenate([split.times for split in splits])
    order = np.argsort(times, kind="stable")
    score = np.concatenate([[0], np.cumsum(np.where(np.concatenate(gone)[order], -1, 1))])
    end, start = int(np.argmax(score)), int(np.argmin(score))
    ends = score[end] - score[-1] > score[0] - score[start]
    what, row = ("end", end) if ends else ("begin", start)
    yield f"{said}; its readings {what} at about {_when(times[order[min(row, len(order) - 1)]])}"


def _in_time(split: Split, column: int) -> tuple[Numbers, NDArray[np.int64]]:
    """The normal readings of a sensor in order of time, and their times."""
    order = np.argsort(split.times, kind="stable")
    order = order[(_unlabelled(split) & np.isfinite(split.values[:, column]))[order]]
    return split.values[order, column].astype(np.float64), split.times[order]


def _of_machines(split: Split, column: int) -> list[Numbers]:
    """The normal readings of a sensor, of each machine that has some."""
    there = _unlabelled(split) & np.isfinite(split.values[:, column])
    _, codes = np.unique(split.machines[there], return_inverse=True)
    values = split.values[there, column].astype(np.float64)
    ends = np.cumsum(np.bincount(codes))[:-1]
    return np.split(values[np.argsort(codes, kind="stable")], ends) if len(values) else []


def _number(value: float, span: float) -> str:
    """With as many digits as tell it from others this far apart."""
    digits = 4 if not value or span <= 0 else max(4, int(np.log10(abs(value) / span)) + 4)
    return f"{value:.{min(digits, 15)}g}"


def _when(time: np.int64) -> str:
    return str(iso_times(np.array([time // 10**9 * 10**9], np.int64))[0])
