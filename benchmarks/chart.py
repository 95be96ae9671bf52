"""Draw what was found as bars: plain SVG that is readable on a light page and on a dark one."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.result import Result, number

_WIDTH, _NAMES, _FIGURES = 760, 300, 60
_BARS = _WIDTH - _NAMES - _FIGURES
_LINE, _BAR, _GAP = 26, 14, 18
_LONGEST = 1.05  # of a bar; what is longer is cut
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .note { fill: #59636e }
  .bar { fill: #2f74b5 }
  .promised { stroke: #1f2328; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note { fill: #9198a1 }
    .bar { fill: #539bf5 }
    .promised { stroke: #e6edf3 }
  }
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars that mean the same: shares of one thing."""

    title: str
    results: Sequence[Result]

    @property
    def height(self) -> int:
        return _LINE * (1 + len(self.results)) + _GAP


def drawn(panels: Sequence[Panel]) -> str:
    """Return the picture, one panel below the other."""
    parts, top = [], 0
    for panel in panels:
        parts.append(_panel(panel, top))
        top += panel.height
    height = top + _LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}"'
        f' height="{height}" role="img" aria-label="{escape(panels[0].title)}">\n<style>{_STYLE}</style>\n'
        + "\n".join(parts)
        + f"\n{_promise_line(_NAMES + 4, top)}{_text(_NAMES + 12, top, 'what is promised', 'note')}\n</svg>\n"
    )


def _panel(panel: Panel, top: int) -> str:
    lines = [_text(0, top, panel.title, "title")]
    lines += [_row(result, top + _LINE * place) for place, result in enumerate(panel.results, start=1)]
    return "\n".join(lines)


def _row(result: Result, top: int) -> str:
    bar = (
        f'<rect class="bar" x="{_NAMES}" y="{top + 4}" width="{_length(result.value):.1f}"'
        f' height="{_BAR}" rx="2"/>'
    )
    promised = "" if result.bound is None else _promise_line(_NAMES + _length(result.bound.value), top)
    figure = _text(_NAMES + _BARS + 8, top, number(result.value))
    return f"{_text(0, top, result.name)}{bar}{promised}{figure}"


def _promise_line(x: float, top: int) -> str:
    return f'<path class="promised" d="M{x:.1f} {top + 1}v{_BAR + 6}"/>'


def _text(x: float, top: int, text: str, style: str = "") -> str:
    chosen = f' class="{style}"' if style else ""
    return f'<text x="{x}" y="{top + _BAR + 2}"{chosen}>{escape(text)}</text>'


def _length(value: float) -> float:
    return min(value, _LONGEST) / _LONGEST * _BARS
