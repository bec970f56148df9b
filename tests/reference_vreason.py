"""V-Reason computed the plain way in torch: one prompt, one token at a time, torch's own AdamW.

Independent of vreason_jax: the weights are those of transformers' modules, keys and values stand
in one list entry per layer, and every cached array may differ from head to head, as after pruning.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from reference_torch import Prompt, answered


@dataclasses.dataclass(frozen=True)
class Options:
    """The method's choices, named and defaulting as the run config's keys."""

    objective: str = "switch"
    every: int = 4
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_decay: float = 0.98
    ema_init: str = "zero"
    norm: str = "vector"
    resample_after_update: bool = False
    placement: str = "video"  # also question, hidden, and video@LAYER
    prune_fraction: float = 0.0
    prune_policy: str = "value_norm"
    max_new_tokens: int = 48


@dataclasses.dataclass
class LayerCache:
    """Keys (after rope) and values [K, S, H] of one layer.

    Which slots hold video, and which are steered: [K, S] each.
    """

    keys: torch.Tensor
    values: torch.Tensor
    is_video: torch.Tensor
    is_steered: torch.Tensor

    def append(self, key: torch.Tensor, value: torch.Tensor) -> None:
        """Adds a token's key and value [K, H]."""
        self.keys = torch.cat([self.keys, key[:, None]], dim=1)
        self.values = torch.cat([self.values, value[:, None]], dim=1)
        other = torch.zeros_like(self.is_video[:, :1])
        self.is_video = torch.cat([self.is_video, other], dim=1)
        self.is_steered = torch.cat([self.is_steered, other], dim=1)

    def take(self, kept: torch.Tensor) -> None:
        """Keeps the slots [K, n] alone."""
        rows = torch.arange(len(kept))[:, None]
        self.keys, self.values = self.keys[rows, kept], self.values[rows, kept]
        self.is_video, self.is_steered = self.is_video[rows, kept], self.is_steered[rows, kept]

    def steered_values(self) -> torch.Tensor:
        """Returns the values of the steered slots [K, M, H], in order."""
        heads, _, width = self.values.shape
        return self.values[self.is_steered].reshape(heads, -1, width)

    def values_with(self, new_values: torch.Tensor) -> torch.Tensor:
        """Returns the values with the steered slots replaced by [K, M, H]."""
        slots = self.is_steered[..., None].expand_as(self.values)
        return self.values.masked_scatter(slots, new_values)


class Controller:
    """ΔV with its optimiser, and the running mean and peak of the entropy."""

    def __init__(self, options: Options, values: torch.Tensor):
        self.options = options
        self.values = values  # [K, M, H] of the steered slots, never changed; [D] of `hidden`
        self.delta = torch.zeros_like(values, requires_grad=True)
        self.optimizer = torch.optim.AdamW(
            [self.delta],
            lr=options.learning_rate,
            betas=(0.9, 0.999),
            eps=1e-8,
            weight_decay=options.weight_decay,
        )
        self.ema: float | None = None
        self.peak = -math.inf
        self.updates = 0

    def new_values(self) -> torch.Tensor:
        """Returns V+ΔV scaled back to the norm of V."""
        moved = self.values + self.delta
        if self.options.norm == "none":
            return moved
        axes = (-1,) if self.options.norm == "vector" else (0, 1, 2)
        before = (self.values**2).sum(axes, keepdim=True)
        after = (moved**2).sum(axes, keepdim=True)
        empty = (before == 0) | (after == 0)
        ratio = before / torch.where(empty, torch.ones_like(after), after)
        return moved * torch.where(empty, torch.ones_like(ratio), ratio).sqrt()

    def observe(self, entropy: float) -> int:
        """Takes the entropy of one more token into mean and peak and returns its alpha."""
        decay = self.options.ema_decay
        before = self.ema
        if before is None:
            before = 0.0 if self.options.ema_init == "zero" else entropy
        self.ema = decay * before + (1 - decay) * entropy
        switch = 1 if self.ema >= self.peak else -1
        self.peak = max(self.peak, self.ema)
        fixed = {"min": -1, "max": 1, "none": 0, "inverted": -switch}
        return fixed.get(self.options.objective, switch)

    def due(self, token: int) -> bool:
        """Returns whether an update follows the logits of this token."""
        if self.options.objective == "none":
            return False
        if self.options.objective == "frozen" and self.updates:
            return False
        return token > 0 and token % self.options.every == 0

    def update(self, entropy: torch.Tensor, alpha: int) -> float:
        """Makes one AdamW step on -alpha·H; returns the gradient's norm before the clip."""
        self.optimizer.zero_grad()
        (-alpha * entropy).backward()
        norm = float(self.delta.grad.norm())
        if norm > self.options.clip_norm:
            self.delta.grad.mul_(self.options.clip_norm / norm)
        self.optimizer.step()
        self.updates += 1
        return norm


