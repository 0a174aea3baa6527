from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from edge_runtime.errors import InputError, UsageError
from trainer.labels.events import EventLabels, LabelledEvent
from trainer.labels.methods import CarriedLabels, Labeller, NoLabels
from trainer.prepare import Prepared, Shares, prepare_folder
from trainer.prepare.files import FileOrigin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NEW_YEAR = 1_735_689_600
NS = 10**9


def csv(path: Path, rows: Sequence[tuple[int, str, float]], header: str = "time,machine_id,a") -> Path:
    path.write_text(header + "\n" + "".join(f"{NEW_YEAR + t},{m},{a}\n" for t, m, a in rows))
    return path


def history_of(paths: Sequence[Path], **options: Any) -> FileOrigin:
    """History with one sensor, which may be a counter here."""
    return FileOrigin(paths, **{"sensors": ("a",), **options})


def prepared(origin: Any, folder: Path, labeller: Labeller | None = None, gap_s: float = 0.0) -> Prepared:
    return prepare_folder(
        origin,
        folder,
        extent=origin.extent(),
        make_labeller=lambda _train: labeller or NoLabels(),
        shares=Shares(0.7, 0.15, 0.15),
        gap_s=gap_s,
        units={"a": "bar"},
        progress=lambda _ns: None,
    )


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{name}.csv", dtype={"machine_id": str, "kind": str}, keep_default_na=False)


def test_splits_are_stretches_of_time_with_gaps_between_them(tmp_path: Path) -> None:
    origin = history_of([csv(tmp_path / "in.csv", [(t, m, t) for t in range(1000) for m in "xy"])])
    result = prepared(origin, tmp_path / "out", gap_s=60.0)
    seconds = {
        name: sorted(set(read(tmp_path / "out", name)["a"].astype(float).astype(int)))
        for name in ("train", "val", "test")
    }
    assert (seconds["train"][0], seconds["train"][-1]) == (0, 699)
    assert (seconds["val"][0], seconds["val"][-1]) == (760, 849)
    assert (seconds["test"][0], seconds["test"][-1]) == (910, 999)
    assert result.metadata["rows"] == 2 * (700 + 90 + 90)
    assert result.metadata["rows_left_out_between_splits"] == 2 * 120
    assert result.metadata["rows"] + result.metadata["rows_left_out_between_splits"] == 2000


