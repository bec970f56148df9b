"""Other people's evaluation programs, as callers of this package's Python interface.

lmms_eval    V-Reason as a model of lmms-eval
requests     what a harness asks, as questions and settings
video_r1     Video-R1's protocol, for the tasks of configs/lmms_eval
"""

from typing import Any


def lmms_eval_models() -> Any:
    """Returns what lmms-eval registers: it finds this function by its entry point."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("vreason_jax", chat_class_path="vreason_jax.harnesses.lmms_eval.VReason")
