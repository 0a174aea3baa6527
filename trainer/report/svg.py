"""A figure as SVG inside the page: its colours are the page's, so that it turns dark with it."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG

from trainer.experiment.plots import ANOMALY, LIMIT, MODEL, NORMAL, QUIET, lay_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SENSOR_COLOURS", "inline_svg"]

# One for each of the sensors in a plot; the page has the same in its style, and others for the dark.
SENSOR_COLOURS = ("#3366cc", "#dc7633", "#2e8b57", "#8e44ad", "#b7950b", "#138d90", "#c0392b", "#7b7d7d")
VARIABLES = {
    NORMAL: "normal",
    ANOMALY: "anomaly",
    MODEL: "model",
    LIMIT: "ink",
    QUIET: "quiet",
    "#aaaaaa": "quiet",
    "#000000": "ink",
    **{colour: f"sensor{i}" for i, colour in enumerate(SENSOR_COLOURS)},
}
STYLE = re.compile(r'style="[^"]*"')
COLOUR = re.compile("|".join(VARIABLES))
PATH = re.compile(r'\b(?:d|x|y)="[^"]*"')
DECIMALS = re.compile(r"(\.\d\d)\d+")  # a hundredth of a point is finer than any screen
SETTINGS: Any = {  # matplotlib's type for it is a Literal of every setting
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's colour
    "svg.hashsalt": "edge-detect",  # equal runs give equal pages
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


def inline_svg(figure: Figure, number: int) -> str:
    """The `<svg>` element.

    Args:
        figure: Drawn with the colours of `trainer.experiment.plots`.
        number: Of the plot in the page, for ids that no other plot has; `caption` and it is its caption's.
    """
    for axis in figure.axes:
        axis.patch.set_visible(False)
    stream = io.StringIO()
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        # The browser's font has the letters that matplotlib's has not.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        lay_out(figure, FigureCanvasSVG(figure), FigureCanvasSVG.fixed_dpi)
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    head, body = text.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    # Who made it, with addresses; and a style that would be the whole page's.
    body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = STYLE.sub(lambda style: COLOUR.sub(_variable, style[0]), body)
    body = PATH.sub(lambda path: DECIMALS.sub(r"\1", path[0]), body)
    body = re.sub(r'\sid="', f' id="plot{number}-', body)
    body = re.sub(r'xlink:href="#', f'href="#plot{number}-', body)
    body = body.replace("url(#", f"url(#plot{number}-")
    return f'<svg {box[0] if box else ""} role="img" aria-labelledby="caption{number}">{body}'


def _variable(colour: re.Match[str]) -> str:
    return f"var(--{VARIABLES[colour[0]]})"
