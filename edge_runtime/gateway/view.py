"""The live view on a terminal: each machine's state, and the last anomalies."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from edge_runtime.gateway.viewing.state import ViewState

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, ConsoleOptions, RenderResult

    from edge_runtime.bundle.metadata import Metadata
    from edge_runtime.records import Results

__all__ = ["LiveView"]


class LiveView:
    """A view within a `with` block; `watch` takes each block of results.

    It fits the terminal, whatever its size. Machines in anomaly stand first, the one whose anomaly began
    first by its rows' times at the top, so that no line jumps when a severity does; then those of which
    nothing is known, those that are silent, and the normal ones, each by name. Ages are those of the
    moment of drawing, four times a second, also while no row comes.

    Args:
        title: The bundle and the source.
        metadata: The bundle's.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, title: str, metadata: Metadata, clock: Callable[[], float]) -> None:
        from rich.live import Live  # noqa: PLC0415 - for terminals alone

        self._title = title
        self._sensors = metadata.sensors
        self._clock = clock
        self._lock = threading.Lock()  # rich draws in a thread of its own
        self._state = ViewState(metadata, clock())
        self._live = Live(get_renderable=lambda: self, refresh_per_second=4, transient=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.__exit__(None, None, None)

    def report(self, line: str) -> None:
        """Prints a line above the view."""
        from rich.text import Text  # noqa: PLC0415

        from edge_runtime.gateway.viewing.words import encodable, shown  # noqa: PLC0415 - they need rich

        console = self._live.console
        console.print(Text(encodable(shown(line), console.encoding)))

    def watch(self, results: Results) -> None:
        """Takes a block: any number of rows, which came just now."""
        if len(results):
            with self._lock:
                self._state.take(results, self._clock())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draws it as it is now; called by rich, in any thread."""
        from rich.text import Text  # noqa: PLC0415

        from edge_runtime.gateway.viewing.screen import draw  # noqa: PLC0415
        from edge_runtime.gateway.viewing.words import encodable  # noqa: PLC0415

        columns, rows = options.max_width, options.size.height
        with self._lock:
            snapshot = self._state.snapshot(self._clock(), rows)
        for line in draw(snapshot, self._title, self._sensors, columns, rows):
            pieces = [(encodable(text, options.encoding), style) for text, style in line]
            yield Text.assemble(*pieces, no_wrap=True, overflow="crop")
