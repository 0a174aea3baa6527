"""The offline kit: built, unpacked, and installed with the network denied, as on a gateway."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from build_kit import SUMS, _pack, build_kit

from edge_runtime.version import __version__

WORKSTATION_ONLY = {"torch", "onnx", "mlflow", "scikit-learn", "pandas", "pydantic", "matplotlib", "pyarrow"}
# As root, a network namespace of its own, in which there is nothing; otherwise as an ordinary user's root.
DENIED = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]


def without_network() -> list[str]:
    """The words that deny a command the network, where the system lets us."""
    possible = shutil.which("unshare") and subprocess.run([*DENIED, "true"], check=False).returncode == 0
    return DENIED if possible else []


def is_root() -> bool:
    """Whether a command that we start is root, if only in a namespace of its own."""
    return os.geteuid() == 0 or bool(without_network())


def environment(home: Path) -> dict[str, str]:
    """A gateway's: nothing of this environment, and settings that would lead pip astray if it heeded them."""
    (home / ".config/pip").mkdir(parents=True, exist_ok=True)
    (home / ".config/pip/pip.conf").write_text(
        "[global]\nindex-url = http://127.0.0.1:9/\nrequire-hashes = true\n"
    )
    nowhere = "http://127.0.0.1:9"
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "PYTHON": getattr(sys, "_base_executable", sys.executable),
        "PIP_INDEX_URL": nowhere,
        "PIP_EXTRA_INDEX_URL": nowhere,
        "PIP_TARGET": str(home / "astray"),
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), nowhere),
    }


def call(home: Path, *words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*without_network(), *map(str, words)],
        env=environment(home) | more,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_kit(tmp_path_factory.mktemp("kit"))


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    # As a user unpacks it; Debian 12's Python does not know the safe filter of `tarfile` yet.
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(folder)], check=True)
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture
def kit(unpacked: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(unpacked, tmp_path / "kit"))


