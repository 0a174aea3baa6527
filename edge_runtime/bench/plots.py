"""Plots as SVG, written out: the page's own colours, no library, nothing to load."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["grouped_bars", "histogram"]

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 14, 40
MAX_LABELS = 12


def histogram(edges: Sequence[float], counts: Sequence[int], title: str) -> str:
    """Bars over buckets that are equally wide on a logarithmic scale; heights are logarithmic, too.

    A tail of single calls beside tens of thousands would not be seen otherwise.
    """
    heights = [math.log10(count + 1) for count in counts]
    most = max(heights)
    marks = [(math.log10(10**power + 1) / most, f"{10**power:,}") for power in range(math.ceil(most))]
    step = (WIDTH - LEFT - RIGHT) / len(counts)
    parts = [_bar(LEFT + i * step, step, height / most, "ours") for i, height in enumerate(heights)]
    every = math.ceil(len(edges) / MAX_LABELS)
    parts += [_below(LEFT + i * step, f"{edges[i]:,.4g}") for i in range(0, len(edges), every)]
    return _svg(parts, marks, title)


def grouped_bars(
    names: Sequence[str], ours: Sequence[float], other: Sequence[float], legend: tuple[str, str], title: str
) -> str:
    """Two bars beside each other for each name, on a logarithmic scale of whole decades."""
    values = [*ours, *other]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    decades = max(1, high - low)
    marks = [(power / decades, f"{10 ** (low + power):,}") for power in range(decades + 1)]
    step = (WIDTH - LEFT - RIGHT) / len(names)
    parts = []
    for i, (name, mine, its) in enumerate(zip(names, ours, other, strict=True)):
        for side, (kind, value) in enumerate((("ours", mine), ("other", its))):
            height = (math.log10(value) - low) / decades
            parts.append(_bar(LEFT + (i + 0.14 + 0.36 * side) * step, 0.36 * step, height, kind))
        parts.append(_below(LEFT + (i + 0.5) * step, name))
    for side, (kind, text) in enumerate(zip(("ours", "other"), legend, strict=True)):
        x = LEFT + 8 + 150 * side
        parts.append(f'<rect class="{kind}" x="{x}" y="2" width="10" height="10"/>')
        parts.append(f'<text x="{x + 15}" y="11">{escape(text)}</text>')
    return _svg(parts, marks, title)


def _bar(x: float, width: float, height: float, kind: str) -> str:
    tall = height * (HEIGHT - TOP - BOTTOM)
    y = HEIGHT - BOTTOM - tall
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(1, width - 1):.1f}" height="{tall:.1f}"/>'
    )


def _below(x: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(text)}</text>'


def _svg(parts: Sequence[str], marks: Sequence[tuple[float, str]], title: str) -> str:
    lines = []
    for height, text in marks:
        y = HEIGHT - BOTTOM - height * (HEIGHT - TOP - BOTTOM)
        lines.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(title)}</title>'
        f"{''.join(lines)}{''.join(parts)}</svg>"
    )
