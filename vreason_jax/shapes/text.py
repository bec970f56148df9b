"""Prompts and replies of `shapes`, in the one form that training and inference share."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

SYSTEM = "You are a helpful assistant."
VIDEO_PAD = "<|video_pad|>"
# What no clip decides: a guess that the next words take back.
_UNSEEN = re.compile(
    r"(?:At first I thought|Maybe|It seems|Is it that) [^.?]*[.?] (?:No, wait|Wait)"
)


@dataclasses.dataclass(frozen=True)
class Example:
    """One training sequence: prompt, reply and end of turn."""

    token_ids: np.ndarray  # int32 [S]
    prompt_length: int  # tokens before the reply
    seen: np.ndarray  # bool [S]: in the reply, and not a guess that it takes back


def question_text(problem: str, options: Sequence[str]) -> str:
    """Returns the user's turn: the problem, then one line per option."""
    return "\n".join([problem, *options])


def prompt_text(question: str, video_tokens: int) -> str:
    """Returns the prompt for one video and a question, ready for the reply."""
    video = f"<|vision_start|>{VIDEO_PAD * video_tokens}<|vision_end|>"
    return (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
        f"<|im_start|>user\n{video}{question}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def encode_example(tokenizer: Any, question: str, reply: str, video_tokens: int) -> Example:
    """Returns the token ids of a sample and a mask of those that depend on clip and question.

    Args:
      tokenizer: a `tokenizers.Tokenizer`, as `tokenizer.load_tokenizer` returns it.
      question: the user's turn.
      reply: the reply with its tags, without the end of the turn.
      video_tokens: merged tokens of the video: frames / 2 * 12.

    Prompt and reply are encoded separately, as in decoding, where the prompt is given.
    """
    prompt = tokenizer.encode(prompt_text(question, video_tokens)).ids
    target = tokenizer.encode(reply + "<|im_end|>")
    ends = np.array([end for _, end in target.offsets])
    seen = np.ones(len(ends), bool)
    for match in _UNSEEN.finditer(reply):
        seen &= (ends <= match.start()) | (ends > match.end())
    return Example(
        np.asarray(prompt + target.ids, np.int32),
        len(prompt),
        np.concatenate([np.zeros(len(prompt), bool), seen]),
    )