def test_the_metadata_tells_what_lies_beside_it(tmp_path: Path) -> None:
    source = csv(tmp_path / "in.csv", [(t, "x", t) for t in range(0, 1000, 10)])
    events = [LabelledEvent("x", "SPIKE", (NEW_YEAR + 100) * NS, (NEW_YEAR + 120) * NS)]
    prepared(history_of([source]), tmp_path / "out", EventLabels(events, {"from": "a test"}))
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "train.csv",
        "val.csv",
        "test.csv",
        "metadata.json",
    }
    for name in ("train", "val", "test"):
        data = (tmp_path / "out" / f"{name}.csv").read_bytes()
        assert metadata["splits"][name]["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
        assert metadata["splits"][name]["rows"] == data.count(b"\n") - 1
    assert metadata["splits"]["train"]["machines"] == {
        "x": {"rows": 70, "anomalies": 2, "kinds": {"SPIKE": 2}}
    }
    assert metadata["splits"]["train"]["start"] == "2025-01-01T00:00:00Z"
    assert metadata["splits"]["test"]["stop"] == "2025-01-01T00:16:30Z"
    assert metadata["cadence_seconds"] == 10.0
    assert metadata["sensors"] == [{"name": "a", "unit": "bar"}]
    assert metadata["labels"] == {"method": "events", "from": "a test", "events": 1}
    assert metadata["query"]["files"] == [str(source)]
    assert metadata["gaps"] == {"count": 0, "missing_seconds": 0.0, "longest": []}


def test_duplicates_are_dropped_holes_listed_and_missing_readings_kept(tmp_path: Path) -> None:
    rows: list[tuple[int, str, float]] = [
        (t, m, t) for t in range(200) for m in "xy" if not (m == "x" and 50 <= t < 80)
    ]
    text = csv(tmp_path / "in.csv", [*rows, (10, "x", 999.0), (10, "x", 998.0)]).read_text()
    (tmp_path / "in.csv").write_text(text.replace(f"{NEW_YEAR + 20},y,20\n", f"{NEW_YEAR + 20},y,\n"))
    prepared(history_of([tmp_path / "in.csv"]), tmp_path / "out")
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["duplicates_dropped"] == 2
    assert metadata["gaps"]["count"] == 1
    assert metadata["gaps"]["missing_seconds"] == 30.0
    assert metadata["gaps"]["longest"][0] == {
        "machine_id": "x",
        "after": "2025-01-01T00:00:49Z",
        "until": "2025-01-01T00:01:20Z",
        "seconds": 31.0,
    }
    train = read(tmp_path / "out", "train")
    assert train[(train["machine_id"] == "x") & (train["time"] == "2025-01-01T00:00:10Z")]["a"].tolist() == [
        "10"
    ]
    assert train[(train["machine_id"] == "y") & (train["time"] == "2025-01-01T00:00:20Z")]["a"].tolist() == [
        ""
    ]
    assert metadata["splits"]["train"]["missing_readings"] == {"a": 1}
    assert metadata["splits"]["train"]["rows_with_missing_readings"] == 1


@pytest.mark.parametrize("order", ["by machine", "shuffled", "two files"])
def test_rows_in_any_order_come_out_as_if_they_had_been_sorted(tmp_path: Path, order: str) -> None:
    count = 150_000
    rows = [(t, f"m{m}", float(t)) for t in range(count // 2) for m in range(2)]
    prepared(history_of([csv(tmp_path / "sorted.csv", rows)]), tmp_path / "expected")
    by_machine = sorted(rows, key=lambda row: (row[1], row[0]))
    if order == "two files":
        half = len(rows) // 2
        paths = [csv(tmp_path / "1.csv", by_machine[half:]), csv(tmp_path / "2.csv", by_machine[:half])]
    else:
        if order == "shuffled":
            by_machine = [rows[i] for i in np.random.default_rng(0).permutation(count)]
        paths = [csv(tmp_path / "1.csv", by_machine)]
    prepared(history_of(paths), tmp_path / "out")
    for name in ("train", "val", "test"):
        assert (tmp_path / "out" / f"{name}.csv").read_bytes() == (
            tmp_path / "expected" / f"{name}.csv"
        ).read_bytes()


def test_machines_sensors_and_times_are_chosen(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(
        "when,unit,a,b\n".replace("when", "time")
        + "".join(f"{NEW_YEAR + t},{m},{t},{-t}\n" for t in range(300) for m in "xyz")
    )
    origin = history_of(
        [path],
        sensors=["b"],
        machines=["x", "z"],
        machine_column="unit",
        start_ns=(NEW_YEAR + 100) * NS,
        stop_ns=(NEW_YEAR + 200) * NS,
    )
    result = prepared(origin, tmp_path / "out")
    assert result.metadata["rows"] == 200
    train = read(tmp_path / "out", "train")
    assert list(train.columns) == ["time", "machine_id", "b"]
    assert set(train["machine_id"]) == {"x", "z"}
    assert train["b"].tolist()[0] == -100


def test_labels_in_the_file_are_kept_and_are_no_sensors(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(
        "time;a;anomaly;kind\n"
        + "".join(f"{NEW_YEAR + t};{t % 7};{int(t == 5)};{'X' if t == 5 else ''}\n" for t in range(100))
    )
    origin = FileOrigin([path])
    assert origin.sensors == ("a",)
    assert origin.labelled
    prepared(origin, tmp_path / "out", CarriedLabels({"from": "a test"}))
    train = read(tmp_path / "out", "train")
    assert train[train["anomaly"] == 1][["time", "machine_id", "kind"]].to_numpy().tolist() == [
        ["2025-01-01T00:00:05Z", "machine", "X"]
    ]


def test_a_page_keeps_all_rows_of_one_time_together(tmp_path: Path) -> None:
    origin = history_of(
        [csv(tmp_path / "in.csv", [(t, f"m{m}", t) for t in range(40_000) for m in range(7)])]
    )
    first, last = origin.extent()
    pages = list(origin.pages(first, last + 1))
    assert len(pages) > 1
    for before, after in pairwise(pages):
        assert before.times[-1] < after.times[0]


def test_a_failure_leaves_no_folder_and_an_old_one_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepared(history_of([csv(tmp_path / "good.csv", [(t, "x", t) for t in range(100)])]), out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    bad = tmp_path / "bad.csv"
    bad.write_text(
        "time,a\n" + "".join(f"{NEW_YEAR + t},{t}\n" for t in range(100)) + f"{NEW_YEAR + 200},oops\n"
    )
    with pytest.raises(InputError, match="line 102: 'oops' in column 'a'"):
        prepared(history_of([bad], sensors=["a"]), out)
    with pytest.raises(InputError, match="line 102"):
        prepared(history_of([bad], sensors=["a"]), tmp_path / "new")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "good.csv", "out"]


def test_an_old_result_is_replaced_and_a_strangers_folder_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    origin = history_of([csv(tmp_path / "in.csv", [(t, "x", t) for t in range(100)])])
    prepared(origin, out)
    prepared(origin, out, gap_s=1.0)
    assert json.loads((out / "metadata.json").read_text())["split"]["gap_seconds"] == 1.0
    (out / "thesis.tex").write_text("do not lose me")
    with pytest.raises(UsageError, match=r"holds other files \(thesis\.tex\)"):
        prepared(origin, out)
    with pytest.raises(UsageError, match="cannot"):
        prepared(origin, tmp_path / "in.csv" / "out")


def test_a_split_without_rows_is_refused(tmp_path: Path) -> None:
    rows = [(t, "x", float(t)) for t in range(60)] + [(1000, "x", 1.0)]
    with pytest.raises(InputError, match="the val split has no rows"):
        prepared(history_of([csv(tmp_path / "in.csv", rows)]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_in_range_is_an_error_that_says_what_to_widen(tmp_path: Path) -> None:
    path = csv(tmp_path / "in.csv", [(t, "x", t) for t in range(60)])
    with pytest.raises(InputError, match="no rows in this range of machine nobody"):
        history_of([path], machines=["nobody"]).extent()
    with pytest.raises(InputError, match=r"no column 'c'.*it has time, machine_id, a"):
        history_of([path], sensors=["c"])
