"""The one place that makes ONNX sessions."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import BundleFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["import_onnxruntime", "make_session", "run_options"]

# How a line of its log begins that is no error: warning, information, verbose.
REMARKS = (b"[W:onnxruntime", b"[I:onnxruntime", b"[V:onnxruntime")


def import_onnxruntime() -> Any:
    """The module `onnxruntime`: 0.2 s, which only whoever scores should pay."""
    # Newer ONNX Runtime wheels report usage over the network, with a device id that they leave in the
    # user's cache folder. A gateway must not; whoever wants it sets the variable to 0.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if "onnxruntime" not in sys.modules:
        with _without_warnings():
            import onnxruntime  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415

    return onnxruntime


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keeps ONNX Runtime's warnings and remarks from standard error.

    It makes its logger while it is imported, and 1.23 at once warns of graphics cards that it does not find:
    no setting comes before that. So what is written to standard error meanwhile, by whichever thread, is kept
    in memory and written afterwards, but for those lines. If the import kills the process, which memory would
    not outlive, the fault handler still says so on the real standard error.
    """
    try:
        real, kept = os.dup(2), os.memfd_create("stderr")
    except (OSError, AttributeError):  # it is closed; or no Linux
        yield
        return
    import faulthandler  # noqa: PLC0415 - here alone

    watches = not faulthandler.is_enabled()
    if watches:
        faulthandler.enable(real)
    os.dup2(kept, 2)
    try:
        yield
    finally:
        os.dup2(real, 2)
        if watches:
            faulthandler.disable()
        with suppress(OSError):  # nobody reads it any more
            for line in os.pread(kept, os.fstat(kept).st_size, 0).splitlines(keepends=True):
                if not any(mark in line for mark in REMARKS):
                    os.write(2, line)
        os.close(real)
        os.close(kept)


def make_session(data: bytes) -> Any:
    """An `onnxruntime.InferenceSession` for a gateway: small, quiet, and the same everywhere.

    One thread, because a row is scored faster than a second thread wakes up, and none that spins while there
    is nothing to do. From bytes, never from a path, so that what was checked is what runs. The provider is
    named and the fallback is off, so that a session never changes its numerics behind our back.

    Raises:
        BundleFormatError: ONNX Runtime refuses the model.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4  # what it has to say comes as an exception
    try:
        return onnxruntime.InferenceSession(
            data, sess_options=options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no base class below Exception
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleFormatError(f"ONNX Runtime refuses the model ({reason[:200]})", where="session") from None


@cache
def run_options() -> Any:
    """What each call is given: without, ONNX Runtime makes new options for it, a twelfth of a row's time."""
    return import_onnxruntime().RunOptions()
