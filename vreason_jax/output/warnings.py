"""Warns of prompts that go beyond their model, and of failures that a trace shows.

The V-Reason paper names these failures. Each function returns one line that says what was seen and
what to try, or None.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vreason_jax.config import placement_tokens
from vreason_jax.model.config import ModelConfig
from vreason_jax.prompt.chat import Prompt
from vreason_jax.prompt.positions import Medium, medium_positions

HIGH_ENTROPY = 0.9  # share of log |V|, the entropy of a uniform guess
EARLY_PEAK = 10  # tokens
IDLE_RATIO = 1e-4  # of the steered values' norm

# Objectives whose direction depends on where the EMA peaks.
PEAK_OBJECTIVES = ("switch", "inverted", "random_direction", "frozen")


def prompt_warnings(prompt: Prompt, config: ModelConfig, max_new_tokens: int) -> list[str]:
    """Returns one line for each thing in the prompt that the model was not made for.

    `max_new_tokens` is the answer's budget.
    """
    videos = [medium for medium in prompt.media if medium.kind == "video"]
    signs = [
        beyond_positions(prompt, config.text.max_positions, max_new_tokens),
        *(unresolved_rate(medium, config) for medium in videos),
    ]
    return list(dict.fromkeys(sign for sign in signs if sign is not None))


def beyond_positions(prompt: Prompt, limit: int, max_new_tokens: int) -> str | None:
    """Warns of a prompt and answer that go beyond max_position_embeddings.

    Tokens and positions both count: a video may take more of the one or of the other.
    """
    tokens = len(prompt.token_ids)
    reach = max(tokens, prompt.next_position) + max_new_tokens
    if reach <= limit:
        return None
    return (
        f"the prompt of {tokens} tokens and the answer of up to {max_new_tokens} reach {reach}, "
        f"beyond the model's max_position_embeddings of {limit}, where it was never trained: ask "
        "in fewer words, or lower video.num_frames, video.max_pixels or sampling.max_new_tokens"
    )


def unresolved_rate(video: Medium, config: ModelConfig) -> str | None:
    """Warns of a video whose successive temporal patches share positions on the time axis."""
    frames, tokens_per_second = config.geometry.temporal_patch, config.tokens_per_second
    times = np.unique(medium_positions(video, tokens_per_second)[0])
    patches = video.grid[0]
    if len(times) == patches or tokens_per_second is None:
        return None
    rate = frames / max(video.second_per_grid, 1e-9)
    return (
        f"a video shown at a rate of {rate:g} frames a second is above the "
        f"{frames * tokens_per_second:g} that the model's time axis resolves "
        f"(tokens_per_second {tokens_per_second:g}): its {patches} temporal patches share "
        f"{len(times)} of the positions in time; lower video.num_frames, or give a folder its "
        "right --fps"
    )


def failure_signs(
    trace: Mapping[str, Any], *, vocabulary_size: int, value_norm: float | None = None
) -> list[str]:
    """Returns one line per failure sign of the trace (its form: `output.trace.build_trace`).

    `vocabulary_size` counts the rows of the head. `value_norm` is the L2 norm of the last layer's
    values at the video tokens, over all of them; None where it is not known.
    """
    signs = [
        not_finite(trace),
        high_entropy(trace, vocabulary_size),
        early_peak(trace),
        no_video_tokens(trace),
        idle_controller(trace, value_norm),
    ]
    return [sign for sign in signs if sign is not None]


def not_finite(trace: Mapping[str, Any]) -> str | None:
    """Warns of tokens whose entropy or log-probability is not a number."""
    broken = ~(np.isfinite(_numbers(trace["entropy"])) & np.isfinite(_numbers(trace["logprob"])))
    if not broken.any():
        return None
    return (
        f"the logits of {_share(broken)} are not finite, the first at token "
        f"{int(np.argmax(broken))}: try --dtype float32, or check the checkpoint"
    )


def high_entropy(trace: Mapping[str, Any], vocabulary_size: int) -> str | None:
    """Warns of tokens drawn with an entropy above 0.9 log |V|: nearly uniform guesses.

    A single one counts: a trained model has none.
    """
    limit = HIGH_ENTROPY * math.log(vocabulary_size)
    high = _numbers(trace["entropy"]) > limit
    if not high.any():
        return None
    cure = "check that the checkpoint is a trained one and complete"
    if _controller_runs(trace):
        cure = f"lower controller.learning_rate or raise controller.every, or {cure}"
    return f"{_share(high)} had an entropy above 0.9 log|V| = {limit:.2f} nats: {cure}"


def early_peak(trace: Mapping[str, Any]) -> str | None:
    """Warns of an entropy EMA that rose for the last time before token 10 of a longer answer."""
    peak = _numbers(trace["peak"])
    if len(peak) <= EARLY_PEAK or not _controller_runs(trace):
        return None
    if trace["config"]["controller"]["objective"] not in PEAK_OBJECTIVES:
        return None
    # The first token always counts as a rise, from a peak of -inf.
    last_rise = max(np.flatnonzero(np.diff(peak) > 0) + 1, default=0)
    if last_rise >= EARLY_PEAK:
        return None
    return (
        f"the entropy EMA peaked at token {last_rise} of {len(peak)}, before token {EARLY_PEAK}, "
        "so there was hardly any exploration: try controller.ema_decay closer to 1, or "
        "controller.ema_init=zero"
    )


def no_video_tokens(trace: Mapping[str, Any]) -> str | None:
    """Warns that the controller was off because the prompt has no video to steer by."""
    if trace["config"]["controller"]["objective"] == "none" or _is_steered(trace):
        return None
    return (
        "the prompt has no video tokens, so the controller was off and this is plain decoding: "
        "pass --video, or controller.placement=question to steer by the words, or --baseline to "
        "say so"
    )


def idle_controller(trace: Mapping[str, Any], value_norm: float | None) -> str | None:
    """Warns of a controller that changed nothing, for want of a gradient or of a large step."""
    if not _controller_runs(trace):
        return None
    controller = trace["config"]["controller"]
    updated = np.asarray(trace["updated"], bool)
    if not updated.any():
        floor = controller.get("entropy_floor", 0.0)
        if floor > 0 and len(updated) > controller["every"]:
            return (
                "the controller made no update: the entropy was below controller.entropy_floor = "
                f"{floor:g} nats wherever one was due; try a lower one"
            )
        count = len(updated)
        lower = "lower controller.every" if count > 1 else "higher sampling.max_new_tokens"
        return (
            f"the controller made no update: the answer of {count} token{'s' * (count != 1)} ended "
            f"before the first one, at token {controller['every']}; try a {lower}"
        )
    if not np.any(_numbers(trace["grad_norm"])[updated]):
        return (
            f"the controller changed nothing: all {updated.sum()} gradients are zero, as the "
            "steered values do not reach the logits; try --dtype float32, or another checkpoint"
        )
    return _small_step(controller, _numbers(trace["delta_norm"]), value_norm)


def _small_step(controller: Mapping[str, Any], delta: np.ndarray, value_norm) -> str | None:
    finite = np.isfinite(delta)
    if not finite.all():
        return (
            f"‖ΔV‖ is not finite from token {int(np.argmin(finite))} on: try a lower "
            f"controller.learning_rate (now {controller['learning_rate']:g})"
        )
    largest = float(np.max(delta, initial=0.0))
    if largest > 0 and not value_norm:
        return None
    ratio = largest / value_norm if largest > 0 else 0.0
    if ratio >= IDLE_RATIO:
        return None
    return (
        f"the controller changed nothing: ‖ΔV‖/‖V‖ reached {ratio:.1e}, under {IDLE_RATIO:.0e}, "
        f"though there were gradients; try a higher controller.learning_rate (now "
        f"{controller['learning_rate']:g}) or a lower controller.every (now {controller['every']})"
    )


def _controller_runs(trace: Mapping[str, Any]) -> bool:
    return trace["config"]["controller"]["objective"] != "none" and _is_steered(trace)


def _is_steered(trace: Mapping[str, Any]) -> bool:
    placement = placement_tokens(trace["config"]["controller"]["placement"])
    return placement != "video" or trace["tokens"]["video"] > 0


def _numbers(values: Any) -> np.ndarray:
    """Floats, with NaN where the trace has null."""
    return np.array(values, dtype=np.float64)


def _share(chosen: np.ndarray) -> str:
    return f"{int(chosen.sum())} of {len(chosen)} tokens ({100 * chosen.mean():.0f} %)"
