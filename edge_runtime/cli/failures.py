"""What a command says of an error that nothing before turned into a message; imported when there is one."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from pathlib import Path

__all__ = ["TRACEBACK_VARIABLE", "describe", "traceback_is_wanted"]

TRACEBACK_VARIABLE = "EDGE_DETECT_TRACEBACK"
# Modules and functions that only Linux, or only POSIX, has.
ONLY_THERE = {"fcntl", "grp", "pwd", "resource", "termios", "tty"}
OF_THE_SYSTEM = {"os", "posix", "nt", "select", "signal", "socket", "time"}
HINTS = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some disk space",
    errno.EACCES: "check who may read and write there",
    errno.EMFILE: "raise the limit of open files",
}
PACKAGES = {"edge_runtime", "export", "trainer"}
WSAENOTSOCK = 10038


def traceback_is_wanted() -> bool:
    """Whether the one who runs it asked for all of it."""
    return os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0")


def describe(error: BaseException) -> str:
    """One line about it."""
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, RecursionError):
        return "something in the input is nested too deeply"
    if isinstance(error, ImportError):
        return _of_a_module(error)
    if isinstance(error, AttributeError):
        module = getattr(error.obj, "__name__", None)
        if module in OF_THE_SYSTEM:
            return f"this needs Linux: {module}.{error.name} is not on this system ({sys.platform})"
    what = " ".join(str(error).split())
    shown = f"{type(error).__name__}: {what[:200]}" if what else type(error).__name__
    return f"internal error in {_place(error)} ({shown}); report it with what {TRACEBACK_VARIABLE}=1 shows"


def _of_the_system(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if _is_of_standard_output(error):
        return f"cannot write to standard output ({reason})"
    if getattr(error, "winerror", None) == WSAENOTSOCK:
        return "this needs Linux: pipes cannot be waited for on this system"
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    hint = HINTS.get(error.errno or 0)
    text = (
        f"{' and '.join(names)}: it cannot be used ({reason})" if names else f"the system refuses ({reason})"
    )
    return f"{text}; {hint}" if hint else text


def _is_of_standard_output(error: OSError) -> bool:
    """Whether it comes from there, of which the error itself says nothing."""
    if error.filename is not None:
        return False
    if _last_wrote_to_it(error):
        return True
    try:
        sys.stdout.flush()  # what could not be written may still be in the buffer
    except OSError as again:
        return again.errno == error.errno
    except (AttributeError, ValueError):
        return False
    return error.errno == errno.EPIPE


def _last_wrote_to_it(error: OSError) -> bool:
    """Whether standard output was in the hands of the function in which it was raised."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames:
        return False
    inside = frames[-1].f_locals
    held = [*inside.values(), getattr(inside.get("self"), "_stream", None)]
    output = (sys.stdout, getattr(sys.stdout, "buffer", None))
    return any(value is stream for value in held for stream in output if stream is not None)


def _of_a_module(error: ImportError) -> str:
    if error.name in ONLY_THERE:
        return f"this needs Linux: the module {error.name} is not on this system ({sys.platform})"
    what = " ".join(str(error).split())
    return f"the installation is not complete ({what}); install edge-detect again"


def _place(error: BaseException) -> str:
    """The last line of ours that it came through."""
    ours = Path(__file__).parents[2]
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        path = Path(frame.filename)
        if (
            path.is_relative_to(ours)
            and path.relative_to(ours).parts[0] in PACKAGES
            and path.name != "guard.py"
        ):
            return f"{path.relative_to(ours)}, line {frame.lineno}"
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "an unknown place"
