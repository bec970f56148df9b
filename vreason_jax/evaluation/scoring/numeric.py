"""Numbers as answers, and mean relative accuracy in the two variants that are published."""

import numpy as np

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def parse(text: str) -> float | None:
    """Returns a text that is a number, commas removed, as Video-R1 reads it; None for others."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def equal_to_hundredths(left: str, right: str) -> bool:
    """Returns whether two texts are numbers that are equal after rounding to two decimals."""
    ours, theirs = parse(left), parse(right)
    return ours is not None and theirs is not None and round(ours, 2) == round(theirs, 2)


def mra_video_r1(prediction: float, target: float) -> float:
    """Returns the mean over 0.50, 0.55 ... 0.95 of |p - t| / (|t| + 1e-8) < 1 - threshold.

    In float32 and strict, as Video-R1's reward_fn (its thresholds are torch.arange's).
    """
    single = np.float32
    with np.errstate(all="ignore"):
        ours, truth = single(prediction), single(target)
        error = np.abs(ours - truth) / (np.abs(truth) + single(1e-8))
        thresholds = np.asarray(THRESHOLDS, single)
        return float(np.mean(error < single(1) - thresholds))


def mra_official(prediction: float, target: float) -> float:
    """Returns the mean over 0.50, 0.55 ... 0.95 of |p - t| / |t| <= 1 - threshold.

    In float64, without an epsilon, and with np.linspace's thresholds, as in VSI-Bench's code: one
    of them is 0.8999999999999999, which counts an error of exactly 0.1. Of a target 0 only 0 is
    right, where the code divides by it.
    """
    if target == 0:
        return float(prediction == 0)
    thresholds = np.linspace(0.5, 0.95, len(THRESHOLDS))
    with np.errstate(all="ignore"):
        return float(
            np.mean(np.abs(np.float64(prediction) - target) / abs(target) <= 1 - thresholds)
        )
