"""What is shown while `fit` works: losses, as a bar on a terminal and else line by line, then the sensors."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainer.fitting.fit import Epoch

__all__ = ["show_losses", "show_sensors"]

SENSORS_EVERY_S = 2.0


@contextmanager
def show_losses(epochs: int, patience: int, *, quiet: bool) -> Iterator[Callable[[Epoch], None]]:
    """Yields what to call after each epoch.

    Args:
        epochs: How many there are at most.
        patience: After how many without a better validation loss the training ends.
        quiet: Show nothing.
    """
    if quiet:
        yield lambda _epoch: None
        return
    if not sys.stderr.isatty():
        yield lambda epoch: (sys.stderr.write(f"epoch {epoch.number:>3}  {_losses(epoch)}\n"), None)[1]
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"stops after {patience} epochs without improvement", total=epochs)
        yield lambda epoch: progress.update(task, advance=1, description=_losses(epoch))


def show_sensors(*, quiet: bool) -> Callable[[int, int], None]:
    """What to call after each sensor that was tried as missing: says now and then how many are done.

    Args:
        quiet: Show nothing.
    """
    last = time.monotonic()

    def show(done: int, every: int) -> None:
        nonlocal last
        if not quiet and time.monotonic() - last > SENSORS_EVERY_S:
            last = time.monotonic()
            sys.stderr.write(f"threshold without a sensor: {done} of {every} sensors\n")

    return show


def _losses(epoch: Epoch) -> str:
    mark = "  best" if epoch.best else ""
    return (
        f"train {epoch.train_loss:.6f}  val {epoch.val_loss:.6f}  rate {epoch.learning_rate:.1e}"
        f"  {epoch.seconds:.2f} s{mark}"
    )
