"""A row scores alike in blocks of any cut: in all bundles that we write, and whatever does not is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hostile import cuts as blind
from support.bundles import SENSORS, make_bundle
from support.kinds import KINDS

from edge_runtime.errors import SelfTestError
from edge_runtime.loading.cuts import RELATIVE, check_cuts, differences, in_blocks, one_by_one
from edge_runtime.loading.load import Bundle, load_bundle, load_bytes
from edge_runtime.loading.samples import sample_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def made(folder: Path, **options: Any) -> Bundle:
    return load_bundle(make_bundle(folder, **options), trial=lambda _data, _digest: "")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_of_every_kind_agrees_with_a_wide_margin(kind: str, tmp_path: Path) -> None:
    bundle = made(tmp_path, **KINDS[kind])
    assert check_cuts(bundle.session, bundle.metadata).endswith("rows in blocks of 1 to 4,096")
    for series in sample_series(bundle.metadata, 1100):
        alone = one_by_one(bundle.session, bundle.metadata, series)
        assert np.isfinite(alone.score).all()
        for sizes in ([2] * 550, [7] * 158, [100] * 11, [1, 1099], [1100]):
            blocks = in_blocks(bundle.session, bundle.metadata, series, sizes)
            assert len(blocks) == 1100
            for off in differences(bundle.metadata, series, alone, blocks).values():
                assert off.max() < RELATIVE / 20


def test_the_default_bundle_agrees() -> None:
    bundle = load_bundle()
    check_cuts(bundle.session, bundle.metadata)


@pytest.mark.parametrize("own", [1e-6, 1e9, 1e30])
def test_a_machine_may_be_muted_or_watched_strictly_and_the_threshold_of_all_must_mean_something(
    own: float, tmp_path: Path
) -> None:
    bundle = made(tmp_path, per_machine={"press-7": own})
    assert check_cuts(bundle.session, bundle.metadata).endswith("rows in blocks of 1 to 4,096")
    metadata = bundle.metadata
    for value, message in (
        (1e30, "no row can reach the threshold of 1e.30"),
        (1e-9, "every row exceeds the threshold of 1e-09"),
    ):
        threshold = replace(metadata.threshold, value=value)
        with pytest.raises(SelfTestError, match=message) as caught:
            check_cuts(bundle.session, replace(metadata, threshold=threshold))
        assert caught.value.where == "metadata: threshold.value"


def test_the_rows_are_what_they_are_called(tmp_path: Path) -> None:
    bundle = made(tmp_path)
    ordinary, mixed = sample_series(bundle.metadata, 2000)
    again, _ = sample_series(bundle.metadata, 2000)
    assert (ordinary.readings == again.readings).all()
    threshold = bundle.metadata.threshold.value
    score = one_by_one(bundle.session, bundle.metadata, ordinary).score
    assert 0.02 < (score > threshold).mean() < 0.2
    assert 0.1 < mixed.within.mean() < 0.6
    assert mixed.reach.max() > 900
    low, high = np.asarray([sensor.physical_range for sensor in bundle.metadata.sensors]).T
    assert ((mixed.readings >= low) & (mixed.readings <= high)).all(1).mean() > 0.4


@pytest.mark.parametrize("memory", [{}, {"smooth": 4, "average": 0.3}], ids=["alone", "memory"])
@pytest.mark.parametrize(
    "change",
    [
        lambda data: blind.blind_from(data, 33),
        lambda data: blind.blind_from(data, 100),
        lambda data: blind.blind_from(data, 4096),
        lambda data: blind.blind_in(data, 2),
        lambda data: blind.blind_after(data, 40),
        lambda data: blind.blind_after(data, 4000),
        blind.hidden_by_the_mean,
        blind.hidden_by_the_next,
        blind.errors_of_another_row,
    ],
)
def test_what_depends_on_the_block_passes_its_golden_rows_and_is_refused(
    change: Callable[[bytes], bytes], memory: dict[str, Any], tmp_path: Path
) -> None:
    data = change(make_bundle(tmp_path, widths=(8, 2, 8), **memory).read_bytes())
    bundle = load_bytes(data, "b.onnx")  # without a trial: the golden rows alone
    assert bundle.self_test.rows == 32
    with pytest.raises(SelfTestError, match=blind.OTHERWISE) as caught:
        check_cuts(bundle.session, bundle.metadata)
    assert caught.value.where == "rows in blocks"


@pytest.mark.parametrize("smooth", [1, 3])
def test_a_row_that_overflows_leaves_no_trace_and_is_not_compared(smooth: int, tmp_path: Path) -> None:
    wide = ("a", "", 0.0, 1.0, (-3e38, 3e38))
    bundle = made(tmp_path, sensors=(wide, *SENSORS[1:]), smooth=smooth)
    series = sample_series(bundle.metadata, 500)[1]
    overflown = ~np.isfinite(one_by_one(bundle.session, bundle.metadata, series).score)
    assert 50 < overflown.sum() < 250
    check_cuts(bundle.session, bundle.metadata)
