"""The live view: a person sees each machine's state, which sensor stands out, and what was expected."""

from __future__ import annotations

import io
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from edge_runtime.gateway.view import LiveView
from edge_runtime.loading.load import Bundle, load_bundle
from edge_runtime.records import Readings, Reason, Results, Scores, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NORMAL, ANOMALY, UNKNOWN = Verdict.NORMAL, Verdict.ANOMALY, Verdict.UNKNOWN
SECOND = 1_000_000_000
# 2026-01-31T12:03:04Z
START = 1_769_860_984 * SECOND
HEADER = "machine        age  verdict  severity     stands out: actual (expected), since"


@pytest.fixture(scope="module")
def loaded(bundle: Path) -> Bundle:
    return load_bundle(bundle)


class Plant:
    """A view whose time is set by hand."""

    def __init__(self, loaded: Bundle) -> None:
        self.now = 1000.0
        self.view = LiveView("bundle on influx", loaded.metadata, lambda: self.now)

    def feed(self, *rows: tuple[str, Verdict], second: float = 0, severity: float = 0.25) -> None:
        names = [name for name, _ in rows]
        self.view.watch(block(names, [verdict for _, verdict in rows], second=second, severity=severity))

    def text(self, columns: int = 80, rows: int = 24) -> list[str]:
        console = Console(width=columns, height=rows, record=True, file=io.StringIO())
        console.print(self.view)
        return [line.rstrip() for line in console.export_text().splitlines()]

    def machines(self, columns: int = 80, rows: int = 24) -> list[str]:
        """Of every machine's line the id and the verdict's first word."""
        lines = self.text(columns, rows)[2:]
        end = next(i for i, line in enumerate(lines) if " a second." in line or line.startswith("Last"))
        return [" ".join(line.split()[i] for i in (0, 3)) for line in lines[:end]]


@pytest.fixture
def plant(loaded: Bundle) -> Plant:
    return Plant(loaded)


def block(
    names: Sequence[str],
    verdicts: Sequence[Verdict],
    *,
    second: float = 0,
    step: int = 0,
    severity: float = 0.25,
    reason: Reason = Reason.MISSING,
) -> Results:
    """Rows of which an anomalous one has a severity of 3.21 and a vibration of 7.213 mm/s."""
    found, rows = np.array(verdicts, np.int8), len(names)
    off = found == ANOMALY
    values = np.tile(np.array([51.43, 1.486, 46.05, 320.8], np.float32), (rows, 1))
    values[off, 1] = 7.213
    expected = np.tile(np.array([53.47, 1.201, 45.97, 304.1], np.float32), (rows, 1))
    errors = np.tile(np.array([0.1, 0.2, 0.1, 0.1], np.float32), (rows, 1))
    scores = Scores(errors.sum(axis=1), errors, expected)
    severities = np.where(off, np.float32(3.21), np.float32(severity))
    unknown = found == UNKNOWN
    scores.forget(unknown)
    severities[unknown] = np.nan
    times = START + int(second * SECOND) + np.arange(rows) * step
    readings = Readings(np.array(names, np.str_), times, values)
    return Results(readings, scores, severities, found, np.where(unknown, np.int8(reason), np.int8(0)))


def test_25_machines_fit_80_columns_and_24_lines_with_the_anomaly_at_the_top(plant: Plant) -> None:
    names = [f"machine-{number:02}" for number in range(1, 26)]
    for second in range(12):
        plant.now = 1000.0 + second
        others = [(name, NORMAL) for name in names if name != "machine-22"]
        plant.feed(*others, ("machine-22", ANOMALY if second >= 9 else NORMAL), second=second)
    assert plant.text() == [
        "bundle on influx",
        HEADER,
        "machine-22     0 s  anomaly  ██████ 3.21  vibration 7.213 mm/s (1.201) 12:03:13",
        *[f"machine-{number:02}     0 s  normal   █····· 0.25" for number in range(1, 18)],
        "7 more machines: 7 normal",
        "Last anomalies",
        "2026-01-31T12:03:13Z  machine-22  vibration 7.213 mm/s, expected 1.201, goes on",
        "300 rows, 25 a second. 25 machines: 24 normal, 1 anomaly. Ctrl-C ends.",
    ]


