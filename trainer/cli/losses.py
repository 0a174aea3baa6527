"""The losses while a network is trained: a progress bar on a terminal, a line an epoch otherwise."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainer.fitting.fit import Epoch

__all__ = ["show_losses"]


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


def _losses(epoch: Epoch) -> str:
    mark = "  best" if epoch.best else ""
    return (
        f"train {epoch.train_loss:.6f}  val {epoch.val_loss:.6f}  rate {epoch.learning_rate:.1e}"
        f"  {epoch.seconds:.2f} s{mark}"
    )
