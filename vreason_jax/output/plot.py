"""Draws an answer: its entropy with EMA and peak, α as bands, and ‖ΔV‖."""

import importlib.util
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vreason_jax.errors import UserError
from vreason_jax.output.files import check_writable, write_atomic

_NO_LIBRARY = "expected matplotlib, which is not installed; pip install 'vreason-jax[plots]'"
FORMATS = ("png", "svg", "pdf")
EXPLORE, EXPLOIT = "#fdeccf", "#dcebf7"  # background bands: α = +1, α = -1
ENTROPY, EMA, PEAK, DELTA = "#9aa3ad", "#0b5394", "#c0392b", "#2e7d4f"
TEXT, FRAME = "#22262b", "#c4c9cf"


def check_plot(path: str | Path, flag: str = "--plot") -> None:
    """Raises UserError if `write_plot` could not write `path`; matplotlib is not imported."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(f"{flag}: {_NO_LIBRARY}")
    _format(path, flag)
    check_writable(path, flag)


def write_plot(path: str | Path, trace: Mapping[str, Any], title: str | None = None) -> None:
    """Writes the picture of a trace (its form: `output.trace.build_trace`) as PNG, SVG or PDF.

    `title` defaults to the objective and its effect. Raises UserError without matplotlib.
    """
    kind = _format(path, "--plot")
    figure = draw_trace(trace, title)
    write_atomic(path, lambda file: figure.savefig(file, format=kind))


def draw_trace(trace: Mapping[str, Any], title: str | None = None) -> Any:
    """Returns a matplotlib Figure with its own Agg canvas; does not touch pyplot."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(f"--plot: {_NO_LIBRARY}") from None
    steers = bool(np.any(trace["updated"]))
    figure = Figure(figsize=(10, 5.4 if steers else 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    ratios = [3, 1.15] if steers else [1]
    axes = figure.subplots(len(ratios), sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    _draw_bands(axes, trace)
    _draw_entropy(axes[0], trace)
    if steers:
        _draw_delta(axes[1], trace)
    _finish(figure, axes, trace, title)
    return figure


def _draw_bands(axes: Any, trace: Mapping[str, Any]) -> None:
    """Draws bands over runs of equal α; each token covers half a token to both sides."""
    alpha = np.array(trace["alpha"])
    edges = np.concatenate([[0], np.flatnonzero(np.diff(alpha)) + 1, [len(alpha)]])
    for start, stop in itertools.pairwise(edges):
        if start < stop and alpha[start]:
            color = EXPLORE if alpha[start] > 0 else EXPLOIT
            for axis in axes:
                axis.axvspan(start - 0.5, stop - 0.5, color=color, linewidth=0, zorder=0)


def _draw_entropy(axis: Any, trace: Mapping[str, Any]) -> None:
    tokens = np.arange(len(trace["entropy"]))
    # Points tell tokens apart while there is room for them; after that they only blur the line.
    marker = "o" if len(tokens) <= 120 else ""
    width = 0.9 if len(tokens) <= 500 else 0.6
    entropy = _numbers(trace["entropy"])
    axis.plot(
        tokens, entropy, color=ENTROPY, linewidth=width, marker=marker, markersize=2.6,
        label="entropy $H_t$",
    )  # fmt: skip
    axis.plot(tokens, _numbers(trace["ema"]), color=EMA, linewidth=2.0, label="EMA of entropy")
    # Under the EMA: while that makes new peaks the two are one line.
    axis.plot(
        tokens, _numbers(trace["peak"]), color=PEAK, linewidth=1.3, linestyle=(0, (4, 2)),
        label="running peak of the EMA", zorder=1.9,
    )  # fmt: skip
    axis.set_ylabel("entropy (nats)")
    _start_at_zero(axis, entropy, _numbers(trace["peak"]))


def _draw_delta(axis: Any, trace: Mapping[str, Any]) -> None:
    norms = _numbers(trace["delta_norm"])
    axis.step(np.arange(len(norms)), norms, where="post", color=DELTA, linewidth=1.6)
    axis.set_ylabel(r"$\|\Delta V\|$")
    _start_at_zero(axis, norms)


def _finish(figure: Any, axes: Any, trace: Mapping[str, Any], title: str | None) -> None:
    size = len(trace["entropy"])
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(FRAME)
        axis.tick_params(colors=TEXT, labelsize=9, color=FRAME)
        axis.yaxis.label.set_color(TEXT)
        axis.grid(axis="y", color=FRAME, linewidth=0.5, alpha=0.6)
        axis.set_axisbelow(True)
        axis.set_xlim(-0.5, max(size, 1) - 0.5)
    _mark_updates(axes[-1], trace)
    axes[-1].set_xlabel("generated token", color=TEXT)
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_title(title or _default_title(trace), loc="left", fontsize=12, color=TEXT, pad=27)
    _add_legend(axes[0], trace)
    figure.align_ylabels(axes)


def _mark_updates(axis: Any, trace: Mapping[str, Any]) -> None:
    """Draws a tick on the lower edge for each update of ΔV."""
    at = np.flatnonzero(trace["updated"])
    if len(at) == 0:
        return  # an empty unclipped line would claim the figure's corner in the layout
    width = 0.9 if len(at) <= 60 else 0.4
    axis.plot(
        at, np.full(len(at), 0.035), "|", color=TEXT, markersize=6, markeredgewidth=width,
        transform=axis.get_xaxis_transform(), clip_on=False, zorder=4,
    )  # fmt: skip


def _add_legend(axis: Any, trace: Mapping[str, Any]) -> None:
    """Adds a legend in one row above the axes, where it covers no line."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles, _ = axis.get_legend_handles_labels()
    if np.any(np.array(trace["alpha"]) > 0):
        handles.append(Patch(color=EXPLORE, label=r"explore ($\alpha=+1$)"))
    if np.any(np.array(trace["alpha"]) < 0):
        handles.append(Patch(color=EXPLOIT, label=r"exploit ($\alpha=-1$)"))
    if np.any(trace["updated"]):
        tick = {"marker": "|", "linestyle": "", "color": TEXT, "markersize": 7}
        handles.append(Line2D([], [], label=r"update of $\Delta V$", **tick))
    legend = axis.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(handles),
        frameon=False, fontsize=8.5, labelcolor=TEXT, handlelength=1.6, columnspacing=1.4,
        borderaxespad=0.4, borderpad=0.2,
    )  # fmt: skip
    # The title's padding makes room for it; counted twice, it would shrink the axes.
    legend.set_in_layout(False)


def _default_title(trace: Mapping[str, Any]) -> str:
    controller = trace["config"]["controller"]
    tokens = _count(len(trace["entropy"]), "token")
    if not np.any(trace["alpha"]):
        return f"Token entropy, plain decoding · {tokens}"
    return (
        f"Token entropy under V-Reason ({controller['objective']}) · {tokens}, "
        f"{_count(int(np.sum(trace['updated'])), 'update')}, "
        f"learning rate {controller['learning_rate']:g}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _start_at_zero(axis: Any, *lines: np.ndarray) -> None:
    """Sets limits with a margin above the lines and below zero, so that points at zero show."""
    values = np.concatenate(lines)
    largest = float(np.max(values[np.isfinite(values)], initial=0.0)) or 1.0
    axis.set_ylim(-0.03 * largest, 1.08 * largest)


def _numbers(values: Any) -> np.ndarray:
    """Returns floats, with NaN (a gap in the line) where the trace has null."""
    return np.array(values, dtype=np.float64)


def _format(path: str | Path, flag: str) -> str:
    kind = Path(path).suffix.lower().removeprefix(".") or "png"
    if kind not in FORMATS:
        raise UserError(f"{flag}: expected a file name in .{', .'.join(FORMATS)}, got {path}")
    return kind
