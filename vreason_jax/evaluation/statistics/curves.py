"""Mean curves and peaks over many traces, and the entropy of right and wrong answers."""

import dataclasses
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vreason_jax.evaluation.results.lines import Line
from vreason_jax.evaluation.statistics.clips import ClipMean
from vreason_jax.evaluation.statistics.scores import over_clips

KEYS = ("entropy", "ema", "alpha", "delta_norm")
LONGEST = 4096  # tokens; what lies beyond is left out of the curves
RIGHT = 0.5  # an answer is right from this score on; regression rows have fractions
# A mean over the last few survivors is noise, and would set the peak.
SURVIVORS = 0.05

Trace = Mapping[str, np.ndarray]  # by KEYS
See = Callable[[Line, Trace], None]


@dataclasses.dataclass(frozen=True)
class Curve:
    """A mean over answers at every token index."""

    mean: np.ndarray  # [T], NaN where no answer has a number
    error: np.ndarray  # [T], standard error over answers, NaN below two
    count: np.ndarray  # [T]


@dataclasses.dataclass(frozen=True)
class Peaks:
    """Token indices of the EMA's peak; None without traces, or without a start-up to correct.

    The corrected peak is that of EMA_t / (1 - β^(t+1)). An EMA that starts at zero climbs for about
    1 / (1 - β) tokens whatever the entropy does, which makes the raw peak late.
    """

    raw: int | None  # of the mean curve
    corrected: int | None
    median_raw: float | None  # median over the single answers
    median_corrected: float | None


@dataclasses.dataclass(frozen=True)
class MethodCurves:
    """One method's traces; curves end where fewer than 5 % of the answers go on."""

    answers: int  # traces that were read
    unread: int  # answers whose trace is missing or broken
    curves: dict[str, Curve]  # by KEYS and "ema_corrected", each [T]; nats, α and L2 norm
    alive: np.ndarray  # [T] answers that have a token at this index, to the longest one's end
    peaks: Peaks
    entropy_right: ClipMean | None  # of each right answer's mean entropy, nats; None without any
    entropy_wrong: ClipMean | None


class CurveSum:
    """Sums answers of any lengths for a Curve; memory does not grow with their number."""

    def __init__(self, length: int):
        self._count = np.zeros(length, np.int64)
        self._sum = np.zeros(length)
        self._squares = np.zeros(length)

    def add(self, values: np.ndarray) -> None:
        """Adds one answer's numbers [t]; leaves out NaN and numbers past the length."""
        values = np.asarray(values[: len(self._sum)], np.float64)
        finite = np.isfinite(values)
        values = np.where(finite, values, 0.0)
        self._count[: len(values)] += finite
        self._sum[: len(values)] += values
        self._squares[: len(values)] += values * values

    def curve(self) -> Curve:
        """Returns the curve up to the last index of the longest answer."""
        length = int(np.max(np.flatnonzero(self._count), initial=-1)) + 1
        count, total = self._count[:length], self._sum[:length]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / count
            spread = np.maximum(self._squares[:length] - total * mean, 0.0)
            error = np.where(count > 1, np.sqrt(spread / (count - 1) / count), np.nan)
        return Curve(mean, error, count)


def read_trace(path: Path, keys: Sequence[str] = KEYS) -> dict[str, np.ndarray] | None:
    """Returns the arrays of a trace file, float64 [t] each, or None if it is missing or broken."""
    try:
        # Opened here: np.load leaves the file open where it finds it broken.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {key: np.asarray(file[key], np.float64).reshape(-1) for key in keys}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def read_curves(
    lines: Iterable[Line],
    names: Sequence[str],
    configs: Mapping[str, Any] | None = None,
    see: See = lambda line, trace: None,
) -> dict[str, MethodCurves]:
    """Returns the curves of the methods `names` that have traces, in that order.

    `configs` maps methods to their run configs, which give β and the EMA's start; a method without
    one has the defaults. `see` is shown every trace that could be read.
    """
    gatherers = {name: _Gatherer((configs or {}).get(name, {})) for name in names}
    for line in lines:
        if line.method in gatherers and line.trace_path is not None:
            trace = read_trace(line.trace_path)
            if trace is not None:
                see(line, trace)
            gatherers[line.method].add(line, trace)
    return {name: gatherer.finish() for name, gatherer in gatherers.items() if gatherer.answers}


class _Gatherer:
    """Takes one method's traces one by one and keeps only the report's sums."""

    def __init__(self, config: Mapping[str, Any]):
        controller = config.get("controller", {})
        # Started from the first entropy, an EMA has no start-up to correct.
        decay = controller.get("ema_decay", 0.98)
        decay = 0.0 if controller.get("ema_init", "zero") == "first" else decay
        self.startup = 1 - decay ** np.arange(1, LONGEST + 1)
        self.sums = {key: CurveSum(LONGEST) for key in KEYS}
        self.answers = self.unread = 0
        self.entropies: dict[bool, list[tuple[Line, float]]] = {True: [], False: []}
        self.peaks: dict[str, list[int]] = {"raw": [], "corrected": []}

    def add(self, line: Line, trace: Trace | None) -> None:
        if trace is None or not len(trace["entropy"]):
            self.unread += 1
            return
        self.answers += 1
        for key in KEYS:
            self.sums[key].add(trace[key])
        ema = trace["ema"][:LONGEST]
        for name, values in (("raw", ema), ("corrected", ema / self.startup[: len(ema)])):
            peak = _peak(values)
            self.peaks[name] += [] if peak is None else [peak]
        entropy = trace["entropy"][np.isfinite(trace["entropy"])]
        if len(entropy):
            self.entropies[line.score >= RIGHT].append((line, float(np.mean(entropy))))

    def finish(self) -> MethodCurves:
        curves = {key: total.curve() for key, total in self.sums.items()}
        alive = curves["entropy"].count
        length = int(np.sum(alive >= max(1.0, SURVIVORS * self.answers)))
        curves = {key: _cut(curve, length) for key, curve in curves.items()}
        ema, startup = curves["ema"], self.startup[: len(curves["ema"].mean)]
        corrected = Curve(ema.mean / startup, ema.error / startup, ema.count)
        peaks = Peaks(
            _peak(ema.mean),
            _peak(corrected.mean),
            _median(self.peaks["raw"]),
            _median(self.peaks["corrected"]),
        )
        right, wrong = (_over_clips(self.entropies[side]) for side in (True, False))
        curves["ema_corrected"] = corrected
        return MethodCurves(self.answers, self.unread, curves, alive, peaks, right, wrong)


def _over_clips(answers: Sequence[tuple[Line, float]]) -> ClipMean | None:
    if not answers:
        return None
    lines, values = zip(*answers, strict=True)
    return over_clips(np.array(values), lines)


def _cut(curve: Curve, length: int) -> Curve:
    return Curve(curve.mean[:length], curve.error[:length], curve.count[:length])


def _peak(values: np.ndarray) -> int | None:
    return int(np.nanargmax(values)) if np.any(np.isfinite(values)) else None


def _median(values: list[int]) -> float | None:
    return float(np.median(values)) if values else None
