"""What lmms-eval asks, as questions and settings of the Python interface."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from vreason_jax.config import RunConfig, SamplingConfig
from vreason_jax.errors import UserError, nearest, shown
from vreason_jax.questions import ImageFile, Source, VideoFile
from vreason_jax.settings import checked, known_keys
from vreason_jax.video.images import IMAGE_SUFFIXES

_SAMPLING = {field.name for field in dataclasses.fields(SamplingConfig)}
_SAME = {"max_gen_toks": "max_new_tokens", "max_tokens": "max_new_tokens"}
# What lmms-eval and its tasks send to every model: read elsewhere, or of no use to this one.
_USUAL = {
    "until", "do_sample", "num_beams", "use_cache", "image_aspect_ratio", "modalities",
    "pad_token_id", "eos_token_id", "num_return_sequences", "return_dict_in_generate",
}  # fmt: skip


def overrides(gen_kwargs: Mapping[str, Any], *, tempered: bool = False) -> dict[str, Any]:
    """Returns the config keys that a task's generation_kwargs set, dotted.

    Names of `sampling` count, and config keys such as `video.max_frames`; other names are passed
    over. do_sample = false means temperature 0, and true means 1 where neither the task nor the
    model (`tempered`) has one. Raises UserError for beams, and for what a key cannot be.
    """
    if (beams := gen_kwargs.get("num_beams") or 1) != 1:
        raise UserError(f"num_beams: expected 1, got {shown(beams)}; there is no beam search")
    named = {key: value for name, value in gen_kwargs.items() if "." in (key := _key(name))}
    given = {key: value for key, value in named.items() if value is not None}
    keys = checked(given, known_keys(RunConfig))
    samples = _samples(gen_kwargs.get("do_sample"))
    if samples is False:
        keys["sampling.temperature"] = 0.0
    elif samples and not tempered:
        keys.setdefault("sampling.temperature", 1.0)
    if keys.get("sampling.temperature") == 0:
        keys.pop("sampling.top_p", None)  # tasks write 0 or 1 where it has no meaning
    return keys


def passed_over(gen_kwargs: Mapping[str, Any]) -> list[str]:
    """Returns a line for each name that `overrides` passes over, but for what all models get."""
    unknown = [name for name in gen_kwargs if "." not in _key(name) and name not in _USUAL]
    return [
        f"generation_kwargs {shown(name)} is passed over: expected a name of sampling or a "
        f"config key{nearest(name, sorted(_SAMPLING))}"
        for name in unknown
    ]


def _key(name: str) -> str:
    name = _SAME.get(name, name)
    return f"sampling.{name}" if name in _SAMPLING else dotted(name)


def _samples(value: Any) -> bool | None:
    words = {"none": None, "false": False, "0": False, "true": True, "1": True}
    if (word := str(value).lower()) not in words:
        raise UserError(f"do_sample: expected true or false, got {shown(value)}")
    return words[word]


def dotted(name: str) -> str:
    """Returns a config key that has two underscores for its dot."""
    return name.replace("__", ".")


def stops(gen_kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the texts that end an answer.

    A blank line is none: lmms-eval gives it to every task that names no stop, and reasoning has
    blank lines.
    """
    until = gen_kwargs.get("until")
    texts = until if isinstance(until, list | tuple) else [until]
    return tuple(str(text) for text in texts if text not in (None, "", "\n\n"))


def cut(text: str, stops: Sequence[str]) -> str:
    """Returns the text up to the first stop."""
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]


def media_of(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the parts of a turn that are no text, in order; raises UserError as `words` does."""
    return [part for part in _parts(messages) if part["type"] != "text"]


def words(messages: Sequence[Mapping[str, Any]]) -> str:
    """Returns the words of a turn, of which parts without space between them get a line each.

    Raises UserError for more than one user's turn.
    """
    joined = ""
    for text in (part["text"] for part in _parts(messages) if part["type"] == "text"):
        glued = joined and text and not (joined[-1].isspace() or text[0].isspace())
        joined += "\n" + text if glued else text
    return joined


def begins_with_words(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Returns whether a turn has words before one of its media, which come first in a prompt."""
    wordy = [part["type"] == "text" and bool(part["text"].strip()) for part in _parts(messages)]
    kinds = [part["type"] for part in _parts(messages)]
    return True in wordy and any(kind != "text" for kind in kinds[wordy.index(True) :])


def source(part: Mapping[str, Any], folder: Path) -> Source:
    """Returns a part of a turn as a file; a picture in memory is written into `folder`.

    Raises UserError for sound and for what is neither a path nor a picture.
    """
    kind, value = part["type"], part.get("url")
    times = part.get("start_time"), part.get("end_time")
    if isinstance(value, Mapping):
        times = value.get("video_start"), value.get("video_end")
        value = next((value[key] for key in ("url", "path", "video") if key in value), None)
    if kind == "image" and isinstance(value, Image.Image):
        path = folder / f"{len(list(folder.iterdir()))}.png"
        value.convert("RGB").save(path)
        return ImageFile(str(path))
    if kind not in ("image", "video") or not isinstance(value, str | Path):
        raise UserError(f"expected a path of a video, or an image, got {kind}: {shown(value)}")
    path = str(value).removeprefix("file://")
    if kind == "image" or path.lower().endswith(IMAGE_SUFFIXES):
        return ImageFile(path)
    return VideoFile(path, start=times[0], end=times[1])


def clip_key(messages: Sequence[Mapping[str, Any]]) -> str:
    """Returns what requests about the same files have in common, "" without a file."""
    urls = [part.get("url") for part in media_of(messages)]
    return "\n".join(str(url) for url in urls if isinstance(url, str | Path | Mapping))


def _parts(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    roles = [message["role"] for message in messages]
    if roles != ["user"]:
        raise UserError(f"expected one turn of the user, got turns of {', '.join(roles)}")
    content = messages[0]["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
