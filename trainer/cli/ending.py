"""How a signal ends a run that is recorded: so that the record says so, and names what was finished."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from edge_runtime.cli.guard import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainer.experiment.results import Results

__all__ = ["Ending", "ended_by_signals", "naming_bundle"]

HANGUP = getattr(signal, "SIGHUP", None)
# As nohup has it; asked while this is imported, since every command ignores it afterwards.
HANGUP_IS_IGNORED = HANGUP is not None and signal.getsignal(HANGUP) is signal.SIG_IGN


class Ending:
    """Whether a signal asked for the end.

    An exception that a handler raises can get lost, as in a callback of a library. Therefore whoever goes on
    and on asks now and then.
    """

    def __init__(self) -> None:
        self.asked: BaseException | None = None

    def check(self) -> None:
        """Raises what the handler raised, once more."""
        if self.asked is not None:
            raise self.asked


@contextmanager
def ended_by_signals() -> Iterator[Ending]:
    """SIGINT, SIGTERM and SIGHUP end the block by an exception, and a second one ends the process at once.

    SIGINT raises KeyboardInterrupt, the others SystemExit with the usual code, 128 and the signal's number.
    What whoever started the process had it ignore, as nohup does with SIGHUP, stays ignored. Only the main
    thread may enter this.
    """
    before: dict[int, Any] = {}
    ending = Ending()

    def end(number: int, _frame: Any) -> NoReturn:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        if number != signal.SIGINT:
            say(f"edge-train: ended by {signal.Signals(number).name}")
        ending.asked = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
        raise ending.asked

    wanted: list[int] = [number for number in (signal.SIGINT, signal.SIGTERM) if not _is_ignored(number)]
    if HANGUP is not None and not HANGUP_IS_IGNORED:
        wanted.append(HANGUP)
    before.update({number: signal.getsignal(number) for number in wanted})
    for number in wanted:
        signal.signal(number, end)
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_ignored(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


@contextmanager
def naming_bundle() -> Iterator[Callable[[Results], None]]:
    """Yields what to call with finished results; names their bundle if what comes after them fails."""
    made: list[Results] = []
    try:
        yield made.append
    except BaseException:
        for results in made:
            say(f"the bundle is finished all the same: {results.bundle} ({results.digest})")
        raise
