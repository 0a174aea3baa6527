from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edge_runtime.errors import UsageError
from edge_runtime.simulation import SENSORS, Event, Kind, MachineCharacter, Simulator
from edge_runtime.simulation.simulator import LIMITS

DAY = 86_400
START = 1_735_776_000_000_000_000


def kind_lengths(events: list[Event], kind: Kind) -> list[float]:
    return [(e.stop_ns - e.start_ns) / 1e9 for e in events if e.kind is kind]


@pytest.mark.parametrize("cuts", [[1] * 50, [7, 993, 12_000, 7_000], [19_999, 1]])
def test_the_rows_do_not_depend_on_how_they_are_cut_into_blocks(cuts: list[int]) -> None:
    options = {"seed": 3, "severity": 2.0, "rate": 40.0, "start_ns": START}
    whole, parts = Simulator("press-1", **options), Simulator("press-1", **options)  # type: ignore[arg-type]
    expected = whole.block(sum(cuts))
    blocks = [parts.block(rows) for rows in cuts]
    for field in ("times", "values", "anomaly", "kinds"):
        joined = np.concatenate([getattr(block, field) for block in blocks])
        np.testing.assert_array_equal(joined, getattr(expected, field))
    assert parts.events == whole.events


def test_one_seed_gives_the_same_rows_and_another_seed_or_start_others() -> None:
    first = Simulator("press-1", seed=5).block(500).values
    np.testing.assert_array_equal(first, Simulator("press-1", seed=5).block(500).values)
    assert (first != Simulator("press-1", seed=6).block(500).values).any()
    assert (first != Simulator("press-1", seed=5, start_ns=START).block(500).values).any()


