"""Pictures of figures as SVG: bars with their ranges, and lines over a logarithmic size. Pure: values in, text out.

A picture brings its own style sheet, which follows the reader's light or dark setting, and tells in its ``<title>`` and
``<desc>`` what is to be seen, every figure included.
"""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.arithmetic import Summary

__all__ = ["Bar", "bar_chart", "line_chart", "number", "ranged"]

WIDTH: Final = 760
LABELS: Final = 230  # left of the bars
FIGURES: Final = 150  # right of them
BAR: Final = 20
STEP: Final = 30
TOP: Final = 56
NOTE: Final = 100  # characters of a line under the picture
PLOT: Final = 260  # height of the lines' field
COLOURS: Final = 8  # classes c0 … c7; c0 is ours
DASHES: Final = ("", "6 3", "2 3", "8 3 2 3")

STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600; font-size: 15px }
  .quiet { fill: #59636e } .axis { stroke: #d1d9e0; stroke-width: 1 } .range { stroke: #1f2328; stroke-width: 1.5 }
  .c0 { --c: #0969da } .c1 { --c: #8c959f } .c2 { --c: #bc4c00 } .c3 { --c: #1a7f37 }
  .c4 { --c: #8250df } .c5 { --c: #bf3989 } .c6 { --c: #9a6700 } .c7 { --c: #57606a }
  .bar { fill: var(--c) } .line { fill: none; stroke: var(--c); stroke-width: 2 } .dot { fill: var(--c) }
  .ours { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .quiet { fill: #9198a1 } .axis { stroke: #3d444d } .range { stroke: #e6edf3 }
    .c0 { --c: #4493f8 } .c1 { --c: #6e7681 } .c2 { --c: #f0883e } .c3 { --c: #3fb950 }
    .c4 { --c: #ab7df8 } .c5 { --c: #db61a2 } .c6 { --c: #d29922 } .c7 { --c: #8b949e }
  }
"""


@dataclass(frozen=True)
class Bar:
    """One contender of a picture."""

    label: str
    figure: Summary
    ours: bool = False


def number(value: float) -> str:
    """Return a figure as people read it: three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def bar_chart(title: str, unit: str, bars: Sequence[Bar], *, note: str = "") -> str:
    """Return a picture of one horizontal bar a contender, its range drawn over its end.

    Bars start at 0, so that lengths compare as the figures do.
    """
    full = max((bar.figure.most for bar in bars), default=0.0) or 1.0
    field = WIDTH - LABELS - FIGURES
    drawn = []
    for index, bar in enumerate(bars):
        y, middle = TOP + index * STEP, TOP + index * STEP + BAR / 2
        length, least, most = (
            field * max(0.0, each) / full for each in (bar.figure.middle, bar.figure.least, bar.figure.most)
        )
        ours = " ours" if bar.ours else ""
        drawn += [
            f'<text class="label{ours}" x="{LABELS - 8}" y="{middle + 5:g}" text-anchor="end">'
            f"{escape(bar.label)}</text>",
            f'<rect class="bar c{0 if bar.ours else 1}" x="{LABELS}" y="{y}" width="{max(1.0, length):.1f}"'
            f' height="{BAR}" rx="2"/>',
            f'<path class="range" d="M{LABELS + least:.1f} {middle:g}H{LABELS + most:.1f}'
            f'M{LABELS + least:.1f} {middle - 4:g}v8M{LABELS + most:.1f} {middle - 4:g}v8"/>',
            f'<text class="{ours.strip() or "figure"}" x="{LABELS + most + 8:.1f}" y="{middle + 5:g}">'
            f"{ranged(bar.figure)}</text>",
        ]
    text = "; ".join(f"{bar.label} {ranged(bar.figure)}" for bar in bars)
    return _picture(title, unit, drawn, TOP + len(bars) * STEP, note=note, text=f"{unit}: {text}.")


def line_chart(
    title: str,
    unit: str,
    size: str,
    lines: Mapping[str, Mapping[int, Summary]],
    *,
    ours: tuple[str, ...] = ("waypost",),
    note: str = "",
) -> str:
    """Return a picture of one line a contender over size, both axes logarithmic: a cost that grows with size slopes.

    Lines whose names begin with ``ours`` are drawn in the colour of ours, told apart by their dashes.
    """
    sizes = sorted({each for points in lines.values() for each in points})
    figures = [point for points in lines.values() for point in points.values()]
    positive = [each for point in figures for each in (point.least, point.most) if each > 0] or [1.0]
    low, high = 10 ** math.floor(math.log10(min(positive))), 10 ** math.ceil(math.log10(max(positive)))
    high = high if high > low else low * 10
    left, right = 70, WIDTH - 240

    def x_of(value: int) -> float:
        if len(sizes) < 2:
            return (left + right) / 2
        return left + (right - left) * math.log(value / sizes[0]) / math.log(sizes[-1] / sizes[0])

    def y_of(value: float) -> float:
        return TOP + PLOT * (1 - math.log(max(value, low) / low) / math.log(high / low))

    drawn = []
    tick = low
    while tick <= high * 1.0001:
        drawn += [
            f'<path class="axis" d="M{left} {y_of(tick):.1f}H{right}"/>',
            f'<text class="quiet" x="{left - 8}" y="{y_of(tick) + 4:.1f}" text-anchor="end">{number(tick)}</text>',
        ]
        tick *= 10
    for each in sizes:
        drawn.append(
            f'<text class="quiet" x="{x_of(each):.1f}" y="{TOP + PLOT + 20}" text-anchor="middle">{each:,}</text>'
        )
    drawn.append(f'<text class="quiet" x="{right}" y="{TOP + PLOT + 40}" text-anchor="end">{escape(size)}</text>')
    own = others = 0
    for place, (name, points) in enumerate(lines.items()):
        mine = name.startswith(ours)
        kind, dash = ("c0", DASHES[own % len(DASHES)]) if mine else (f"c{1 + others % (COLOURS - 1)}", "")
        own, others = own + mine, others + (not mine)
        drawn += _line(name, kind, dash, {x_of(each): points[each] for each in sorted(points)}, y_of)
        y = TOP + 8 + place * 20
        style = f' stroke-dasharray="{dash}"' if dash else ""
        drawn += [
            f'<path class="line {kind}" d="M{right + 16} {y}h24"{style}/>',
            f'<text class="{"ours" if mine else "label"}" x="{right + 46}" y="{y + 5}">{escape(name)}</text>',
        ]
    text = "; ".join(
        f"{name}: " + ", ".join(f"{ranged(points[each])} at {each:,}" for each in sorted(points))
        for name, points in lines.items()
    )
    height = TOP + max(PLOT + 52, 20 * len(lines) + 16)
    return _picture(title, unit, drawn, height, note=note, text=f"{unit} over {size}. {text}.")


def _line(
    name: str, kind: str, dash: str, points: Mapping[float, Summary], y_of: Callable[[float], float]
) -> list[str]:
    path = "L".join(f"{x:.1f} {y_of(point.middle):.1f}" for x, point in points.items())
    style = f' stroke-dasharray="{dash}"' if dash else ""
    drawn = [f'<path class="line {kind}" d="M{path}"{style}/>']
    for x, point in points.items():
        drawn += [
            f'<path class="range" d="M{x:.1f} {y_of(point.least):.1f}V{y_of(point.most):.1f}"/>',
            f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y_of(point.middle):.1f}" r="3.5">'
            f"<title>{escape(name)}: {ranged(point)}</title></circle>",
        ]
    return drawn


def ranged(figure: Summary) -> str:
    """Return a median with its range in brackets, where it has one."""
    if number(figure.least) == number(figure.most):
        return number(figure.middle)
    return f"{number(figure.middle)} ({number(figure.least)}-{number(figure.most)})"


def _picture(title: str, unit: str, drawn: Sequence[str], bottom: float, *, note: str, text: str) -> str:
    lines = textwrap.wrap(note, NOTE)
    height = bottom + 10 + 20 * len(lines)
    below = [
        f'<text class="quiet" x="12" y="{bottom + 18 + 20 * place:g}">{escape(line)}</text>'
        for place, line in enumerate(lines)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}"'
            f' height="{height:g}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(text)}{escape(f" {note}" if note else "")}</desc>',
            f"<style>{STYLE}</style>",
            f'<text class="title" x="12" y="22">{escape(title)}</text>',
            f'<text class="quiet" x="12" y="42">{escape(unit)}</text>',
            *drawn,
            *below,
            "</svg>",
            "",
        ]
    )
