"""What every part of the page draws on."""

import dataclasses
from typing import Any

from vreason_jax.evaluation.curves import MethodCurves
from vreason_jax.evaluation.report import svg
from vreason_jax.evaluation.report.markup import Child, Markup, tag
from vreason_jax.evaluation.runs import Run


@dataclasses.dataclass(frozen=True)
class Story:
    """A run, what its lines say, and its traces by method."""

    run: Run
    summary: dict[str, Any]
    curves: dict[str, MethodCurves]

    @property
    def names(self) -> list[str]:
        """The methods, in the order of the summary."""
        return list(self.summary["methods"])

    @property
    def methods(self) -> dict[str, dict[str, Any]]:
        """What the summary says of each method."""
        return self.summary["methods"]

    @property
    def compared(self) -> dict[str, dict[str, Any]]:
        """The methods that have a paired difference to a first one."""
        return {name: m for name, m in self.methods.items() if m.get("difference")}

    @property
    def regression(self) -> bool:
        """Whether any row is scored by mean relative accuracy."""
        return any(method["mra"] for method in self.methods.values())

    def tone(self, name: str) -> str:
        """The class of a method's colour, the same in every chart."""
        return svg.tone(self.names.index(name))


def figure(title: str, note: Child, *content: Child, wide: bool = False) -> Markup:
    """Returns a titled picture or table with a note that says how to read it."""
    return tag(
        "figure",
        tag("figcaption", tag("h3", title), tag("p", note)),
        content,
        class_="wide" if wide else None,
    )


def grid(*figures: Child) -> Markup:
    """Returns figures side by side where the page is wide enough."""
    return tag("div", figures, class_="grid-of-figures")


def section(name: str, title: str, *content: Child) -> Markup:
    """Returns a part of the page that the header links to."""
    return tag("section", tag("h2", title), content, id=name)
