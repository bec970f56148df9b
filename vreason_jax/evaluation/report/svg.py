"""Small charts as SVG: lines with bands, dots with whiskers, labels at the ends of lines.

Coordinates are pixels of a picture of width WIDTH, which the page scales. Colours and line styles
are classes of style.css (`s0`, `s1`, ... for the methods), so that they follow the theme.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from vreason_jax.evaluation.report.axes import Axis, bottom_axis
from vreason_jax.evaluation.report.markup import Markup, number, tag

WIDTH = 440
CHARACTER = 7.0  # width of a label's average character, in wide fonts
LABELS = 8  # of one chart; more would cover each other, and the key beside it names them
TONES = 8  # distinct colours; further methods repeat them with another dash


def tone(index: int) -> str:
    """Returns the class of a method's colour and dash."""
    return f"s{index % TONES} d{min(index // TONES, 2)}"


class Panel:
    """A pair of axes with marks, added back to front."""

    def __init__(self, x: Axis, y: Axis, *, height: int = 250, names: Iterable[str] = ()):
        """`names` are those of its lines or dots, which get labels unless they are too many."""
        self.x, self.y, self.height = x, y, height
        longest = [len(name) for name in names]
        self.labelled = len(longest) <= LABELS
        room = 10 + CHARACTER * max(longest) if longest and self.labelled else 14
        self.left, self.right = 44, WIDTH - room
        self.top, self.bottom = 26, height - 38
        self.marks: list[Markup] = []
        self.ends: list[tuple[float, float, str, str]] = []
        self.taken: list[tuple[float, float, float]] = []  # x, width and y of words

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Returns the pixels of a point; moves points outside the axes to their edge."""
        x, y = (min(max(v, a.low), a.high) for v, a in ((x, self.x), (y, self.y)))
        return self.x.place(x, self.left, self.right), self.y.place(y, self.bottom, self.top)

    def add(self, name: str, *children: str, **attributes: str | float | None) -> None:
        """Adds any element."""
        self.marks.append(tag(name, *children, **attributes))

    def line(self, xs: np.ndarray, ys: np.ndarray, style: str) -> None:
        """Adds a line; it has gaps where a value is not finite."""
        path, pen = [], "M"
        for x, y in zip(xs, ys, strict=True):
            if not np.isfinite(y):
                pen = "M"
                continue
            path.append(f"{pen}{_point(self.at(x, y))}")
            pen = "L"
        if path:
            self.add("path", class_=f"line {style}", d="".join(path))

    def band(self, xs: np.ndarray, low: np.ndarray, high: np.ndarray, style: str) -> None:
        """Adds the area between two lines, where both are finite."""
        kept = np.isfinite(low) & np.isfinite(high)
        if not np.any(kept):
            return
        upper = [_point(self.at(x, y)) for x, y in zip(xs[kept], high[kept], strict=True)]
        lower = [_point(self.at(x, y)) for x, y in zip(xs[kept], low[kept], strict=True)]
        path = "M" + "L".join(upper + lower[::-1]) + "Z"
        self.add("path", class_=f"band {style}", d=path)

    def whisker(self, low: tuple[float, float], high: tuple[float, float], style: str) -> None:
        """Adds an error bar between two points."""
        (x1, y1), (x2, y2) = self.at(*low), self.at(*high)
        self.add("line", class_=f"whisker {style}", x1=x1, y1=y1, x2=x2, y2=y2)

    def dot(self, x: float, y: float, style: str, title: str, radius: float = 4) -> None:
        """Adds a point that shows its numbers on hover."""
        cx, cy = self.at(x, y)
        self.add("circle", tag("title", title), class_=f"dot {style}", cx=cx, cy=cy, r=radius)

    def text(self, x: float, y: float, words: str, style: str = "", anchor: str = "start") -> None:
        """Adds words at a pixel."""
        self.add("text", words, class_=style or None, x=x, y=y, text_anchor=anchor)

    def end_label(self, x: float, y: float, words: str, style: str) -> None:
        """Labels a line at its right end; rendering moves overlapping labels apart."""
        if self.labelled:
            self.ends.append((*self.at(x, y), words, style))

    def beside(self, x: float, y: float, words: str, style: str) -> None:
        """Labels a point to its right, above labels that are in the way."""
        px, py = self.at(x, y)
        if self.labelled:
            self.text(px + 9, self._free(px + 9, py + 4, words), words, f"label {style}")

    def mark(self, x: float, y: float, words: str | None, style: str) -> None:
        """Marks a point of a line down to the axis, with optional words above it."""
        px, py = self.at(x, y)
        self.add("line", class_=f"drop {style}", x1=px, y1=py, x2=px, y2=self.bottom)
        self.add("circle", class_=f"ring {style}", cx=px, cy=py, r=3.5)
        if words is None:
            return
        level = max(self._free(px, py - 8, words), 9)
        self.text(px, level, words, f"small label {style}", "middle")

    def _free(self, x: float, y: float, words: str) -> float:
        """Returns the height at or above `y` where words do not cover earlier ones."""
        room = CHARACTER * len(words)
        while any(abs(x - a) < max(room, b) and abs(y - c) < 12 for a, b, c in self.taken):
            y -= 12
        self.taken.append((x, room, y))
        return y

    def render(self, title: str) -> Markup:
        """Returns the picture; `title` describes it for screen readers."""
        parts = [self._grid(), tag("g", self.marks), self._end_labels()]
        return picture(parts, self.height, title)

    def _grid(self) -> Markup:
        parts = []
        for tick in self.y.ticks:
            y = self.y.place(tick, self.bottom, self.top)
            parts.append(tag("line", class_="grid", x1=self.left, y1=y, x2=self.right, y2=y))
            words = self.y.text(tick)
            parts.append(tag("text", words, x=self.left - 6, y=y + 4, text_anchor="end"))
        parts += bottom_axis(self.x, self.left, self.right, self.bottom)
        parts.append(tag("text", self.y.label, class_="unit", x=2, y=11))
        return tag("g", parts, class_="axes")

    def _end_labels(self) -> Markup:
        """Returns labels beside the axes' right edge, with a thread to lines that end before it."""
        ends = sorted(self.ends, key=lambda end: end[1])
        places = spread([end[1] for end in ends], 13, self.top, self.bottom)
        parts = []
        for (x, y, words, style), place in zip(ends, places, strict=True):
            if self.right - x > 6 or abs(place - y) > 6:
                path = f"M{_point((x + 2, y))}L{_point((self.right + 4, place))}"
                parts.append(tag("path", class_=f"thread {style}", d=path))
            parts.append(tag("text", words, class_=f"label {style}", x=self.right + 6, y=place + 4))
        return tag("g", parts)


def picture(parts: Sequence[Markup], height: float, title: str) -> Markup:
    """Returns a picture of width WIDTH; `title` describes it for screen readers."""
    box = f"0 0 {WIDTH} {number(height)}"
    return tag("svg", parts, viewBox=box, role="img", aria_label=title, class_="chart")


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Returns rising places at least `gap` apart, between `low` and `high`."""
    moved = list(places)
    for i in range(len(moved)):
        moved[i] = max(moved[i], low if i == 0 else moved[i - 1] + gap)
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], high if i == len(moved) - 1 else moved[i + 1] - gap)
    return moved


def thin(values: np.ndarray, points: int) -> np.ndarray:
    """Returns block means, at most `points` of them, which keep the shape of a long line."""
    block = -(-len(values) // points) if len(values) else 1
    padded = np.full(-(-len(values) // block) * block, np.nan)
    padded[: len(values)] = values
    blocks = padded.reshape(-1, block)
    count = np.sum(np.isfinite(blocks), axis=1)
    total = np.nansum(blocks, axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _point(point: tuple[float, float]) -> str:
    """Returns a coordinate with one decimal, which halves the file and is a tenth of a pixel."""
    x, y = point
    return f"{number(round(x, 1))} {number(round(y, 1))}"
