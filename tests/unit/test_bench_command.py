from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from support.bundles import make_bundle
from typer.testing import CliRunner

from edge_runtime import load_bundle
from edge_runtime.bench.compare import compared, read_document
from edge_runtime.bench.limits import (
    NAMES,
    Limit,
    check,
    declared_limits,
    figure,
    parse_limits,
)
from edge_runtime.bench.measure import BATCH_SIZES
from edge_runtime.bench.page import as_html
from edge_runtime.bench.text import EIGHTHS, as_text, bar
from edge_runtime.cli import app
from edge_runtime.errors import UsageError
from edge_runtime.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

ATTEMPTS = 6
QUICK = ["--quick", "--seconds", "0.2", "--rows", "100", "--rates", "20,100"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def written(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One measurement through the command, with all that it writes."""
    folder = tmp_path_factory.mktemp("written")
    files = ["--json", str(folder / "bench.json"), "--html", str(folder / "bench.html")]
    result = CliRunner().invoke(app, ["bench", str(bundle), *QUICK, *files])
    assert result.exit_code == 0, result.output
    (folder / "bench.txt").write_text(result.stdout)
    return folder


@pytest.fixture
def document(written: Path) -> dict[str, Any]:
    return read_document(written / "bench.json")


def test_the_json_has_the_documented_keys_and_its_figures_fit_together(
    document: dict[str, Any], bundle: Path
) -> None:
    assert set(document) == {
        *("bundle", "latency_us", "histogram", "throughput", "raw", "floor", "ratio_to_raw", "floor_ratio"),
        *("jitter", "end_to_end", "cpu_percent", "run_rss_mb", "load_ms", "cold_start_ms", "rss_mb"),
        *("declared", "environment", "limits"),
    }
    assert document["bundle"] == {"name": "bundle.onnx", "digest": load_bundle(bundle).digest}
    quantiles = {"calls", "mean", "p50", "p90", "p99", "p99_9", "max"}
    for latency in (
        document["latency_us"],
        document["raw"]["latency_us"],
        document["floor"]["latency_us"],
        document["jitter"]["idle"]["wake_us"],
        document["jitter"]["busy"]["latency_us"],
        document["end_to_end"]["stdin-stdout"]["latency_us"],
    ):
        assert set(latency) == quantiles
        assert 0 <= latency["p50"] <= latency["p99"] <= latency["p99_9"] <= latency["max"]
    ours = document["latency_us"]
    assert ours["calls"] == document["floor"]["latency_us"]["calls"] == sum(document["histogram"]["counts"])
    assert document["floor_ratio"] == pytest.approx(
        ours["p50"] / document["floor"]["latency_us"]["p50"], abs=1e-3
    )
    assert document["ratio_to_raw"] == pytest.approx(
        ours["p50"] / document["raw"]["latency_us"]["p50"], abs=1e-3
    )
    sizes = [str(size) for size in BATCH_SIZES]
    assert list(document["throughput"]) == list(document["raw"]["throughput"]) == sizes
    assert document["throughput"]["4096"] > document["throughput"]["1"] > 0
    assert list(document["cpu_percent"]) == ["20", "100"]
    assert document["load_ms"] < document["cold_start_ms"]
    assert document["rss_mb"] > 20
    assert document["environment"]["edge_detect"] == __version__


def test_the_engine_takes_longer_than_its_floor_which_is_the_same_graph_with_less_around_it(
    document: dict[str, Any], bundle: Path, tmp_path: Path
) -> None:
    found = [document["floor_ratio"]]
    while found[-1] <= 1 and len(found) < ATTEMPTS:  # for what else the machine does meanwhile
        path = tmp_path / f"{len(found)}.json"
        result = CliRunner().invoke(app, ["bench", str(bundle), *QUICK, "--json", str(path)])
        assert result.exit_code == 0, result.output
        found.append(read_document(path)["floor_ratio"])
    assert found[-1] > 1, found


def test_the_table_shows_the_figures_of_the_json(written: Path, document: dict[str, Any]) -> None:
    text = (written / "bench.txt").read_text()
    assert text == as_text(document)
    assert document["bundle"]["digest"] in text
    assert f"{document['latency_us']['p99_9']:,.1f}" in text
    assert f"{document['floor_ratio']:.2f} to the floor" in text
    assert all(f"batches of {size:,} " in text for size in BATCH_SIZES)
    assert "limits: the bundle declares none" in text


def test_a_bar_is_as_long_as_its_value_and_what_is_not_zero_is_seen() -> None:
    assert bar(10.0, 10.0, 4) == "████"
    assert bar(5.0, 10.0, 4) == "██"
    assert bar(1e-9, 10.0, 4) == EIGHTHS[1]
    assert bar(0.0, 10.0, 4) == bar(0.0, 0.0, 4) == ""


def test_the_page_is_well_formed_loads_nothing_and_has_both_plots(
    written: Path, document: dict[str, Any]
) -> None:
    text = (written / "bench.html").read_text()
    assert text == as_html(document)
    assert not re.search(r"(?i)(src|href|url\()\s*=?\s*[\"']?\s*(https?:)?//", text)
    assert "http:" not in text
    assert "https:" not in text
    assert "<script" not in text
    assert "prefers-color-scheme: dark" in text
    page = ET.fromstring(text.removeprefix("<!doctype html>\n"))  # noqa: S314 - our own page
    assert len(page.findall(".//svg")) == 2
    bars = page.findall(".//svg/rect")
    assert len(bars) == len(document["histogram"]["counts"]) + 2 * len(BATCH_SIZES) + 2
    assert page.findtext(".//h1") == "Bench: bundle.onnx"


def test_what_a_bundle_calls_itself_cannot_change_the_page(document: dict[str, Any]) -> None:
    document["bundle"]["name"] = "<script>alert(1)</script>"
    document["environment"]["cpu"] = "A & B <i>"
    text = as_html(document)
    assert "<script" not in text
    ET.fromstring(text.removeprefix("<!doctype html>\n"))  # noqa: S314


@pytest.mark.parametrize("name", NAMES)
def test_every_short_name_leads_to_a_figure_of_a_full_measurement(
    name: str, document: dict[str, Any]
) -> None:
    latency = document["end_to_end"]["stdin-stdout"]
    servers = ("influx-stdout", "mqtt-stdout", "stdin-influx")
    document["end_to_end"] |= dict.fromkeys(("stdin-jsonl", "simulate-stdout", *servers), latency)
    document["end_to_end"]["csv-stdout"] = {"rows_per_s": 9, "latency_us": None}
    document["cpu_percent"] |= {"1": 0.1, "10": 0.2}
    found = figure(document, name)
    assert found is not None
    assert found >= 0


def test_limits_are_read_with_or_without_the_declared_ones() -> None:
    assert parse_limits(" p99_us=200, floor_ratio = 1.5 ") == (
        [Limit("p99_us", 200.0), Limit("floor_ratio", 1.5)],
        False,
    )
    assert parse_limits("declared") == ([], True)
    assert parse_limits("rss_mb=90,declared") == ([Limit("rss_mb", 90.0)], True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("p98_us=3", r"nothing is called 'p98_us'; use .*p99_us, .*floor_ratio, .*declared"),
        ("p99_us", "'' is not a limit for p99_us"),
        ("p99_us=fast", "'fast' is not a limit for p99_us"),
        ("p99_us=-1", "'-1' is not a limit"),
        ("p99_us=nan", "'nan' is not a limit"),
        ("declared=3", "nothing is called"),
        ("", "there is no limit in it"),
    ],
)
def test_a_limit_that_makes_no_sense_is_a_usage_error_before_anything_is_measured(
    text: str, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        parse_limits(text)
    result = CliRunner().invoke(app, ["bench", "missing.onnx", "--assert", text])
    assert isinstance(result.exception, UsageError)
    assert "missing.onnx" not in str(result.exception)
    assert result.exception.exit_code == 2


def test_a_limit_is_the_most_that_a_figure_may_be_and_for_rows_a_second_the_fewest(
    document: dict[str, Any],
) -> None:
    document["latency_us"]["p99"], document["throughput"]["4096"] = 50.0, 1000
    cases = [("p99_us", 50.0, True), ("p99_us", 49.9, False)]
    cases += [("rows_per_s", 1000.0, True), ("rows_per_s", 1001.0, False)]
    cases += [("jsonl_p99_us", 1e9, False)]  # what was not measured keeps no limit
    found = check(document, [Limit(name, value) for name, value, _ in cases])
    assert [one.kept for one in found] == [kept for _, _, kept in cases]
    assert str(found[1]) == "p99_us is 50, to be at most 49.9"
    assert str(found[3]) == "rows_per_s is 1000, to be at least 1001"
    assert str(found[4]) == "jsonl_p99_us was not measured, the limit is 1e+09"


def test_the_bundles_own_limits_are_those_that_it_declares(document: dict[str, Any]) -> None:
    assert declared_limits(document) == []
    document["declared"] = {"p99_latency_us": 900.0, "memory_mb": None}
    assert declared_limits(document) == [Limit("p99_us", 900.0)]
    document["declared"]["memory_mb"] = 80.0
    assert declared_limits(document)[1:] == [Limit("rss_mb", 80.0)]


def test_a_broken_limit_ends_with_exit_code_1_and_its_name_measurement_and_limit(bundle: Path) -> None:
    command = [sys.executable, "-m", "edge_runtime", "bench", str(bundle), *QUICK]
    done = subprocess.run(
        [*command, "--assert", "p99_us=0.5,rss_mb=9000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r"edge-detect: over the limit: p99_us is [\d.]+, to be at most 0.5\n", done.stderr), (
        done.stderr
    )
    assert re.search(r"rss_mb +[\d.]+ +9,000  kept", done.stdout)


def test_two_measurements_are_compared_figure_by_figure(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    before["latency_us"]["p50"] = document["latency_us"]["p50"] / 2
    same = compared(before, document)
    assert same["differs"] == []
    assert same["figures"]["p50_us"]["ratio"] == 2.0
    assert same["figures"]["p90_us"]["ratio"] == 1.0
    assert "jsonl_p99_us" not in same["figures"]
    before["environment"]["cpu"], before["environment"]["numpy"] = "Another 9000", "1.26.0"
    before["bundle"]["digest"] = "sha256:00"
    lines = compared(before, document)["differs"]
    assert [line.split(":")[0] for line in lines] == ["another bundle", "another machine", "another version"]
    assert "was Another 9000" in lines[1]
    shown = as_text({**document, "compared": compared(before, document)})
    assert "another machine: cpu was Another 9000" in shown
    assert re.search(r"p50_us +[\d.]+ +[\d.]+ +2\.00", shown)
    assert "Another 9000" in as_html({**document, "compared": compared(before, document)})


def test_json_on_standard_output_beside_an_earlier_one_is_json_alone(written: Path) -> None:
    earlier = written / "bench.json"
    result = CliRunner().invoke(app, ["bench", *QUICK, "--json", "-", "--compare", str(earlier)])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["bundle"]["name"] == "default.onnx"
    assert found["compared"]["differs"][0].startswith("another bundle")


@pytest.mark.parametrize("content", ["nothing", "{}", "[1]", '{"latency_us": 1}', None])
def test_what_is_no_earlier_measurement_is_a_usage_error(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "earlier.json"
    if content is not None:
        path.write_text(content)
    result = CliRunner().invoke(app, ["bench", "--compare", str(path)])
    assert isinstance(result.exception, UsageError)
    assert str(path) in str(result.exception)


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_figures_that_cannot_be_written_are_a_usage_error(option: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "bench.out"
    result = CliRunner().invoke(app, ["bench", "missing.onnx", option, str(missing)])
    assert isinstance(result.exception, UsageError)
    assert str(missing.parent) in str(result.exception)


@pytest.mark.parametrize("rates", ["", "a", "1,,2", "0", "1,-1", "nan"])
def test_rates_that_make_no_sense_are_a_usage_error(rates: str) -> None:
    result = CliRunner().invoke(app, ["bench", "missing.onnx", "--rates", rates])
    assert isinstance(result.exception, UsageError)
    assert "--rates" in str(result.exception)


def test_a_bundle_that_asks_for_the_time_of_day_is_measured_too(tmp_path: Path) -> None:
    path = make_bundle(tmp_path, shown={"period": 60.0, "window": 2})
    result = CliRunner().invoke(app, ["bench", str(path), *QUICK])
    assert result.exit_code == 0, result.output


def test_a_bundle_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", str(tmp_path / "missing.onnx")])
    assert isinstance(result.exception, UsageError)
    assert "missing.onnx" in str(result.exception)


def test_the_command_imports_nothing_heavy_until_it_is_called() -> None:
    code = "import sys, edge_runtime.cli; print(*(m for m in ('numpy', 'onnxruntime') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
