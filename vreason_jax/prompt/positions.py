"""M-RoPE positions of a prompt (arXiv:2502.13923, section 2.1.3), by two rules.

Text advances all three axes by one a token. A video spreads its tokens over time, height and
width, all counted from the position p at which it starts. The rules differ in where text goes on:

    max   one past the largest position of the video: transformers 4.49, and what the published
          weights were trained with
    hf5   p + max(h, w), whatever the duration: transformers 5.23
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Medium:
    """A video or an image of a prompt: its grid in tokens, and when these are shown, in seconds.

    `second_per_grid` of an image means nothing; its temporal step is 1 by definition. `times` has
    the middle of each temporal patch, for prompts that say it in words.
    """

    kind: str  # "video" | "image"
    grid: tuple[int, int, int]  # (t, h, w) in tokens
    second_per_grid: float = 1.0
    times: tuple[float, ...] = ()

    def __post_init__(self):
        if self.kind not in ("video", "image"):
            raise ValueError(f"Medium: expected kind video or image, got {self.kind!r}")
        if min(self.grid) < 1:
            raise ValueError(f"Medium: expected t, h, w >= 1, got grid {self.grid}")
        if not (math.isfinite(self.second_per_grid) and self.second_per_grid >= 0):
            raise ValueError(f"Medium: second_per_grid is {self.second_per_grid}")

    @property
    def token_count(self) -> int:
        """Tokens that stand for this medium in the prompt."""
        return math.prod(self.grid)


def prompt_positions(
    layout: Sequence[int | Medium], *, rule: str = "max", tokens_per_second: float | None
) -> np.ndarray:
    """Returns the positions int32 [3, S] (time, height, width) of a prompt.

    `layout` is the prompt in order: a number stands for that many text tokens, a Medium for its
    own tokens. `rule` is "max" or "hf5" (module docstring).
    """
    if rule not in ("max", "hf5"):
        raise ValueError(f"position rule: expected max or hf5, got {rule!r}")
    start = 0
    spans = [np.zeros((3, 0), np.int32)]
    for part in layout:
        if isinstance(part, Medium):
            span = start + medium_positions(part, tokens_per_second)
            start = _resume(span, part, start, rule)
        else:
            span = start + np.tile(np.arange(part, dtype=np.int32), (3, 1))
            start += part
        spans.append(span)
    return np.concatenate(spans, axis=1)


def next_position(positions: np.ndarray) -> int:
    """Returns where the first generated token stands: one past the largest of `positions`.

    The same under both rules; under hf5 it may lie far behind the prompt's last token
    (transformers, get_rope_index, mrope_position_deltas).
    """
    return int(positions.max()) + 1


def medium_positions(medium: Medium, tokens_per_second: float | None) -> np.ndarray:
    """Returns the positions int32 [3, tokens] of one medium, counted from its own start.

    Order: time, then rows, then columns. The temporal step of a video is a float32 product,
    truncated per temporal patch; float64 gives other integers at some frame rates. It is 1 for
    models whose time axis counts patches and not seconds (`tokens_per_second` None).
    """
    t, h, w = medium.grid
    interval = np.float32(1)
    if medium.kind == "video" and tokens_per_second is not None:
        interval = np.float32(tokens_per_second) * np.float32(medium.second_per_grid)
    times = (np.arange(t, dtype=np.float32) * interval).astype(np.int32)
    axes = times, np.arange(h, dtype=np.int32), np.arange(w, dtype=np.int32)
    return np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)


def _resume(span: np.ndarray, medium: Medium, start: int, rule: str) -> int:
    if rule == "max":
        return int(span.max()) + 1
    return start + max(medium.grid[1:])
