"""Where a measurement was taken: without this, its figures say nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from edge_runtime.version import __version__

__all__ = ["Environment"]

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
CPU_INFO = Path("/proc/cpuinfo")
DEVICE_MODEL = Path("/proc/device-tree/model")


@dataclass(frozen=True, slots=True)
class Environment:
    """Machine and versions.

    Attributes:
        cpu: Model of the processor or of the board.
        cpus: Number of processors that this process may use.
        governor: Frequency governor of the first; None where the system does not tell.
        load: One-minute load average at the start: above 0 something else was running too.
        system: Operating system, its version and the architecture.
        python: Version of Python.
        numpy: Version of numpy.
        onnxruntime: Version of ONNX Runtime.
        edge_detect: Version of this distribution.
    """

    cpu: str
    cpus: int
    governor: str | None
    load: float | None
    system: str
    python: str
    numpy: str
    onnxruntime: str
    edge_detect: str

    @classmethod
    def here(cls) -> Environment:
        """This machine and this process."""
        return cls(
            cpu=_cpu(),
            cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            governor=_text(GOVERNOR),
            load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            system=f"{platform.system()} {platform.release()} {platform.machine()}",
            python=platform.python_version(),
            numpy=version("numpy"),
            onnxruntime=version("onnxruntime"),
            edge_detect=__version__,
        )


def _cpu() -> str:
    """x86 names the processor, ARM the board it sits on."""
    for line in (_text(CPU_INFO) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"} and value.strip():
            return value.strip()
    return (_text(DEVICE_MODEL) or "").strip("\0") or platform.processor() or platform.machine() or "unknown"


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
