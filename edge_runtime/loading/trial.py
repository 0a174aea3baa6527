"""The trial: an unseen bundle's first session runs in a child process that may die.

The gate lets no operator through that reads files or hangs by itself, but what a graph allocates and how
long it computes only its run can tell, and whether it is the same for one row as for thousands. The child
gets the bytes on standard input, makes the session, replays the golden rows, follows the rows through the
graph (`bundle/rows.py`), and scores them one by one and in blocks (`cuts.py`), under limits on address space
and CPU time, and without the means to open a file. A bomb costs seconds there, and the gateway nothing.

    python -m edge_runtime.loading.trial SECONDS MEGABYTES <bundle
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import BundleError, BundleFormatError, GateError, SelfTestError
from edge_runtime.loading.proved import Proofs

__all__ = ["Trial", "TrialLimits", "main", "run_trial"]

WHERE = "trial"
HINT = "do not use it; a bundle written by edge-export needs only a fraction of this"
# A process that waits for its turn on a busy gateway uses no CPU time: the clock gives it longer.
PATIENCE = 6.0
OUT_OF_MEMORY = ("bad_alloc", "bfc_arena", "Failed to allocate memory", "Unable to allocate")
REFUSALS: dict[str, type[BundleError]] = {
    kind.__name__: kind for kind in (BundleFormatError, GateError, SelfTestError)
}


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """What the child may use beyond a process that has just imported ONNX Runtime.

    Attributes:
        seconds: Of CPU time.
        memory_mb: Of address space, in MB of 2^20 bytes. The default fits beside the running program below
            the 512 MB of the systemd unit.
    """

    seconds: int = 3
    memory_mb: int = 256


class Trial:
    """Tries a bundle, unless this machine knows its digest.

    Args:
        limits: Of the child.
        state: The folder that remembers what passed; None for the user's or service's state folder.
        again: Whether to try even what is known.
        remembers: Whether what passed is remembered.
    """

    def __init__(
        self,
        *,
        limits: TrialLimits = TrialLimits(),
        state: Path | None = None,
        again: bool = False,
        remembers: bool = True,
    ) -> None:
        self._limits = limits
        self._remembers = remembers
        self._proofs = Proofs(state)
        self._again = again

    def __call__(self, data: bytes, digest: str) -> str:
        """Tries the bundle of this digest when that is needed; returns what was found.

        Raises:
            BundleError: As `run_trial`.
        """
        if not self._again and self._proofs.holds(digest):
            return "passed before on this machine"
        finding = run_trial(data, self._limits)
        if self._remembers:
            self._proofs.add(digest)
        return finding


def run_trial(data: bytes, limits: TrialLimits) -> str:
    """Tries a bundle that passed the gate; returns what was found.

    Raises:
        BundleError: ONNX Runtime refused it, a golden row came out otherwise, or the child did not finish
            within its limits, or crashed.
    """
    import subprocess  # noqa: PLC0415 - 10 ms, which a bundle that is known need not pay

    command = [
        sys.executable,
        "-P",
        "-m",
        "edge_runtime.loading.trial",
        str(limits.seconds),
        str(limits.memory_mb),
    ]
    started = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and this module
            command,
            input=data,
            capture_output=True,
            env=_environment(),
            timeout=limits.seconds * PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _too_long(limits) from None
    except OSError as error:
        raise SelfTestError(
            f"the trial's process cannot be started ({error.strerror})", where=WHERE
        ) from None
    answer = _answer(done.stdout)
    if done.returncode == 0 and answer.get("ok"):
        return f"{time.monotonic() - started:.1f} s in a process of its own"
    if done.returncode == -signal.SIGXCPU:
        raise _too_long(limits)
    if done.returncode == -signal.SIGKILL:
        raise SelfTestError(
            "was killed in the trial, probably because the machine ran out of memory", where=WHERE, hint=HINT
        )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise SelfTestError(f"ONNX Runtime crashed on it in the trial ({name})", where=WHERE, hint=HINT)
    if answer.get("error") in REFUSALS:
        raise REFUSALS[answer["error"]](
            answer["what"], where=f"{WHERE}: {answer['where']}", hint=answer["hint"]
        )
    if answer.get("error") == MemoryError.__name__ or b"MemoryError" in done.stderr:
        raise SelfTestError(
            f"needed more than {limits.memory_mb} MB of memory in the trial", where=WHERE, hint=HINT
        )
    last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
    raise SelfTestError(f"the trial failed with exit code {done.returncode} ({last[:200]})", where=WHERE)


def _too_long(limits: TrialLimits) -> SelfTestError:
    return SelfTestError(f"did not finish within {limits.seconds} s in the trial", where=WHERE, hint=HINT)


def _environment() -> dict[str, str]:
    """The child needs no secrets, and no memory for the threads of a library that it does not use."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_DETECT_")}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _answer(output: bytes) -> dict[str, Any]:
    with suppress(ValueError, IndexError):
        answer = json.loads(output.splitlines()[-1])
        if isinstance(answer, dict):
            return answer
    return {}


def main() -> None:
    """The child: everything it needs is imported and open before the limits hold."""
    from edge_runtime.bundle.gate import check_graph  # noqa: PLC0415
    from edge_runtime.bundle.metadata import Metadata  # noqa: PLC0415
    from edge_runtime.bundle.outline import read_outline  # noqa: PLC0415
    from edge_runtime.bundle.rows import check_rows  # noqa: PLC0415
    from edge_runtime.loading.cuts import check_cuts  # noqa: PLC0415
    from edge_runtime.loading.selftest import replay  # noqa: PLC0415
    from edge_runtime.scoring import baseline, filling  # noqa: F401, PLC0415 - the replay may need them
    from edge_runtime.scoring.session import import_onnxruntime, make_session  # noqa: PLC0415

    def attempt() -> None:
        outline = read_outline(data)
        metadata = Metadata.from_json(data[outline.metadata])
        session = make_session(data)
        replay(session, metadata)
        check_rows(data, outline.graph, check_graph(data, outline.graph))
        check_cuts(session, metadata)

    import_onnxruntime()
    data = sys.stdin.buffer.read()
    _limit(int(sys.argv[1]), _address_space() + (int(sys.argv[2]) << 20))
    answer: dict[str, Any]
    try:
        attempt()
        answer = {"ok": True}
    except BundleError as error:
        answer = {"error": type(error).__name__, "what": error.what, "where": error.where, "hint": error.hint}
        if any(words in error.what for words in OUT_OF_MEMORY):
            answer = {"error": MemoryError.__name__}
    except MemoryError:
        answer = {"error": MemoryError.__name__}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    # Not through the interpreter's end, which may need what is left of neither memory nor time.
    os._exit(0 if "ok" in answer else 1)


def _address_space() -> int:
    """This process's, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def _limit(seconds: int, address_space: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, round(used.ru_utime + used.ru_stime) + seconds, more=1)
    _lower(resource.RLIMIT_AS, address_space)
    _lower(resource.RLIMIT_CORE, 0)
    # Nothing more can be opened or written: no file, no library, no connection.
    _lower(resource.RLIMIT_NOFILE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)


def _lower(limit: int, value: int, *, more: int = 0) -> None:
    """Sets a limit, unless a lower one holds already; the hard one, which ends all, is by so much higher.

    The hard one too: what runs in here must not raise it again.
    """
    _, hard = resource.getrlimit(limit)
    ends = value + more if hard == resource.RLIM_INFINITY else min(value + more, hard)
    resource.setrlimit(limit, (min(value, ends), ends))


if __name__ == "__main__":
    main()
