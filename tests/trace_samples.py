"""Synthetic traces for the tests of what is made from a trace."""

import numpy as np

from vreason_jax.output.trace import build_trace


def sample_arrays(size: int, every: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of a run whose EMA rises through the first half and falls after it."""
    rng = np.random.default_rng(seed)
    entropy = rng.gamma(1.0, 0.4, size) + np.where(np.arange(size) < size / 2, 1.0, 0.0)
    ema, alpha, peaks, average, peak = [], [], [], 0.0, -np.inf
    for value in entropy:
        average = 0.98 * average + 0.02 * value
        alpha.append(1 if average >= peak else -1)
        peak = max(peak, average)
        ema.append(average)
        peaks.append(peak)
    updated = (np.arange(size) % every == 0) & (np.arange(size) > 0)
    return {
        "token_ids": rng.integers(0, 100, size).astype(np.int32),
        "logprob": -rng.gamma(1.0, 0.3, size).astype(np.float32),
        "entropy": entropy.astype(np.float32),
        "ema": np.array(ema, np.float32),
        "peak": np.array(peaks, np.float32),
        "alpha": np.array(alpha, np.int32),
        "updated": updated,
        "grad_norm": np.where(updated, 0.2, 0.0).astype(np.float32),
        "delta_norm": np.cumsum(np.where(updated, 0.05, 0.0)).astype(np.float32),
    }


def sample_trace(size=40, *, objective="switch", every=4, video=64, **arrays) -> dict:
    """A whole trace; arrays given by name replace those of `sample_arrays`."""
    values = sample_arrays(size, every)
    if objective == "none" or not video:
        silent = ("alpha", "updated", "grad_norm", "delta_norm")
        values |= {key: np.zeros_like(values[key]) for key in silent}
    values |= {key: np.asarray(value) for key, value in arrays.items()}
    controller = {
        "objective": objective, "placement": "video", "every": every, "learning_rate": 3e-4,
    }  # fmt: skip
    return build_trace(
        values,
        text="<answer>B</answer>",
        config={"controller": controller},
        videos=[],
        seconds={"decode": 1.0},
        tokens={"prompt": 100, "video": video, "generated": size},
    )
