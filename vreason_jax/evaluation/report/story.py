"""The data of the page, and the frames of its parts."""

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

from vreason_jax.evaluation.report import svg
from vreason_jax.evaluation.report.markup import Child, Markup, keep_units, shorten, tag
from vreason_jax.evaluation.results.runs import Run
from vreason_jax.evaluation.statistics.curves import MethodCurves


@dataclasses.dataclass(frozen=True)
class Story:
    """A run, its summary, its traces by method, and those of single answers."""

    run: Run
    summary: dict[str, Any]
    curves: dict[str, MethodCurves]
    sparks: Mapping[tuple[str, str, int], dict[str, Any]]  # of single answers, see `answers`

    @property
    def names(self) -> list[str]:
        """The methods, in the order of the summary."""
        return list(self.summary["methods"])

    @property
    def methods(self) -> dict[str, dict[str, Any]]:
        """The summary of each method."""
        return self.summary["methods"]

    @property
    def compared(self) -> dict[str, dict[str, Any]]:
        """The methods with a paired difference to the first one of their model."""
        return {name: m for name, m in self.methods.items() if m.get("difference")}

    def headline(self, name: str) -> tuple[str, dict[str, Any] | None]:
        """The figure that the benchmark's authors report, and a method's difference to its first.

        The score of all rows where they report none; None for a first method.
        """
        m = self.methods[name]
        official = m.get("difference_official") or {"score": m.get("difference")}
        return next(iter(official.items()))

    def difference(self, name: str) -> dict[str, Any] | None:
        """The difference of `headline`."""
        return self.headline(name)[1]

    @property
    def figure(self) -> str:
        """The figure that methods are compared in."""
        return next((self.headline(name)[0] for name in self.compared), "score")

    @property
    def mixed(self) -> bool:
        """Whether some rows are right or wrong and others have mean relative accuracy."""
        return all(any(m[key] for m in self.methods.values()) for key in ("accuracy", "mra"))

    def label(self, name: str) -> str:
        """The name in a chart; with several models, only the distinct parts of their names."""
        model, middle, method = name.rpartition(" · ")
        return shorten(f"{self._distinct[model]}{middle}{method}" if model else name, 22)

    @functools.cached_property
    def _distinct(self) -> dict[str, str]:
        """The parts of each model's name that are not common to all: "3B", "7B"."""
        models = {name.rpartition(" · ")[0] for name in self.names}
        parts = {model: re.split(r"[-_/]", model) for model in models}
        common = set.intersection(*(set(words) for words in parts.values()))
        short = {m: "-".join(w for w in words if w not in common) for m, words in parts.items()}
        return short if all(short.values()) else {model: model for model in models}

    def tone(self, name: str) -> str:
        """The class of a method's colour, the same in every chart."""
        return svg.tone(self.names.index(name))


def figure(title: str, note: Child, content: Markup | None, *, wide: bool = False) -> Markup | None:
    """Returns a titled picture or table with a note on how to read it; None without content."""
    return content and tag(
        "figure",
        tag("figcaption", tag("h3", title), tag("p", keep_units(note))),
        content,
        class_="wide" if wide else None,
    )


def grid(*figures: Child) -> Markup:
    """Returns figures side by side where the page is wide enough."""
    return tag("div", figures, class_="grid-of-figures")


def section(name: str, title: str, *content: Child) -> Markup:
    """Returns a section that the header links to."""
    return tag("section", tag("h2", title), content, id=name)