def test_a_wide_terminal_shows_readings_and_expected_ones(plant: Plant) -> None:
    plant.feed(("press-1", NORMAL))
    header, line = plant.text(200, 10)[1:3]
    assert header.startswith(
        "machine     age  verdict  severity         stands out: actual (expected), since   "
    )
    assert header.endswith("   temperature °C   vibration mm/s     pressure PSI          power W")
    assert line.startswith("press-1     0 s  normal   █········· 0.25   ")
    assert line.endswith("   51.43 (53.47)    1.486 (1.201)    46.05 (45.97)    320.8 (304.1)")
    assert len(header) == len(line) == 200
    assert "temperature °C" in plant.text(120, 10)[1]
    assert "vibration mm/s" not in plant.text(100, 10)[1]


def test_machines_stand_by_state_then_by_age_of_the_anomaly_then_by_name(plant: Plant) -> None:
    plant.feed(("gone-b", NORMAL), ("gone-a", ANOMALY))
    plant.now += 11
    plant.feed(("new", ANOMALY), ("b", NORMAL), ("a", NORMAL), ("u2", UNKNOWN), second=11)
    plant.feed(("old", ANOMALY), ("u1", UNKNOWN), second=5)
    plant.feed(("also-old", ANOMALY), second=5)
    assert plant.machines() == [
        "also-old anomaly",
        "old anomaly",
        "new anomaly",
        "u1 unknown:",
        "u2 unknown:",
        "gone-a silent",
        "gone-b silent",
        "a normal",
        "b normal",
    ]


def test_a_state_says_why_and_what_was_before(plant: Plant) -> None:
    plant.feed(("a", UNKNOWN), ("b", ANOMALY), ("c", UNKNOWN), ("d", NORMAL))
    plant.feed(("b", UNKNOWN), second=1)
    assert plant.text()[2:6] == [
        "a           0 s  unknown: missing",
        "b           0 s  unknown: missing, anomaly since 12:03:04",
        "c           0 s  unknown: missing",
        "d           0 s  normal   █········ 0.25",
    ]
    plant.now += 30
    assert plant.text()[2:6] == [
        "a          30 s  silent   was unknown: missing",
        "b          30 s  silent   was anomaly since 12:03:04",
        "c          30 s  silent   was unknown: missing",
        "d          30 s  silent   was normal",
    ]


def test_a_silent_machine_is_grey_without_any_further_row(plant: Plant) -> None:
    plant.feed(("press-1", NORMAL), ("press-2", NORMAL))
    for _ in range(12):
        plant.now += 1
        plant.feed(("press-1", NORMAL))
    assert plant.machines() == ["press-2 silent", "press-1 normal"]
    console = Console(width=80, height=24, file=(shown := io.StringIO()), force_terminal=True)
    console.print(plant.view)
    assert "\x1b[2mpress-2    12 s  silent   was normal" in shown.getvalue()
    console = Console(width=80, height=24, file=(shown := io.StringIO()), force_terminal=True, no_color=True)
    console.print(plant.view)
    assert "silent" in shown.getvalue()
    assert "[32m" not in shown.getvalue()


def test_when_nothing_comes_all_are_silent_and_the_caption_says_for_how_long(plant: Plant) -> None:
    for _ in range(40):
        plant.feed(("press-1", NORMAL), ("press-2", ANOMALY))
        plant.now += 0.5
    plant.now += 9
    assert plant.machines() == ["press-2 anomaly", "press-1 normal"]
    plant.now += 30.5
    assert plant.text() == [
        "bundle on influx",
        "machine     age  verdict  severity        stands out: actual (expected), since",
        "press-1    40 s  silent   was normal",
        "press-2    40 s  silent   was anomaly since 12:03:04",
        "Last anomalies",
        "2026-01-31T12:03:04Z  press-2  vibration 7.213 mm/s (1.201), end not seen",
        "No row has come for 40 s. 80 rows, 0 a second. 2 machines: 2 silent.",
        "Ctrl-C ends.",
    ]


def test_before_any_row_it_says_so(plant: Plant) -> None:
    assert plant.text()[-1] == "0 rows, 0 a second. No machine yet. Ctrl-C ends."
    plant.now += 75
    assert plant.text()[-1] == ("No row has come for 1 min. 0 rows, 0 a second. No machine yet. Ctrl-C ends.")


