"""The V-Reason runs of the goldens, by case: run name -> the config keys that it changes.

A key's value is what `load_config` takes; what is not named keeps the config's default. Every run
is greedy under position rule `max`, 48 tokens, and goes on past an end-of-answer token.
"""

from typing import Any

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
