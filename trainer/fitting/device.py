"""Where networks are trained, and how a training comes out the same each time."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer.fitting.settings import Device

__all__ = ["THREADS", "pick_device", "reproducible"]

# The layers are too small to gain much from more, on a busy machine threads that wait for one another lose a
# hundredfold, and sums come out the same whatever the number of cores.
THREADS = 1


def pick_device(wanted: Device) -> str:
    """What PyTorch calls it.

    Raises:
        UsageError: It is not there.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageError(
            "PyTorch finds no GPU here", where="--device", hint="use --device cpu, or install a CUDA build"
        )
    if wanted == "cpu" or not there:
        return "cpu"
    # Without it cuBLAS adds in another order each time, and PyTorch refuses to call that deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return "cuda"


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Fixed seed, threads and algorithms; the process gets its own back at the end."""
    threads, deterministic = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_num_threads(THREADS)
        # As `use_deterministic_algorithms`, which also imports the compiler that is not used here: seconds.
        torch.set_deterministic_debug_mode("error")
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(deterministic)
            torch.set_num_threads(threads)