def test_a_machine_is_silent_after_five_of_its_own_gaps(plant: Plant) -> None:
    for _ in range(4):
        plant.feed(("slow", NORMAL))
        plant.now += 0.2
        plant.feed(("slow", NORMAL))  # the same arrival
        plant.now += 59.8
    plant.now += 239
    assert plant.machines() == ["slow normal"]
    plant.now += 2
    assert plant.machines() == ["slow silent"]


def test_a_backlog_does_not_make_a_slow_machine_silent(plant: Plant) -> None:
    for gap in (60, 60, 60, *[0.01] * 90, 60):
        plant.feed(("slow", NORMAL))
        plant.now += gap
    assert plant.machines() == ["slow normal"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (9.99, "9 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (86_400, "1 d"),
    ],
)
def test_ages(plant: Plant, seconds: float, shown: str) -> None:
    plant.feed(("m", NORMAL))
    plant.now += seconds
    assert plant.text()[2].startswith(f"m        {shown:>6}  ")


def test_the_rate_is_that_of_the_last_ten_seconds(plant: Plant) -> None:
    plant.feed(*[("m", NORMAL)] * 6)
    plant.now += 2
    assert plant.text()[-1].startswith("6 rows, 3 a second.")
    for _ in range(100):
        plant.now += 0.25
        plant.feed(*[("m", NORMAL)] * 500)
    assert plant.text()[-1].startswith("50,006 rows, 2,000 a second.")
    plant.now += 5.1
    plant.feed(("m", NORMAL))
    assert plant.text()[-1].startswith("50,007 rows, 1,000 a second.")
    plant.now += 8
    assert plant.text()[-1].startswith("50,007 rows, 0.1 a second.")