@pytest.fixture(scope="module")
def installed(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("gateway")
    done = call(home, unpacked / "install.sh", home / "opt" / "edge-detect")
    assert done.returncode == 0, done.stderr
    assert f"edge-detect {__version__} is in {home}/opt/edge-detect" in done.stdout
    assert not (home / "astray").exists()
    return home / "opt" / "edge-detect"


def write_sums(kit: Path) -> None:
    """What somebody who changes the kit with care would do."""
    lines = (kit / SUMS).read_text().splitlines()
    names = [line[66:] for line in lines]
    sums = [f"{hashlib.sha256((kit / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (kit / SUMS).write_text("".join(sums))


def test_the_archive_is_named_after_version_python_and_platform(archive: Path) -> None:
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert archive.name.startswith(f"edge-detect-{__version__}-{python}-linux-")
    assert list(archive.parent.iterdir()) == [archive], "nothing half-made is left beside it"


def test_the_same_files_give_the_same_archive(unpacked: Path, kit: Path, tmp_path: Path) -> None:
    renamed = kit.rename(tmp_path / unpacked.name)
    os.utime(renamed / SUMS, (1, 1))
    _pack(unpacked, tmp_path / "one.tar.gz")
    _pack(renamed, tmp_path / "two.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_the_installed_program_scores_the_simulated_feed(installed: Path, tmp_path: Path) -> None:
    done = call(tmp_path, installed / "bin/edge-detect", "run", "--rows", "50", "--speed", "0")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 50
    assert {row["verdict"] for row in rows} <= {"normal", "anomaly", "unknown"}


def test_the_installed_program_verifies_its_bundle(installed: Path, tmp_path: Path) -> None:
    done = call(tmp_path, installed / "bin/edge-detect", "verify")
    assert done.returncode == 0, done.stderr
    assert "verified default.onnx sha256:" in done.stdout


def test_the_gateway_has_nothing_of_the_workstation(installed: Path, unpacked: Path, tmp_path: Path) -> None:
    code = "from importlib.metadata import distributions as d; print(*sorted(x.name.lower() for x in d()))"
    done = call(tmp_path, installed / "bin/python", "-I", "-c", code)
    names = set(done.stdout.replace("_", "-").split())
    wheels = {file.name.split("-")[0].lower().replace("_", "-") for file in (unpacked / "wheels").iterdir()}
    assert {"edge-detect", "numpy", "onnxruntime", "typer", "influxdb-client", "pynacl"} <= names
    assert names == wheels - {"pip"}
    assert not names & WORKSTATION_ONLY


def test_a_tampered_wheel_is_refused_before_anything_is_installed(kit: Path, tmp_path: Path) -> None:
    wheel = next((kit / "wheels").glob("numpy-*.whl"))
    with wheel.open("r+b") as file:
        file.seek(1000)
        file.write(b"\0tampered\0")
    done = call(tmp_path, kit / "install.sh", tmp_path / "target")
    assert done.returncode == 1
    assert wheel.name in done.stdout + done.stderr
    assert "damaged or was changed" in done.stderr
    assert not (tmp_path / "target").exists()


def test_a_wheel_that_is_not_in_the_list_is_refused(kit: Path, tmp_path: Path) -> None:
    shutil.copy(next((kit / "wheels").glob("six-*.whl")), kit / "wheels/six-99.0-py3-none-any.whl")
    done = call(tmp_path, kit / "install.sh", tmp_path / "target")
    assert done.returncode == 1
    assert "does not list" in done.stderr
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("missing", [SUMS, "LICENSE"])
def test_a_kit_with_a_file_missing_is_refused(kit: Path, tmp_path: Path, missing: str) -> None:
    (kit / missing).unlink()
    done = call(tmp_path, kit / "install.sh", tmp_path / "target")
    assert done.returncode == 1
    assert missing in done.stderr
    assert not (tmp_path / "target").exists()


def test_a_kit_for_another_python_is_refused(kit: Path, tmp_path: Path) -> None:
    (kit / "TARGET").write_text(f"{__version__} 3.9 linux-x86_64\n")
    write_sums(kit)
    done = call(tmp_path, kit / "install.sh", tmp_path / "target")
    assert done.returncode == 1
    assert "this kit is for Python 3.9 on linux-x86_64" in done.stderr
    assert not (tmp_path / "target").exists()


def test_a_python_that_is_not_there_is_named(unpacked: Path, tmp_path: Path) -> None:
    done = call(tmp_path, unpacked / "install.sh", tmp_path / "target", PYTHON="python-of-nobody")
    assert done.returncode == 1
    assert "cannot run python-of-nobody" in done.stderr


def test_a_failed_installation_leaves_nothing_behind(kit: Path, tmp_path: Path) -> None:
    # A wheel too few, in a list that agrees: pip finds out in the middle of it.
    next((kit / "wheels").glob("flatbuffers-*.whl")).unlink()
    lines = (kit / SUMS).read_text().splitlines(keepends=True)
    (kit / SUMS).write_text("".join(line for line in lines if "flatbuffers" not in line))
    done = call(tmp_path, kit / "install.sh", tmp_path / "target")
    assert done.returncode != 0
    assert "flatbuffers" in done.stderr
    assert not (tmp_path / "target").exists()


def test_a_folder_that_holds_something_else_is_left_alone(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target/precious").write_text("mine")
    done = call(tmp_path, unpacked / "install.sh", tmp_path / "target")
    assert done.returncode == 1
    assert "holds something else" in done.stderr
    assert [file.name for file in (tmp_path / "target").iterdir()] == ["precious"]


@pytest.mark.parametrize("words", [[], ["--nonsense", "folder"], ["one", "two"]])
def test_a_wrong_command_line_is_a_usage_error(unpacked: Path, tmp_path: Path, words: list[str]) -> None:
    done = call(tmp_path, unpacked / "install.sh", *words)
    assert done.returncode == 2
    assert "--help" in done.stderr


def test_a_second_installation_brings_the_service_and_keeps_the_configuration(
    unpacked: Path, installed: Path, tmp_path: Path
) -> None:
    configuration = tmp_path / "etc/edge-detect/edge-detect.toml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("# mine\n")
    words = (unpacked / "install.sh", "--service", installed)
    done = call(tmp_path, *words, DESTDIR=str(tmp_path))
    if not is_root():
        assert done.returncode == 2
        assert "needs root" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    unit = (tmp_path / "etc/systemd/system/edge-detect.service").read_text()
    assert f"ExecStart={installed}/bin/edge-detect run " in unit
    assert configuration.read_text() == "# mine\n"
    assert "systemctl enable --now edge-detect" in done.stdout


def test_a_service_in_a_folder_that_a_unit_cannot_name_is_refused(unpacked: Path, tmp_path: Path) -> None:
    done = call(
        tmp_path, unpacked / "install.sh", "--service", tmp_path / "with space", DESTDIR=str(tmp_path)
    )
    assert done.returncode == 2
    assert ("special characters" if is_root() else "needs root") in done.stderr
    assert not (tmp_path / "with space").exists()
