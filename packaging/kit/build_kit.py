"""`make kit`: everything a gateway needs in one archive, for the platform and the Python that build it.

Two builds from the same sources and the same wheels give the same archive.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = "influx,signing"
FILES = (
    "LICENSE",
    "packaging/kit/README.txt",
    "packaging/kit/install.sh",
    "packaging/systemd/edge-detect.service",
    "packaging/systemd/edge-detect.toml",
)
SUMS = "SHA256SUMS"


def build_kit(output: Path) -> Path:
    """Writes the archive into a folder; returns its path.

    Raises:
        subprocess.CalledProcessError: pip failed, and said why.
    """
    output.mkdir(parents=True, exist_ok=True)
    python, system = f"{sys.version_info.major}.{sys.version_info.minor}", sysconfig.get_platform()
    with tempfile.TemporaryDirectory(dir=output) as scratch:
        wheels = Path(scratch) / "wheels"
        version = _collect_wheels(wheels)
        kit = Path(scratch) / f"edge-detect-{version}-cp{python.replace('.', '')}-{system}"
        kit.mkdir()
        wheels.rename(kit / "wheels")
        for file in FILES:
            shutil.copy(ROOT / file, kit)
        # What install.sh compares the gateway with.
        (kit / "TARGET").write_text(f"{version} {python} {system}\n", encoding="ascii")
        _write_sums(kit)
        archive = Path(scratch) / f"{kit.name}.tar.gz"
        _pack(kit, archive)
        return archive.replace(output / archive.name)


def _collect_wheels(folder: Path) -> str:
    """The project's wheel, those of all it needs, and pip itself, which Debian may lack; the version."""
    _pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    project = next(folder.iterdir())
    constraints = ("--constraint", ROOT / "constraints.txt")
    wanted = (f"{project}[{EXTRAS}]", "pip")
    _pip("download", "--quiet", "--only-binary", ":all:", *constraints, "--dest", folder, *wanted)
    return project.name.split("-")[1]


def _pip(*words: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _write_sums(kit: Path) -> None:
    """In the format of sha256sum."""
    files = sorted(file for file in kit.rglob("*") if file.is_file())
    sums = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(kit).as_posix()}\n"
        for file in files
    ]
    (kit / SUMS).write_text("".join(sums), encoding="ascii")


def _pack(kit: Path, archive: Path) -> None:
    """A tar file without anything of who packed it and when."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in (kit, *sorted(kit.rglob("*"))):
            tar.add(path, path.relative_to(kit.parent), recursive=False, filter=_anonymous)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.name.endswith(".sh") else 0o644
    return entry


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make kit", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/kit"), help="folder for the archive")
    options = parser.parse_args()
    try:
        archive = build_kit(options.output)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"kit: pip ended with exit code {error.returncode}; what it said is above\n")
        return 1
    sys.stdout.write(f"{archive}  {archive.stat().st_size / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