def test_the_last_anomalies_newest_first_with_how_long_they_lasted(plant: Plant) -> None:
    verdicts = [NORMAL, ANOMALY, ANOMALY, UNKNOWN, ANOMALY, NORMAL, ANOMALY]
    plant.view.watch(block(["a"] * 7, verdicts, step=SECOND))
    plant.view.watch(block(["b", "b"], [ANOMALY, NORMAL], second=90_000, step=SECOND // 4))
    plant.view.watch(block(["c"], [ANOMALY], second=90_001))
    plant.view.watch(block(["a"], [ANOMALY], second=90_002))
    plant.view.watch(block(["c"], [UNKNOWN], second=90_002))
    text = plant.text()
    assert text[2] == "a           0 s  anomaly  █████████ 3.21  vibration 7.213 mm/s (1.201) 01-31"
    what = "vibration 7.213 mm/s, expected 1.201"
    assert text[text.index("Last anomalies") + 1 : -1] == [
        f"2026-02-01T13:03:05Z  c  {what}, end not seen",
        f"2026-02-01T13:03:04Z  b  {what}, lasted 250 ms",
        f"2026-01-31T12:03:10Z  a  {what}, goes on",
        f"2026-01-31T12:03:05Z  a  {what}, lasted 4 s",
    ]


def test_only_the_last_of_many_anomalies_of_a_block_are_kept(plant: Plant) -> None:
    plant.view.watch(block(["a"] * 1001, [ANOMALY, NORMAL] * 500 + [ANOMALY], step=SECOND))
    listed = plant.text(80, 200)
    listed = listed[listed.index("Last anomalies") + 1 : -1]
    assert len(listed) == 64
    assert listed[0].startswith("2026-01-31T12:19:44Z")
    assert listed[0].endswith("goes on")
    assert all(line.endswith("lasted 1 s") for line in listed[1:])


HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "line\nbreak\r\x07",
    "[red]m[/red]",
    ":smile:",
    "日本語日本語日本語日本語日本語",
    "e" + "\u0301" * 500,
    "\u202egnp.exe",
    "\ud800",
    "❤\ufe0f",
    "",
    "x" * 10_000,
]


def test_hostile_ids_are_shown_escaped(plant: Plant) -> None:
    plant.feed(*[(name, ANOMALY) for name in HOSTILE])
    text = "\n".join(plant.text(240, 60))
    for shown in (
        r"\x1b[31mred\x1b[0m",
        r"line\nbreak\r\x07",
        "[red]m[/red]",
        ":smile:",
        r"\u202egnp.exe",
        r"\ud800",
    ):
        assert f"\n{shown}  " in text
    assert "日本語日本語日本語日本語日本語" in text
    assert "x" * 19 + "…" + "x" * 20 not in text
    assert not set(text) & {"\x1b", "\r", "\x07", "\u202e", "\ufe0f"}


def test_no_line_is_wider_nor_are_there_more_than_the_terminal_has(plant: Plant) -> None:
    names = [*HOSTILE, *(f"a-very-long-name-of-a-machine-{number}" for number in range(40))]
    plant.feed(*[(name, NORMAL) for name in names])
    plant.now += 20
    for second, verdicts in enumerate([[ANOMALY, UNKNOWN, NORMAL], [NORMAL, ANOMALY, UNKNOWN]]):
        plant.feed(*[(name, verdicts[i % 3]) for i, name in enumerate(names[:30])], second=second)
    for columns in (20, 21, 35, 36, 40, 59, 60, 79, 80, 100, 119, 132, 160, 200):
        for rows in (5, 6, 7, 8, 9, 10, 11, 12, 16, 24, 25, 40, 50, 60):
            text = plant.text(columns, rows)
            assert len(text) <= rows
            assert max(map(cell_len, text)) <= columns
            assert any("anomaly" in line for line in text[:3])
            assert any(" more machines: " in line for line in text) == (rows < 60)


def test_at_most_2000_machines_are_kept_those_in_anomaly_among_them(plant: Plant) -> None:
    plant.feed(("ill", ANOMALY))
    for start in range(0, 6000, 500):
        plant.now += 1
        plant.feed(*[(f"m{number}", NORMAL) for number in range(start, start + 500)])
        assert len(plant.view._state) <= 2000
    assert plant.machines()[0] == "ill silent"
    plant.now += 1
    plant.feed(*[(f"n{number}", NORMAL) for number in range(4000)], ("also", ANOMALY))
    assert len(plant.view._state) <= 2000
    assert plant.machines()[:2] == ["also anomaly", "ill silent"]


def test_a_machine_silent_for_a_day_is_forgotten(plant: Plant) -> None:
    plant.feed(("gone", ANOMALY))
    plant.now += 86_390
    plant.feed(("m", NORMAL))
    assert plant.machines() == ["gone silent", "m normal"]
    plant.now += 11
    assert plant.machines() == ["m silent"]
    assert len(plant.view._state) == 1


def calls(view: LiveView, results: Results) -> int:
    """How many functions, of Python and of C, a block takes."""
    count = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        view.watch(results)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("verdict", [NORMAL, UNKNOWN, ANOMALY])
def test_4096_rows_take_as_many_calls_as_100(plant: Plant, verdict: Verdict) -> None:
    names = [f"m{number:02}" for number in range(25)]
    plant.feed(*[(name, verdict) for name in names])
    few, many = ([names[i % 25] for i in range(rows)] for rows in (100, 4096))
    counted = [calls(plant.view, block(rows, [verdict] * len(rows))) for rows in (few, many)]
    assert counted[0] == counted[1]


def test_it_is_drawn_while_blocks_come(plant: Plant) -> None:
    ended = threading.Event()
    problems: list[BaseException] = []

    def draw() -> None:
        try:
            while not ended.is_set():
                assert len(plant.text()) <= 24
        except BaseException as problem:  # noqa: BLE001
            problems.append(problem)

    thread = threading.Thread(target=draw)
    thread.start()
    for number in range(400):
        plant.now += 10
        plant.feed((f"m{number}", ANOMALY), (f"m{number // 2}", NORMAL), second=number)
    ended.set()
    thread.join()
    assert not problems


def test_a_terminal_without_unicode_gets_plain_letters(plant: Plant) -> None:
    plant.feed(("日本", ANOMALY))
    raw = io.BytesIO()
    console = Console(width=80, height=24, file=io.TextIOWrapper(raw, "latin-1"), force_terminal=True)
    console.print(plant.view)
    console.file.flush()
    assert "vibration 7.213 mm/s" in raw.getvalue().decode("latin-1")
    assert "######### 3.21" in raw.getvalue().decode("latin-1")


def test_it_opens_reports_and_closes(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    with plant.view as view:
        plant.feed(("press-1", NORMAL))
        view.watch(block([], []))
        view.report("influx: answers [again] :smile: \x1b[31m")
    shown = capsys.readouterr().out
    assert r"influx: answers [again] :smile: \x1b[31m" in shown
    assert "press-1     0 s  normal" in shown
