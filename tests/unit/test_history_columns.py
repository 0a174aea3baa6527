"""Rows as compressed blocks: what goes in comes out, in few bytes, and nothing comes out of damaged ones."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_runtime.history import columns
from edge_runtime.history.columns import SEVERITY_ERROR, packed, unpacked
from edge_runtime.history.plan import FRAME
from edge_runtime.history.rows import Rows
from edge_runtime.records import COMPLETE
from edge_runtime.simulation import SENSORS, Simulator

if TYPE_CHECKING:
    from numpy.typing import NDArray

START, SECOND, MS = 1_750_000_000 * 10**9, 10**9, 10**6
HEADER = 11
economical = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(width=32) | st.integers(-99999, 99999).map(lambda whole: float(np.float32(whole / 1e4)))


def rows_of(
    values: NDArray[np.float32], *, severity: NDArray[np.float32] | None = None, times: object = None
) -> Rows:
    """Healthy rows once a second, each of a commit of its own."""
    count = len(values)
    return Rows(
        START + SECOND * np.arange(count) if times is None else np.asarray(times, np.int64),
        values,
        np.ones(count, np.float32) if severity is None else severity,
        np.zeros(count, np.int8),
        np.zeros(count, np.int8),
        np.full(count, COMPLETE, np.int16),
        np.zeros(values.shape, np.int8),
        np.arange(count, dtype=np.int64),
    )


def column_of(*values: float) -> Rows:
    return rows_of(np.array(values, np.float32)[:, None])


def simulated(count: int, places: int | None = None) -> Rows:
    """A simulated machine with severities that are noise; readings of so many places."""
    values = Simulator("press-1", seed=1, start_ns=START).block(count).values
    if places is not None:
        values = values.astype(np.float64).round(places).astype(np.float32)
    noise = np.random.default_rng(1).normal(size=count)
    return rows_of(values, severity=(0.3 * np.exp(0.3 * noise)).astype(np.float32))


def assert_equal(found: Rows, rows: Rows) -> None:
    """Bit for bit, but a NaN, which is NaN, and the severity, which is within its error."""
    for field in fields(Rows):
        ours, theirs = getattr(found, field.name), getattr(rows, field.name)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), field.name
        assert ours.flags.c_contiguous
        assert ours.flags.writeable
        if field.name not in {"values", "severity"}:
            np.testing.assert_array_equal(ours, theirs, field.name)
    missing = np.isnan(rows.values)
    np.testing.assert_array_equal(np.isnan(found.values), missing)
    np.testing.assert_array_equal(
        found.values[~missing].view(np.uint32), rows.values[~missing].view(np.uint32)
    )
    with np.errstate(invalid="ignore"):  # of a NaN that signals
        severity = rows.severity.astype(np.float64)
    ordinary = np.isfinite(severity) & (np.abs(severity) >= 2.0**-126)
    error = np.abs(found.severity[ordinary] - severity[ordinary]) / np.abs(severity[ordinary])
    assert (error <= SEVERITY_ERROR).all()
    np.testing.assert_array_equal(np.isfinite(found.severity), np.isfinite(severity))
    special = ~np.isfinite(severity) | (severity == 0)
    np.testing.assert_array_equal(found.severity[special], rows.severity[special])


@st.composite
def some_rows(draw: st.DrawFn) -> Rows:
    count, sensors = draw(st.integers(0, 150)), draw(st.integers(0, 3))
    regular = START + SECOND * np.arange(count)

    def drawn(kind: str, *shape: int, of: st.SearchStrategy[Any] | None = None) -> Any:
        return draw(hnp.arrays(kind, shape, elements=of, fill=of))

    return Rows(
        drawn("i8", count, of=INT64) if draw(st.booleans()) else regular,
        drawn("f4", count, sensors, of=FLOATS),
        drawn("f4", count, of=FLOATS),
        drawn("i1", count),
        drawn("i1", count),
        drawn("i2", count),
        drawn("i1", count, sensors),
        drawn("i8", count, of=INT64),
    )


@given(rows=some_rows(), quickly=st.booleans())
@economical
def test_any_rows_come_back(*, rows: Rows, quickly: bool) -> None:
    assert_equal(unpacked(packed(rows, quickly=quickly)), rows)


@given(bits=hnp.arrays("u4", st.integers(0, 300)), quickly=st.booleans())
@economical
def test_any_bits_of_a_reading_come_back(*, bits: NDArray[np.uint32], quickly: bool) -> None:
    rows = rows_of(bits.view(np.float32)[:, None], severity=bits.view(np.float32))
    assert_equal(unpacked(packed(rows, quickly=quickly)), rows)


def test_special_readings_are_exact() -> None:
    tiny, largest = float(np.float32(1e-45)), float(np.finfo(np.float32).max)
    special = [0.0, -0.0, tiny, -tiny, np.inf, -np.inf, np.nan, largest, -largest, 0.1, 16777217.0]
    usual = [round(20 + 0.0001 * i, 4) for i in range(300)]
    for values in (special, special + usual, [np.nan] * 70, [*usual, -0.0, np.nan, *usual], [-0.0] * 5):
        rows = column_of(*values)
        assert_equal(unpacked(packed(rows)), rows)


def test_nan_of_any_bits_is_nan() -> None:
    bits = np.array([0x7FC00000, 0xFFC00001, 0x7F800001, 0xFFFFFFFF], np.uint32)
    found = unpacked(packed(rows_of(bits.view(np.float32)[:, None], severity=bits.view(np.float32))))
    assert np.isnan(found.values).all()
    assert np.isnan(found.severity).all()


def test_severities_that_are_special_stay() -> None:
    largest, tiny = np.finfo(np.float32).max, np.float32(2.0**-126)
    severity = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, largest, -largest, tiny], np.float32)
    rows = rows_of(np.zeros((len(severity), 1), np.float32), severity=severity)
    found = unpacked(packed(rows))
    assert_equal(found, rows)
    assert np.signbit(found.severity).tolist() == np.signbit(severity).tolist()
    assert found.severity[5] == pytest.approx(largest, rel=SEVERITY_ERROR)


def test_the_error_of_the_severity_is_no_smaller_than_stated() -> None:
    severity = np.linspace(1, 2, 10_001, dtype=np.float32)
    found = unpacked(packed(rows_of(np.zeros((len(severity), 0), np.float32), severity=severity))).severity
    worst = np.abs(found.astype(np.float64) / severity - 1).max()
    assert 0.99 * SEVERITY_ERROR < worst <= SEVERITY_ERROR


@pytest.mark.parametrize("count", [0, 1, 2, FRAME - 1, FRAME, 2 * FRAME - 1, 2 * FRAME + 1, 1000])
@pytest.mark.parametrize("sensors", [0, 1, 5])
def test_any_number_of_rows_and_sensors(count: int, sensors: int) -> None:
    random = np.random.default_rng(count)
    values = random.normal(50, 3, (count, sensors)).round(2).astype(np.float32)
    values[random.random(values.shape) < 0.1] = np.nan
    rows = rows_of(values)
    rows.faults[np.isnan(values)] = 2
    rows.verdicts[count // 2 :] = 1
    rows.degraded[count // 3 :] = 4095
    assert_equal(unpacked(packed(rows)), rows)


@pytest.mark.parametrize(
    ("count", "places", "most"),
    [(4096, None, 11.5), (4096, 4, 8.8), (4096, 1, 3.7), (512, 4, 8.9), (64, 4, 10.5), (64, 1, 5.3)],
)
def test_bytes_a_row_of_simulated_machines(count: int, places: int | None, most: float) -> None:
    rows = simulated(4096, places)
    blocks = [rows.take(slice(i, i + count)) for i in range(0, 4096, count)]
    data = [packed(block) for block in blocks]
    assert sum(map(len, data)) / 4096 <= most
    for block, each in zip(blocks, data, strict=True):
        assert_equal(unpacked(each), block)


def test_bytes_a_row_of_sensors_of_usual_resolution() -> None:
    rows = simulated(4096)
    for sensor, places in enumerate((4, 4, 1, 1)):
        rows.values[:, sensor] = rows.values[:, sensor].astype(np.float64).round(places)
    assert len(packed(rows)) / 4096 <= 6.3


def test_rows_without_any_order_take_hardly_more_than_they_are() -> None:
    random, count, sensors = np.random.default_rng(1), 2000, 4
    readings = random.integers(0, 2**32, (count, sensors), np.uint32).view(np.float32)
    rows = Rows(
        random.integers(-(2**63), 2**63, count),
        readings,
        readings[:, 0].copy(),
        random.integers(-128, 128, count, np.int8),
        random.integers(-128, 128, count, np.int8),
        random.integers(-(2**15), 2**15, count, np.int16),
        random.integers(-128, 128, (count, sensors), np.int8),
        random.integers(-(2**63), 2**63, count),
    )
    for missing in (0.0, 0.5):
        rows.values[random.random(rows.values.shape) < missing] = np.nan
        data = packed(rows)
        assert_equal(unpacked(data), rows)
        assert len(data) / count <= 1.15 * (8 + 8 + 4 + 1 + 1 + 2 + 5 * sensors)


def test_a_regular_clock_and_equal_codes_take_nothing_and_jitter_its_entropy() -> None:
    rows = rows_of(np.full((4096, 4), 21.5, np.float32))
    assert len(packed(rows)) <= 64
    late = np.random.default_rng(1).integers(0, 16, 4096) * MS
    jittering = replace(rows, times=rows.times + late)
    assert len(packed(jittering)) / 4096 <= (4 + 1.5) / 8


def test_a_converter_of_few_bits_costs_few_bits() -> None:
    counts = np.random.default_rng(1).integers(0, 200, 4096)
    values = (np.float32(0.1234567) * counts.astype(np.float32) + np.float32(3.3)).astype(np.float32)
    rows = rows_of(values[:, None])
    assert_equal(unpacked(packed(rows)), rows)
    assert len(packed(rows)) / 4096 <= (7.65 + 2) / 8


@pytest.mark.parametrize("quickly", [False, True], ids=["well", "quickly"])
def test_every_changed_bit_and_every_cut_is_refused(*, quickly: bool) -> None:
    data = packed(simulated(64, 1), quickly=quickly)
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises(ValueError, match="damaged|format"):
                unpacked(bytes(changed))
        with pytest.raises(ValueError, match="damaged|cut off"):
            unpacked(data[:place])
    with pytest.raises(ValueError, match="damaged"):
        unpacked(data + b"\0")


def test_a_later_version_is_refused_by_its_number() -> None:
    data = packed(simulated(8))
    with pytest.raises(ValueError, match="format 3; this edge-detect reads 1 and 2"):
        unpacked(b"\3" + data[1:])


def test_a_block_of_one_format_is_none_of_the_other() -> None:
    for quickly in (False, True):
        data = packed(simulated(64, 1), quickly=quickly)
        with pytest.raises(ValueError, match="damaged|cut off"):
            unpacked(bytes([columns.PACKED if quickly else columns.QUICK]) + data[1:])


def summed(body: bytes, form: int = columns.PACKED) -> bytes:
    """A block with the right checksum, whatever its body."""
    return struct.pack("<BI", form, zlib.crc32(body)) + body


@pytest.mark.parametrize(
    ("count", "sensors", "message"),
    [
        (2**20 + 1, 1, "1,048,577 rows"),
        (1, 4097, "4,097 sensors"),
        (2**20, 17, "16,777,216 readings"),
    ],
)
def test_sizes_out_of_bounds_are_refused_before_anything_is_read(
    count: int, sensors: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        unpacked(summed(struct.pack("<IH", count, sensors)))
    with pytest.raises(ValueError, match=message):
        packed(rows_of(np.broadcast_to(np.float32(0), (count, sensors))))


def test_no_more_is_inflated_than_the_sizes_allow() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = bomb.compress(bytes(10**7)) + bomb.flush()
    with pytest.raises(ValueError, match="too long"):
        unpacked(summed(struct.pack("<IH", 4, 4) + deflated))
    quick = summed(struct.pack("<IH", 4, 4) + zlib.compress(bytes(10**7)), columns.QUICK)
    tracemalloc.start()
    with pytest.raises(ValueError, match="do not fit"):
        unpacked(quick)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_deflated_columns_of_other_sizes_are_refused() -> None:
    data = packed(simulated(64, 1), quickly=True)
    plain = zlib.decompress(data[HEADER:])
    sizes = struct.pack("<IH", 64, len(SENSORS))
    for other in (plain[:-1], plain + b"\0", b""):
        with pytest.raises(ValueError, match="do not fit"):
            unpacked(summed(sizes + zlib.compress(other), columns.QUICK))
    for body in (data[HEADER:] + b"\0", data[HEADER:-4]):
        with pytest.raises(ValueError, match="do not fit"):
            unpacked(summed(sizes + body, columns.QUICK))


def test_a_forged_body_gives_rows_or_a_value_error() -> None:
    """With the right checksum: nothing but ValueError, and rows of the sizes declared."""
    random = np.random.default_rng(1)
    rows = simulated(130, 2)
    rows.values[::9, 1] = np.nan
    rows.values[:, 2] = np.arange(130) // 30 * np.float32(0.1234567)
    body = packed(rows)[5:]
    inflater = zlib.decompressobj(-15)
    plain = inflater.decompress(body[6:])
    refused = 0
    for trial in range(1200):
        changed = bytearray(plain)
        # The facts come first, and matter most.
        for _ in range(random.integers(1, 4)):
            changed[random.integers(0, 120 if trial % 2 else len(plain))] = random.integers(0, 256)
        if trial % 5 == 0:
            del changed[random.integers(0, len(plain)) :]
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        forged = body[:6] + packer.compress(bytes(changed)) + packer.flush() + inflater.unused_data
        try:
            found = unpacked(summed(forged))
        except ValueError:
            refused += 1
        else:
            assert found.values.shape == found.faults.shape == rows.values.shape
            assert len(found.numbers) == len(found.severity) == len(rows)
    assert 400 < refused < 1200


def test_rows_are_taken_and_joined() -> None:
    rows = simulated(100)
    parts = [rows.take(slice(0, 40)), rows.take(np.arange(100) >= 40)]
    assert [len(part) for part in parts] == [40, 60]
    joined = Rows.joined([Rows.empty(len(SENSORS)), *parts])
    for field in fields(Rows):
        np.testing.assert_array_equal(getattr(joined, field.name), getattr(rows, field.name))
        assert getattr(joined, field.name).dtype == getattr(rows, field.name).dtype
    assert Rows.joined(parts[:1]) is parts[0]
