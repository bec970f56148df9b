"""The V-Reason runs of the goldens: run name -> the config keys that it changes.

RUNS has them by the first family's cases, FAMILY_RUNS by the other families, each of which answers
the case `video` of tests/family_cases.py. A key's value is what `load_config` takes; what is not
named keeps the config's default. Every run is greedy, 48 tokens, and goes on past an end-of-answer
token; the first family's stand under position rule `max`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

GOLDENS = Path(__file__).parent / "goldens"
ENTROPY_BAR = 1e-3  # nats
TOKENS = 48
LISTS = (
    "token_ids", "logprob", "entropy", "ema", "peak", "alpha", "updated", "grad_norm", "delta_norm",
)  # fmt: skip

_LITE = {"prune.fraction": 0.5, "prune.policy": "value_norm"}


def _steered(objective: str = "switch", learning_rate: float = 0.1, **changes: Any) -> dict:
    fixed = {"controller.objective": objective, "controller.learning_rate": learning_rate}
    return fixed | {key.replace("__", "."): value for key, value in changes.items()}


def _video_runs() -> dict[str, dict[str, Any]]:
    runs = {"none": {"controller.objective": "none"}}
    for rate in (3e-4, 0.1):
        for objective in ("switch", "min", "max", "inverted", "frozen"):
            runs[f"{objective}@{rate:g}"] = _steered(objective, rate)
        runs[f"lite@{rate:g}"] = _steered(learning_rate=rate) | _LITE
    runs |= {
        "norm_tensor": _steered(controller__norm="tensor"),
        "norm_none": _steered(controller__norm="none"),
        "ema_first": _steered(controller__ema_init="first"),
        "ema_decay_0.8": _steered(controller__ema_decay=0.8),
        "every_1": _steered(controller__every=1),
        "resample": _steered(controller__resample_after_update=True),
        "clip": _steered(controller__clip_norm=0.15),
        "decay": _steered(controller__weight_decay=0.5),
    }
    for name, placement in (("question", "question"), ("hidden", "hidden"), ("layer", "video@1")):
        runs[f"{name}@0.1"] = _steered(controller__placement=placement)
    for policy in ("drop_low_key", "drop_high_key", "uniform", "per_frame"):
        runs[f"prune_{policy}"] = _steered() | {"prune.fraction": 0.5, "prune.policy": policy}
    runs["prune_quarter"] = _steered() | {"prune.fraction": 0.27, "prune.policy": "value_norm"}
    runs["lite_none"] = {"controller.objective": "none"} | _LITE
    return runs


RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "video": _video_runs(),
    "two_videos": {
        "none": {"controller.objective": "none"},
        "switch@0.0003": _steered(learning_rate=3e-4),
        "switch@0.1": _steered(),
        "lite@0.1": _steered() | _LITE,
        "prune_per_frame": _steered() | {"prune.fraction": 0.5, "prune.policy": "per_frame"},
    },
    "image_and_video": {
        "none": {"controller.objective": "none"},
        "switch@0.1": _steered(),
    },
}

_PLAIN_AND_STEERED = {
    "none": {"controller.objective": "none"},
    "switch@0.0003": _steered(learning_rate=3e-4),
    "switch@0.1": _steered(),
}
FAMILY_RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "qwen3_vl": {
        **_PLAIN_AND_STEERED,
        "question@0.1": _steered(controller__placement="question"),
        "hidden@0.1": _steered(controller__placement="hidden"),
        "layer@0.1": _steered(controller__placement="video@1"),  # DeepStack adds behind it
        "lite_none": _PLAIN_AND_STEERED["none"] | _LITE,
        "lite@0.1": _steered() | _LITE,
    },
    "qwen2_vl": _PLAIN_AND_STEERED,
}


def read_golden(name: str) -> dict[str, dict[str, Any]]:
    """Returns the traces of a golden file, by run."""
    return json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8"))


def assert_is_the_reference(trace, golden: dict[str, Any]) -> None:
    """Asserts that a trace [tokens, 1] of this package is one of a golden file."""
    ours = {name: values[:, 0] for name, values in trace._asdict().items()}
    np.testing.assert_array_equal(ours["token"], golden["token_ids"])
    np.testing.assert_array_equal(ours["alpha"], golden["alpha"])
    np.testing.assert_array_equal(ours["updated"], golden["updated"])
    for key in ("entropy", "ema", "peak", "logprob"):
        np.testing.assert_allclose(ours[key], golden[key], atol=ENTROPY_BAR, rtol=0, err_msg=key)
    np.testing.assert_allclose(ours["grad_norm"], golden["grad_norm"], rtol=0.01, atol=1e-7)
    # AdamW's first step is nearly the gradient's sign: elements near 0 may go either way.
    np.testing.assert_allclose(ours["delta_norm"], golden["delta_norm"], rtol=0.01, atol=1e-7)


def assert_misses_the_reference(plain: dict[str, Any], golden: dict[str, Any]) -> None:
    """Asserts that plain decoding is ten times the bar off: else comparing would show nothing."""
    difference = np.abs(np.array(plain["entropy"]) - golden["entropy"])
    assert np.max(difference) > 10 * ENTROPY_BAR