def test_readings_outside_events_do_not_depend_on_rate_or_severity() -> None:
    healthy = Simulator("press-1", seed=1, rate=0).block(20_000)
    mild = Simulator("press-1", seed=1, severity=1.0).block(20_000)
    severe_machine = Simulator("press-1", seed=1, severity=2.0)
    severe = severe_machine.block(20_000)
    assert not healthy.anomaly.any()
    np.testing.assert_array_equal(mild.kinds, severe.kinds)
    untouched = np.ones(20_000, np.bool_)
    for event in severe_machine.events:
        untouched[event.onset_ns // 10**9 : event.stop_ns // 10**9] = False
    untouched[-400:] = False  # the onset of an event that is not yet listed
    np.testing.assert_array_equal(severe.values[untouched], healthy.values[untouched])
    assert untouched.mean() > 0.85


def test_no_severity_is_a_healthy_machine() -> None:
    simulator = Simulator("press-1", severity=0.0)
    assert not simulator.block(DAY).anomaly.any()
    assert simulator.events == []


def test_a_nominal_machine_follows_the_figures_it_was_given() -> None:
    values = (
        Simulator(MachineCharacter("nominal"), seed=2, rate=0, start_ns=START)
        .block(5 * DAY)
        .values.astype(float)
    )
    temperature, vibration, pressure, power = values.T
    load = (power - 150) / 170
    assert power.mean() == pytest.approx(252, abs=6)
    # A smoothed load: the noise of one row would bend the power of 1.5.
    smooth = np.convolve(load, np.ones(15) / 15, "same")[100:-100]
    np.testing.assert_allclose(
        np.polyfit(smooth.clip(0, 1) ** 1.5, vibration[100:-100], 1), [0.9, 0.7], atol=0.02
    )
    np.testing.assert_allclose(np.polyfit(smooth, pressure[100:-100], 1), [-9.0, 54.0], atol=0.25)
    assert temperature.mean() == pytest.approx(24 + 0.11 * power.mean(), abs=0.5)
    # Differences of neighbours hold the noise alone: sqrt(2) times its deviation.
    deviations = np.diff(values, axis=0).std(0) / np.sqrt(2)
    np.testing.assert_allclose(deviations, [0.35, 0.05, 0.6, 4.0], rtol=0.03)


def test_the_temperature_follows_the_power_minutes_later() -> None:
    values = Simulator(MachineCharacter("nominal"), seed=2, rate=0).block(2 * DAY).values.astype(float)
    temperature, power = values[:, 0] - values[:, 0].mean(), values[:, 3] - values[:, 3].mean()
    agreement = [float((temperature[lag:] * power[: len(power) - lag]).mean()) for lag in (0, 150, 3000)]
    assert agreement[1] > 1.1 * agreement[0]
    assert agreement[2] < 0.5 * agreement[1]


def test_machines_differ_by_less_than_their_spread() -> None:
    means = np.array(
        [Simulator(f"press-{i}", seed=1, rate=0).block(3 * DAY).values.mean(0) for i in range(1, 5)]
    )
    spread = np.array([3.8, 0.22, 2.0, 35.0])
    assert (np.ptp(means, axis=0) > 0.01 * spread).all()
    assert (np.ptp(means, axis=0) < 0.5 * spread).all()
    assert MachineCharacter.from_name("press-1") == MachineCharacter.from_name("press-1")


def test_events_come_as_often_as_asked_and_in_the_lengths_of_their_kind() -> None:
    simulator = Simulator("press-1", seed=8, rate=11.0)
    block = simulator.block(20 * DAY)
    events = simulator.events
    assert len(events) / (20 * 24) == pytest.approx(11, rel=0.05)
    assert block.anomaly.mean() == pytest.approx(0.084, abs=0.012)
    assert set(kind_lengths(events, Kind.SPIKE)) == {1, 2, 3, 4, 5}
    for kind, shortest, longest in (
        (Kind.DRIFT, 84, 267),
        (Kind.CYCLIC, 100, 290),
        (Kind.MULTI_SENSOR, 55, 195),
    ):
        lengths = kind_lengths(events, kind)
        assert len(lengths) > 100
        assert shortest <= min(lengths) < max(lengths) <= longest
    for event in events:
        low, high = (2, 4) if event.kind is Kind.MULTI_SENSOR else (1, 1)
        assert low <= len(event.sensors) <= high
        assert set(event.sensors) <= set(SENSORS)


def test_the_event_list_and_the_row_labels_say_the_same() -> None:
    simulator = Simulator("press-1", seed=4, rate=30.0, start_ns=START)
    block = simulator.block(DAY)
    from_events = np.zeros(DAY, np.int8)
    for event in simulator.events:
        inside = (block.times >= event.start_ns) & (block.times < event.stop_ns)
        assert not from_events[inside].any()
        from_events[inside] = event.kind
    np.testing.assert_array_equal(block.kinds, from_events)
    np.testing.assert_array_equal(block.anomaly, from_events != 0)


def test_a_drift_is_labelled_from_thirty_percent_of_its_ramp() -> None:
    simulator = Simulator("press-1", seed=4, rate=30.0, severity=2.0)
    healthy = Simulator("press-1", seed=4, rate=0.0).block(5 * DAY).values.astype(float)
    moved = simulator.block(5 * DAY).values.astype(float) - healthy
    drifts = [e for e in simulator.events if e.kind is Kind.DRIFT]
    assert len(drifts) > 20
    for event in drifts:
        onset, start, stop = (ns // 10**9 for ns in (event.onset_ns, event.start_ns, event.stop_ns))
        assert start - onset == pytest.approx(0.3 * (stop - onset), abs=1)
        ramp = moved[onset:stop, SENSORS.index(event.sensors[0])]
        assert np.abs(ramp[-1]) > np.abs(ramp[len(ramp) // 2]) > np.abs(ramp[0])


def test_a_multi_sensor_event_stays_within_every_limit() -> None:
    simulator = Simulator("press-1", seed=6, severity=3.0, rate=40.0)
    block = simulator.block(5 * DAY)
    rows = block.values[block.kinds == Kind.MULTI_SENSOR]
    assert len(rows) > 5_000
    outside = ((rows < LIMITS[0]) | (rows > LIMITS[1])).any(1)
    assert outside.mean() == 0.0


def test_no_reading_but_a_temperature_falls_below_zero() -> None:
    values = Simulator("press-1", seed=6, severity=4.0, rate=40.0).block(DAY).values
    assert values[:, 1:].min() == 0.0


def test_no_event_before_the_time_that_was_named() -> None:
    simulator = Simulator("press-1", rate=40.0, start_ns=START, events_from_ns=START + 5000 * 10**9)
    block = simulator.block(20_000)
    assert not block.anomaly[:5000].any()
    assert block.anomaly[5000:].any()
    assert min(event.onset_ns for event in simulator.events) >= START + 5000 * 10**9


@pytest.mark.parametrize("cadence", [0.1, 10.0])
def test_seconds_stay_seconds_at_another_cadence(cadence: float) -> None:
    simulator = Simulator("press-1", seed=2, cadence=cadence, rate=30.0)
    block = simulator.block(round(DAY / cadence))
    assert block.times[1] - block.times[0] == round(cadence * 1e9)
    assert len(simulator.events) == pytest.approx(30 * 24, rel=0.1)
    assert max(kind_lengths(simulator.events, Kind.SPIKE)) == max(5.0, cadence)
    assert 100 <= min(kind_lengths(simulator.events, Kind.CYCLIC)) <= 150
    assert block.values[:, 3].mean() == pytest.approx(252, abs=15)


def test_taking_the_events_empties_the_list() -> None:
    simulator = Simulator("press-1", rate=40.0)
    simulator.block(10_000)
    listed = list(simulator.events)
    assert simulator.take_events() == listed != []
    assert simulator.take_events() == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cadence": 0.0}, "cadence"),
        ({"severity": -1.0}, "severity"),
        ({"rate": 61.0}, "rate"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Simulator("press-1", **wrong)  # type: ignore[arg-type]


def test_a_character_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MachineCharacter("a").name = "b"  # type: ignore[misc]


def test_it_resembles_the_reference_data() -> None:
    # Means, deviations and correlations of 40,000 normal rows that this project's targets were measured on.
    means, deviations = [50.82, 1.15, 48.47, 254.38], [3.84, 0.22, 1.98, 33.46]
    correlations = [
        [1, 0.69, -0.67, 0.73],
        [0.69, 1, -0.81, 0.92],
        [-0.67, -0.81, 1, -0.86],
        [0.73, 0.92, -0.86, 1],
    ]
    ours = np.concatenate(
        [Simulator("press-1", seed=seed, rate=0, start_ns=START).block(40_000).values for seed in range(5)]
    )
    np.testing.assert_allclose((ours.mean(0) - means) / deviations, 0, atol=0.35)
    np.testing.assert_allclose(ours.std(0) / deviations, 1, atol=0.25)
    np.testing.assert_allclose(np.corrcoef(ours.T), correlations, atol=0.1)
