from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from edge_runtime.errors import UsageError
from trainer.data.rows import LabelledRows, RowWriter, replacing

if TYPE_CHECKING:
    from pathlib import Path


def test_written_rows_read_back_exactly_and_odd_names_are_quoted(tmp_path: Path) -> None:
    values = np.array([[0.1, 1e-12], [np.nan, 123456789.125]])
    with replacing(tmp_path / "t.csv") as stream:
        RowWriter(stream, ["a", "b,c"]).write(
            LabelledRows(
                np.array([0, 1], np.int64),
                np.array(['x,"y', "z"]),
                values,
                np.array([True, False]),
                np.array(["K", ""]),
            )
        )
    frame = pd.read_csv(tmp_path / "t.csv")
    assert frame["time"].tolist() == ["1970-01-01T00:00:00.000000000Z", "1970-01-01T00:00:00.000000001Z"]
    assert frame["machine_id"].tolist() == ['x,"y', "z"]
    np.testing.assert_array_equal(frame[["a", "b,c"]], values)
    assert frame["anomaly"].tolist() == [1, 0]


def test_a_file_that_is_not_finished_never_gets_its_name(tmp_path: Path) -> None:

    def interrupted() -> None:
        with replacing(tmp_path / "t.csv") as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="cannot write here"), replacing(tmp_path / "none" / "t.csv"):
        pass
