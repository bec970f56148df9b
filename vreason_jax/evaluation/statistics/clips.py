"""Means over questions, and how far they may lie off where clips are what was drawn.

Questions about one clip are alike, so clips are the sample: all of a clip's questions come and go
together. Every figure here is a weighted mean of questions, and is told as a sum over clips.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class ClipMean:
    """A weighted mean of questions as a sum over C clips."""

    value: float
    parts: np.ndarray  # [C] what each clip adds to the value
    pulls: np.ndarray  # [C] the same less its groups' means; their squares add up to the variance
    freedom: float  # degrees of freedom of that variance (Satterthwaite)
    largest: np.ndarray  # [C] what each clip would add if all of its scores were 1
    questions: int

    @property
    def clips(self) -> int:
        """The number of clips."""
        return len(self.parts)

    @property
    def error(self) -> float:
        """The standard error over clips; NaN for a single one."""
        return float(np.sqrt(np.sum(self.pulls**2))) if self.clips > 1 else np.nan

    @property
    def changed(self) -> float:
        """How many clips of equal parts would spread the value as much as those that have one."""
        squares = np.sum(self.parts**2)
        return float(np.sum(np.abs(self.parts)) ** 2 / squares) if squares else 0.0


def mean_over_clips(
    values: np.ndarray,
    clips: np.ndarray,
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> ClipMean:
    """Returns the mean of `values` [Q] of questions about `clips` [Q], numbered from 0.

    With `groups` [Q], numbered from 0, and `weights` [Q], which add up to 1, it is a mean of means:
    what differs between groups is no error. The variance is that of clusters within strata, each
    clip's pull over the root of 1 - its share of its group (Bell and McCaffrey 2002; C / (C - 1)
    for C clips of equal size). A group of one clip is taken against the mean of all.
    """
    size = len(values)
    groups = np.zeros(size, int) if groups is None else groups
    weights = np.full(size, 1 / size) if weights is None else weights
    value = float(np.sum(weights * values))
    cells, cell_of = np.unique(groups * (clips.max() + 1) + clips, return_inverse=True)
    group, clip = np.divmod(cells, clips.max() + 1)  # of each clip in each of its groups
    held, whole = np.bincount(cell_of, weights), np.bincount(groups, weights)
    lonely = np.bincount(group) == 1
    expected = np.where(lonely, value, np.bincount(groups, weights * values) / whole)
    pulls = np.bincount(cell_of, weights * (values - expected[groups]))
    pulls[~lonely[group]] /= np.sqrt(1 - (held / whole[group])[~lonely[group]])
    return ClipMean(
        value=value,
        parts=np.bincount(clips, weights * values),
        pulls=np.bincount(clip, pulls),
        freedom=_freedom(pulls, held, group, np.bincount(clips, weights)),
        largest=np.bincount(clips, weights),
        questions=size,
    )


def _freedom(pulls: np.ndarray, held: np.ndarray, group: np.ndarray, whole: np.ndarray) -> float:
    """Returns Satterthwaite's degrees of freedom: those of the groups, or of the clips if fewer.

    Clips of unequal size count as fewer: a large one moves the variance more than a small one.
    """
    of_clips = np.sum(whole**2) ** 2 / np.sum(whole**4) - 1
    equal = np.bincount(group, held**2) ** 2 / np.bincount(group, held**4)
    spread = np.bincount(group, pulls**2)
    slack = np.sum(spread**2 / np.maximum(equal - 1, 1))
    of_groups = np.sum(spread) ** 2 / slack if slack else np.inf
    return float(max(min(of_clips, of_groups), 1))