def run(model: Any, prompt: Prompt, options: Options) -> dict[str, list]:
    """Returns the trace of one greedy answer: the lists of the trace format, and `gap`.

    `gap` is that of the best two logits: a test must not ask for the id where it is tiny.
    """
    logits, caches = prefill(model, prompt, options)
    position = int(prompt.next_position)
    prune(caches, prompt, options)
    controller = controller_of(caches, options, model)
    trace: dict[str, list] = {}
    for token in range(options.max_new_tokens):
        if token > 0:
            logits, redo = decode(model, caches, controller, trace["token_ids"][-1], position)
            position += 1
        entropy = _entropy(logits)
        alpha = controller.observe(float(entropy.detach()))
        due = controller.due(token)
        norm = controller.update(entropy, alpha) if due else 0.0
        if due and options.resample_after_update:
            logits = redo()
        _record(trace, logits.detach(), entropy, controller, alpha, due, norm)
    return trace


def options_of(changes: dict[str, Any]) -> Options:
    """Returns the options for config keys such as "controller.every" or "prune.fraction"."""
    names = {key: key.removeprefix("controller.").replace(".", "_") for key in changes}
    return Options(**{names[key]: value for key, value in changes.items()})


def decode_error(model: Any, prompt: Prompt, tokens: list[int]) -> float:
    """Returns how far the logits after each token are from transformers' own, at ΔV = 0.

    transformers gets prompt and tokens in one forward: the largest difference of a logit.
    """
    _, caches = prefill(model, prompt, Options())
    controller = controller_of(caches, Options(), model)
    start = int(prompt.next_position)
    with torch.no_grad():
        ours = [
            decode(model, caches, controller, token, start + step)[0]
            for step, token in enumerate(tokens)
        ]
    theirs = answered(model, prompt.inputs, prompt.next_position, tokens).logits
    return float((torch.stack(ours) - theirs[0, -len(tokens) :]).abs().max())


def controller_of(caches: list[LayerCache], options: Options, model: Any) -> Controller:
    """Returns the controller at the beginning of an answer."""
    if options.placement == "hidden":
        return Controller(options, torch.zeros(model.lm_head.in_features))
    return Controller(options, caches[_layer(options)].steered_values().clone())


@torch.no_grad()
def prefill(model: Any, prompt: Prompt, options: Options) -> tuple[torch.Tensor, list[LayerCache]]:
    """Returns the logits [V] at the prompt's last position and each layer's cache."""
    output = answered(model, prompt.inputs, prompt.next_position, use_cache=True)
    video = torch.from_numpy(prompt.video)
    question = torch.zeros_like(video)
    question[slice(*prompt.words)] = True
    steered = question if options.placement == "question" else video
    caches = []
    for layer in output.past_key_values.layers:
        arrays = layer.keys[0].clone(), layer.values[0].clone()
        heads = layer.keys.shape[1]
        caches.append(LayerCache(*arrays, *(a.expand(heads, -1).clone() for a in (video, steered))))
    return output.logits[0, -1], caches


def decode(model: Any, caches: list[LayerCache], controller: Controller, token: int, position: int):
    """Feeds one token: returns its logits [V], and a function that makes them anew.

    The latter applies the present ΔV; keys and values never depend on it.
    """
    text, options = model.model.language_model, controller.options
    first, length = _layer(options) % len(caches), caches[-1].keys.shape[1]
    layer, cache = text.layers[first], caches[first]
    with torch.no_grad():
        x = text.embed_tokens.weight[token]
        rope = text.rotary_emb(x, torch.full((3, 1, 1), position))
        for below, below_cache in zip(text.layers[:first], caches[:first], strict=True):
            query = _project(below, below_cache, x, rope)
            x = _finish(below, x, _attend(query, below_cache.keys, below_cache.values))
        query = _project(layer, cache, x, rope)

    def head() -> torch.Tensor:
        hidden = options.placement == "hidden"
        values = cache.values if hidden else cache.values_with(controller.new_values())
        y = _finish(layer, x, _attend(query, cache.keys, values))
        for above, above_cache in zip(text.layers[first + 1 :], caches[first + 1 :], strict=True):
            above_cache.take(torch.arange(length).expand(len(above_cache.keys), -1))
            own, key, value = _projections(above, above_cache, y, rope)
            keys = torch.cat([above_cache.keys, key[:, None]], dim=1)
            values = torch.cat([above_cache.values, value[:, None]], dim=1)
            above_cache.append(key.detach(), value.detach())
            y = _finish(above, y, _attend(own, keys, values))
        y = text.norm(y)
        return model.lm_head(y + controller.delta if hidden else y)

    return head(), head


