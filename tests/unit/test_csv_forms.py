"""One file, three ways in: what `score`, `run --source csv` and `prepare` read of it are the same numbers."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime.errors import InputError
from edge_runtime.mapping.form import Columns, Form, TimeForm
from edge_runtime.records import Readings
from edge_runtime.scorefile.csvfile import CsvReader
from edge_runtime.sources.csv import CsvSource
from edge_runtime.timeparse import format_time
from trainer.prepare.files import FileOrigin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SENSORS = ("a", "b")
# 2026-01-31T08:00:00Z
T0 = 1_769_846_400_000_000_000
SECOND = 1_000_000_000
ROWS = 40
ONE = ["machine"] * ROWS
A = [55.5 + 0.25 * (i % 7) for i in range(ROWS)]
B = [1.125 + 0.5 * (i % 5) for i in range(ROWS)]


def stamp(row: int, form: str = "{y}-{m:02}-{d:02} {H:02}:{M:02}:{S:02}") -> str:
    return form.format(y=2026, m=1, d=31, H=8, M=0, S=row)


def rows(line: Callable[[int], str], header: str, end: str = "\n") -> str:
    return end.join([header, *(line(row) for row in range(ROWS)), ""])


def plain(row: int) -> str:
    return f"{stamp(row)},{A[row]},{B[row]}"


def comma(number: float) -> str:
    return str(number).replace(".", ",")


GERMAN = rows(lambda i: f"{stamp(i)};{comma(A[i])};{comma(B[i])}", "time;a;b", "\r\n")
OIL = rows(lambda i: plain(i) + ",Öl", "time,a,b,Störung")
FORMS: dict[str, tuple[str | bytes, Form]] = {
    "plain": (rows(plain, "time,a,b"), Form()),
    "byte order mark": (b"\xef\xbb\xbf" + rows(plain, "time,a,b", "\r\n").encode(), Form()),
    "gzip": (gzip.compress(rows(plain, "time,a,b").encode(), mtime=0), Form()),
    "other columns": (rows(lambda i: f"x,{A[i]},{stamp(i)},{i},{B[i]},", "no,a,time,seq,b,"), Form()),
    "decimal comma": (GERMAN, Form()),
    "decimal comma, named": (GERMAN, Form(decimal=",", delimiter=";")),
    "a decimal comma in one column": (rows(lambda i: f"{stamp(i)};{comma(A[i])};{B[i]}", "time;a;b"), Form()),
    "UTF-16": (("\ufeff" + GERMAN).encode("utf-16-le"), Form()),
    "UTF-16, big end first": (("\ufeff" + GERMAN).encode("utf-16-be"), Form()),
    "UTF-16 without a mark": (GERMAN.encode("utf-16-le"), Form(encoding="utf-16-le")),
    "cp1252": (
        rows(lambda i: plain(i) + ",Öl", "time,a,b,Störung").encode("cp1252"),
        Form(encoding="cp1252"),
    ),
    "carriage returns alone": (rows(plain, "time,a,b", "\r"), Form()),
    "comments": (rows(plain, "# a historian\n# site A\n\ntime,a,b"), Form()),
    "lines before the header": (rows(plain, "Report;of;today;and;more\n\ntime,a,b"), Form(skip_rows=2)),
    "Excel's separator": (rows(lambda i: f"{stamp(i)}|{A[i]}|{B[i]}", "sep=|\ntime|a|b"), Form()),
    "units": (rows(plain, "time,a,b\ns,°C,mm/s"), Form()),
    "units in quotes": (rows(lambda i: f'"{stamp(i)}",{A[i]},{B[i]}', 'time,a,b\n"s","°C","mm/s"'), Form()),
    "empty rows": (rows(plain, "time,a,b\n,,\n\n   \n") + ",,\n", Form()),
    "the header again": (rows(plain, "time,a,b").replace(plain(20), f"time,a,b\n{plain(20)}"), Form()),
    "delimiters at the end": (rows(lambda i: plain(i) + ",,", "time,a,b"), Form()),
    "a header over two lines": (rows(lambda i: plain(i) + ",x", 'time,a,b,"note\n(free)"'), Form()),
    "quotes": (rows(lambda i: f'"{stamp(i)}","{A[i]}",{B[i]}', '"time","a",b'), Form()),
    "quotes around commas": (
        rows(lambda i: f'{stamp(i)},"{comma(A[i])}","{comma(B[i])}"', "time,a,b"),
        Form(decimal=","),
    ),
    "leading zeros": (rows(lambda i: f"{stamp(i)},+000{A[i]},000{B[i]}", "time,a,b"), Form()),
    "day first": (rows(lambda i: f"31.01.2026 08:00:{i:02},{A[i]},{B[i]}", "time,a,b"), Form()),
    "month first": (
        rows(lambda i: f"01/31/2026 08:00:{i:02} AM,{A[i]},{B[i]}", "time,a,b"),
        Form(time=TimeForm(format="%m/%d/%Y %I:%M:%S %p")),
    ),
    "compact": (
        rows(lambda i: f"202601310800{i:02},{A[i]},{B[i]}", "time,a,b"),
        Form(time=TimeForm(format="%Y%m%d%H%M%S")),
    ),
    "date and time of day": (
        rows(lambda i: f"31.01.2026;08:00:{i:02};{A[i]};{B[i]}", "Datum;Uhrzeit;a;b"),
        Form(time=TimeForm(from_=("Datum", "Uhrzeit"))),
    ),
    "another name": (rows(plain, "Timestamp,a,b"), Form()),
    "a named column": (rows(plain, "measured_at,a,b"), Form(time=TimeForm(from_=("measured_at",)))),
    "milliseconds": (rows(lambda i: f"{T0 // 10**6 + i * 1000},{A[i]},{B[i]}", "ts,a,b"), Form()),
    "seconds with a fraction": (rows(lambda i: f"{T0 // SECOND + i}.000,{A[i]},{B[i]}", "time,a,b"), Form()),
    "Excel's days": (
        rows(lambda i: f"{46053 + (28800 + i) / 86400:.9f},{A[i]},{B[i]}", "time,a,b"),
        Form(time=TimeForm(unit="excel")),
    ),
    "FILETIME": (
        rows(lambda i: f"{134143200000000000 + i * 10**7},{A[i]},{B[i]}", "time,a,b"),
        Form(time=TimeForm(unit="filetime")),
    ),
    "a zone": (
        rows(lambda i: f"2026-01-31 09:00:{i:02},{A[i]},{B[i]}", "time,a,b"),
        Form(time=TimeForm(zone="Europe/Berlin")),
    ),
    "words for no reading": (
        rows(plain, "time,a,b").replace(plain(7), f"{stamp(7)},Bad,{B[7]}"),
        Form(missing=("Bad",)),
    ),
}


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "in.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def three_ways(path: Path, form: Form) -> list[tuple[list[str], list[int], np.ndarray]]:
    """Machines, times and values as each of the three finds them."""
    columns = Columns.of(SENSORS, form)
    scored = Readings.joined([block.readings for block in CsvReader(path, columns).blocks(0)])
    run = Readings.joined([batch.readings for batch in CsvSource(path, columns).batches(None)])
    found = [(read.machines.tolist(), read.times.tolist(), np.asarray(read.values)) for read in (scored, run)]
    origin = FileOrigin([path], sensors=SENSORS, form=form)
    first, last = origin.extent()
    (page,) = origin.pages(first, last + 1)
    found.append((page.machines.tolist(), page.times.tolist(), page.values.astype(np.float32)))
    return found


@pytest.mark.parametrize("kind", FORMS)
def test_score_run_and_prepare_read_the_same(tmp_path: Path, kind: str) -> None:
    text, form = FORMS[kind]
    expected = np.array([A, B], np.float32).T
    if kind == "words for no reading":
        expected[7, 0] = np.nan
    for machines, times, values in three_ways(write(tmp_path, text), form):
        assert machines == ONE
        assert times == [T0 + row * SECOND for row in range(ROWS)]
        np.testing.assert_array_equal(values, expected)


def test_a_machine_of_any_usual_name_is_one(tmp_path: Path) -> None:
    path = write(tmp_path, rows(lambda i: f"{stamp(i // 2)},m{i % 2},{A[i]},{B[i]}", "time,Machine,a,b"))
    for machines, times, _ in three_ways(path, Form()):
        assert machines == [f"m{i % 2}" for i in range(ROWS)]
        assert times == [T0 + row // 2 * SECOND for row in range(ROWS)]


def test_the_clock_that_goes_back_is_followed_alike(tmp_path: Path) -> None:
    first = 1_761_433_200 * SECOND  # 2025-10-25T23:00:00Z
    moments = [first + row * 600 * SECOND for row in range(ROWS)]
    change = first + 7200 * SECOND
    local = [format_time(one + (7200 if one < change else 3600) * SECOND)[:-1] for one in moments]
    path = write(tmp_path, rows(lambda i: f"{local[i]},{A[i]},{B[i]}", "time,a,b"))
    for _, times, _ in three_ways(path, Form(time=TimeForm(zone="Europe/Berlin"))):
        assert times == moments


PLAIN = rows(plain, "time,a,b")
REFUSED: dict[str, tuple[str | bytes, str, str]] = {
    "a word": (
        rows(plain, "time,a,b").replace(plain(9), f"{stamp(9)},I/O Timeout,1"),
        "line 11",
        "--missing",
    ),
    "an ambiguous date": (
        rows(lambda i: f"01/02/2026 08:00:{i:02},1,2", "time,a,b"),
        "line 2",
        "--time-format",
    ),
    "a compact time": (rows(lambda i: f"202601310800{i:02},1,2", "time,a,b"), "line 2", '"%Y%m%d%H%M%S"'),
    "a day alone": (rows(lambda i: f"2026-01-31;08:00:{i:02};1;2", "Date;Uhrzeit;a;b"), "line 2", "Uhrzeit"),
    "a day alone, in quotes": (
        rows(lambda i: f'"2026-01-31";"08:00:{i:02}";1;2', '"Date";"Uhrzeit";"a";"b"'),
        "line 2",
        "Uhrzeit",
    ),
    "an hour alone": (rows(lambda i: f"2026-01-31;08:00:{i:02};1;2", "Date;Time;a;b"), "line 2", "both"),
    "either comma": (rows(lambda i: f"{stamp(i)};1,250;2", "time;a;b"), "line 2", "--decimal"),
    "another encoding": (
        rows(lambda i: plain(i) + ",Öl", "time,a,b,Störung").encode("cp1252"),
        "",
        "--encoding",
    ),
    "a short row": (PLAIN + "2026-01-31 08:01:00,55.\n", "line 42", ""),
    "a long row": (PLAIN + "2026-01-31 08:01:00,55,1,7\n", "line 42", ""),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_may_be_something_else_is_refused_by_all_three(tmp_path: Path, kind: str) -> None:
    text, line, hint = REFUSED[kind]
    path = write(tmp_path, text)
    columns = Columns.of(SENSORS, Form())

    def prepared() -> None:
        FileOrigin([path], sensors=SENSORS).extent()
        list(FileOrigin([path], sensors=SENSORS).pages(0, 2**62))

    for read in (
        lambda: list(CsvReader(path, columns).blocks(0)),
        lambda: list(CsvSource(path, columns).batches(None)),
        prepared,
    ):
        with pytest.raises(InputError) as error:
            read()
        assert line in str(error.value)
        assert hint in (error.value.hint or "")


def test_what_is_understood_without_being_said_is_told(tmp_path: Path) -> None:
    text = rows(lambda i: f"{stamp(i)};{comma(A[i])};{comma(B[i])}", "time;a;b\ns;°C;mm/s").removesuffix("\n")
    path, told = write(tmp_path, text), list[str]()
    list(CsvReader(path, Columns.of(SENSORS, Form()), told.append).blocks(0))
    assert [line.removeprefix(str(path)) for line in told] == [
        ", line 2: taken for a row of units, not of readings: s;°C;mm/s",
        f": times have no zone, such as {stamp(0)}, and are taken as UTC",
        ": numbers have a decimal comma",
        f", line {ROWS + 2}: the last line has no line end, so it may have been cut off",
    ]
