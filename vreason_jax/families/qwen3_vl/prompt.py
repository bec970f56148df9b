"""Qwen3-VL's prompts: a video is shown temporal patch by temporal patch, each with its time."""

import re
from collections.abc import Sequence

from vreason_jax.config import PromptConfig
from vreason_jax.prompt.positions import Medium

START, PAD, END = "<|vision_start|>", "<|video_pad|>", "<|vision_end|>"
MARKS = 12  # tokens of `<12345.6 seconds>` and of the marks of a patch
# Instruct's form; without a system turn, unlike the models before it.
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% else %}<|vision_start|><|{{ part.type }}_pad|><|vision_end|>{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def lay_out(
    rendered: str, media: Sequence[Medium], config: PromptConfig
) -> tuple[str, Sequence[Medium]]:
    """Returns a rendered template with a pad for each temporal patch of a video, and their runs.

    Before each stands its time in words, `<1.2 seconds>`. Under `config.video_wrapper` "tight" they
    take the place of the template's own marks of a video, as in the releases 4.57 to 5.9 of
    transformers, with which the models came; under "wrapped" they stand within them, as since.
    """
    videos = iter([medium for medium in media if medium.kind == "video"])
    marks = f"(?:{re.escape(START)}{re.escape(PAD)}{re.escape(END)}|{re.escape(PAD)})"
    pattern = marks if config.video_wrapper == "tight" else re.escape(PAD)

    def shown(match: re.Match) -> str:
        video = next(videos, None)
        return match[0] if video is None else "".join(map(_patch, video.times))

    text = re.sub(pattern, shown, rendered)
    return text, [run for medium in media for run in _runs(medium)]


def _patch(seconds: float) -> str:
    return f"<{seconds:.1f} seconds>{START}{PAD}{END}"


def _runs(medium: Medium) -> list[Medium]:
    if medium.kind != "video":
        return [medium]
    _, height, width = medium.grid
    return [Medium("video", (1, height, width)) for _ in medium.times]