def _layer(options: Options) -> int:
    return int(options.placement.partition("@")[2] or -1)


def prune(caches: list[LayerCache], prompt: Prompt, options: Options) -> None:
    """Drops a share of the video slots, in each layer and head for itself."""
    if options.prune_fraction == 0:
        return
    for cache in caches:
        heads = range(cache.keys.shape[0])
        kept = torch.stack([_kept_slots(cache, head, prompt, options) for head in heads])
        cache.take(kept)


def dropped_tokens(
    keys: np.ndarray, values: np.ndarray, patches: np.ndarray, policy: str, fraction: float
) -> list[int]:
    """Returns which of M video tokens one head drops: keys and values [M, H], patches [M].

    `patches` numbers each token's temporal patch. `uniform` drops the middle one of each of
    `count` equal stretches.
    """
    count = math.floor(len(values) * fraction)
    key_norms = np.linalg.norm(keys.astype(np.float32), axis=-1)
    value_norms = np.linalg.norm(values.astype(np.float32), axis=-1)
    if policy == "uniform":
        return [(2 * i + 1) * len(values) // (2 * count) for i in range(count)]
    if policy == "per_frame":
        dropped = []
        for patch in np.unique(patches):
            (inside,) = np.nonzero(patches == patch)
            order = inside[np.argsort(value_norms[inside], kind="stable")]
            dropped += order[: math.floor(len(inside) * fraction)].tolist()
        return dropped
    scores = {"value_norm": value_norms, "drop_low_key": key_norms, "drop_high_key": -key_norms}
    return np.argsort(scores[policy], kind="stable")[:count].tolist()


def _kept_slots(cache: LayerCache, head: int, prompt: Prompt, options: Options) -> torch.Tensor:
    (video,) = np.nonzero(cache.is_video[head].numpy())
    keys, values = cache.keys[head].numpy()[video], cache.values[head].numpy()[video]
    policy, fraction = options.prune_policy, options.prune_fraction
    dropped = dropped_tokens(keys, values, prompt.patches, policy, fraction)
    kept = np.setdiff1d(np.arange(cache.keys.shape[1]), video[dropped])
    return torch.from_numpy(kept)


def _project(layer: Any, cache: LayerCache, x: torch.Tensor, rope) -> torch.Tensor:
    """Appends the token's key and value to the cache and returns its query [N, H]."""
    query, key, value = _projections(layer, cache, x, rope)
    cache.append(key, value)
    return query


def _projections(layer: Any, cache: LayerCache, x: torch.Tensor, rope):
    """Returns a token's query [N, H], key and value [K, H]."""
    attention, width = layer.self_attn, cache.keys.shape[-1]
    normed = layer.input_layernorm(x)
    query = attention.q_proj(normed).reshape(-1, width)
    key = attention.k_proj(normed).reshape(-1, width)
    if hasattr(attention, "q_norm"):  # of Qwen3-VL
        query, key = attention.q_norm(query), attention.k_norm(key)
    return _rotate(query, rope), _rotate(key, rope), attention.v_proj(normed).reshape(-1, width)


def _attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Returns [N·H]; query head i reads key/value head i // G."""
    group = query.shape[0] // keys.shape[0]
    heads = []
    for number, head in enumerate(query):
        scores = keys[number // group] @ head / math.sqrt(len(head))
        heads.append(torch.softmax(scores, dim=0) @ values[number // group])
    return torch.cat(heads)


def _finish(layer: Any, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
    x = x + layer.self_attn.o_proj(attended)
    return x + layer.mlp(layer.post_attention_layernorm(x))


def _rotate(heads: torch.Tensor, rope) -> torch.Tensor:
    cos, sin = (table.reshape(-1) for table in rope)
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat([-second, first], dim=-1) * sin


def _entropy(logits: torch.Tensor) -> torch.Tensor:
    log_p = F.log_softmax(logits, dim=-1)
    return -(log_p.exp() * log_p).sum()


def _record(trace, logits, entropy, controller, alpha, updated, norm) -> None:
    best = logits.topk(2)
    token = int(best.indices[0])
    entry = {
        "token_ids": token,
        "logprob": float(F.log_softmax(logits, dim=-1)[token]),
        "entropy": float(entropy.detach()),
        "ema": controller.ema,
        "peak": controller.peak,
        "alpha": alpha,
        "updated": updated,
        "grad_norm": norm,
        "delta_norm": float(controller.delta.detach().norm()),
        "gap": float(best.values[0] - best.values[1]),
    }
    for name, value in entry.items():
        trace.setdefault(name, []).append(value)
