"""How a command ends: one clear line on standard error, never a traceback; and on a signal, in time."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, Self

from edge_runtime.errors import EdgeDetectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import typer

__all__ = ["INTERRUPTED", "Signals", "imported", "interrupt", "leave", "run_app", "say"]

# A signal ends a process within 5 s; so much of them is left to what ends by itself.
ENDS_WITHIN_S = 4.5
ENDING = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130


def run_app(app: typer.Typer, name: str) -> NoReturn:
    """Runs a Typer app, and ends by SystemExit; what went wrong is one line on standard error and a code.

    The lost terminal of a command (SIGHUP) does not end it.
    """
    # What is imported stays for good, and looking for garbage in it takes 10 ms: see `imported`.
    gc.disable()
    _open_standard_streams()
    with _hangup(signal.SIG_IGN):
        code = _outcome(app, name)
        try:
            sys.stdout.flush()
        except (OSError, ValueError) as error:
            code = _failed(name, error) if code in (0, None) else code
            _give_up_output()
    sys.exit(code)


def _outcome(app: typer.Typer, name: str) -> Any:
    streams = sys.stdout, sys.stderr
    try:
        app(prog_name=name)
    except EdgeDetectError as error:
        say(f"{name}: {error}")
        return error.exit_code
    except SystemExit as end:
        sys.stdout, sys.stderr = streams
        cause = end.__context__  # typer makes an exit code of these, and says nothing
        if isinstance(cause, OSError) and end.code in (None, 0, 1):
            return _failed(name, cause)
        if end.code == INTERRUPTED and isinstance(cause, BaseException):
            say(f"{name}: interrupted")
        return end.code
    except KeyboardInterrupt:
        say(f"{name}: interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends in one line
        return _failed(name, error)
    return 0


def _failed(name: str, error: BaseException) -> int:
    from edge_runtime.cli.failures import describe, traceback_is_wanted

    if traceback_is_wanted():
        import traceback

        say("".join(traceback.format_exception(error)).rstrip())
    line = describe(error)
    _give_up_output()
    say(f"{name}: {line}")
    return 1


def say(line: str) -> None:
    """Writes a line to standard error; if nobody reads that any more, the command goes on all the same."""
    # A signal's handler may interrupt this very function, which is the RuntimeError.
    with suppress(OSError, ValueError, RuntimeError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _open_standard_streams() -> None:
    """Takes the number of a closed standard stream, so that no file of ours gets what is meant for it.

    To print to a closed standard output is an error; what is said to a closed standard error is lost.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Standard output refuses to be written to, as a closed one does.
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)  # noqa: PLR2004 - standard error
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if getattr(sys.stdout, "errors", None) == "strict":
        # A name that cannot be shown as it is must not end a command.
        with suppress(AttributeError, ValueError):
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _give_up_output() -> None:
    """What is left in the buffer cannot be written any more, not even at the end of the interpreter."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
        return
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def imported() -> None:
    """A long-running command has what it needs: from here on, garbage is collected, but not among that."""
    gc.freeze()
    gc.enable()


def leave(code: str | int | None) -> NoReturn:
    """Ends the process as `sys.exit` does, but does not take the interpreter apart, a tenth of a first score.

    Nothing may be open but the standard streams. Whoever traces or profiles gets the usual end.
    """
    quick = isinstance(code, int) and not (sys.gettrace() or sys.getprofile())
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # which the usual end tells of
        quick = False
    if not quick:
        sys.exit(code)
    import atexit

    atexit._run_exitfuncs()  # noqa: SLF001 - what the usual end calls
    os._exit(int(code or 0))


@contextmanager
def _hangup(handler: Any) -> Iterator[None]:
    """SIGHUP goes there meanwhile."""
    number = getattr(signal, "SIGHUP", None)
    try:
        before = signal.signal(number, handler) if number else None
    except ValueError:  # not the main thread, so not ours to decide
        before = None
    try:
        yield
    finally:
        if before is not None and number:
            signal.signal(number, before)


def interrupt(_number: int) -> None:
    """For `Signals.stop`: as Ctrl-C does by itself."""
    raise KeyboardInterrupt


class Signals:
    """SIGINT and SIGTERM end the process within five seconds, whatever it waits for; a `with` block.

    The first one calls `stop`; a second one ends the process at once. Python calls a handler only between
    two steps of the main thread, which the name of a server may hold up for half a minute. So the number of
    a signal goes into a pipe as well, at once and by C code, and a thread that waits for nothing else ends
    what does not end by itself.

    SIGHUP calls `hangup`, and never ends anything.

    Args:
        stop: Called by the first signal, in the main thread; it may raise.
        code: The exit code of a process that had to be ended.
        hangup: Called by SIGHUP, in the main thread; None to ignore it.

    Attributes:
        stop: As above; it may be changed.
    """

    def __init__(
        self, stop: Callable[[int], None], *, code: int, hangup: Callable[[], None] | None = None
    ) -> None:
        self.stop = stop
        self._hangup = hangup
        self._code = code
        self._asked = False
        self._before: dict[int, Any] = {}
        self._pipe = (-1, -1)
        self._wakes = -1

    def __enter__(self) -> Self:
        import threading

        if threading.current_thread() is not threading.main_thread():
            return self  # signals are not ours to decide
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        threading.Thread(target=self._watch, args=(self._pipe[0],), daemon=True).start()
        self._wakes = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._end) for number in ENDING}
        if self._hangup is not None and hasattr(signal, "SIGHUP"):
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hang_up)
        return self

    def __exit__(self, *_: object) -> None:
        if self._asked or not self._before:  # what ends the process is watched to its end
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakes)
        os.close(self._pipe[1])

    def _end(self, number: int, _frame: Any) -> None:
        self._asked = True
        for each in ENDING:
            signal.signal(each, signal.SIG_DFL)
        self.stop(number)

    def _hang_up(self, _number: int, _frame: Any) -> None:
        if self._hangup is not None:
            self._hangup()

    def _watch(self, reader: int) -> None:
        import select

        left: float | None = None
        until = 0.0
        while left is None or left > 0:
            if select.select([reader], [], [], left)[0]:
                data = os.read(reader, 1)
                if not data:
                    os.close(reader)
                    return
                if data[0] in ENDING and left is not None:
                    os._exit(128 + data[0])  # the second one
                if data[0] in ENDING:
                    until = time.monotonic() + ENDS_WITHIN_S
            if until:
                left = until - time.monotonic()
        # Either stream may be what does not end; what standard output does not take is lost.
        code = self._code if select.select([], [1], [], 0)[1] else 1
        if select.select([], [2], [], 0)[1]:
            with suppress(OSError):
                os.write(2, b"edge-detect: it did not end within 5 s of the signal, and was ended\n")
        os._exit(code)
