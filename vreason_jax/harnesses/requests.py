"""What lmms-eval asks, as questions and settings of the Python interface."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from vreason_jax.config import SamplingConfig
from vreason_jax.errors import UserError, shown
from vreason_jax.questions import ImageFile, Source, VideoFile
from vreason_jax.video.images import IMAGE_SUFFIXES

_SAMPLING = {field.name for field in dataclasses.fields(SamplingConfig)}


def overrides(gen_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config keys that a task's generation_kwargs set, dotted.

    Names of `sampling` count, and config keys such as `video.max_frames`; do_sample = false means
    temperature 0. Names that only other models know are passed over. Raises UserError for beams.
    """
    if (beams := gen_kwargs.get("num_beams") or 1) != 1:
        raise UserError(f"num_beams: expected 1, got {shown(beams)}; there is no beam search")
    named = {f"sampling.{n}" if n in _SAMPLING else dotted(n): v for n, v in gen_kwargs.items()}
    keys = {key: value for key, value in named.items() if "." in key and value is not None}
    if gen_kwargs.get("do_sample") is False:
        keys["sampling.temperature"] = 0.0
    if keys.get("sampling.temperature") == 0:
        keys.pop("sampling.top_p", None)  # tasks write 0 or 1 where it has no meaning
    return keys


def dotted(name: str) -> str:
    """Returns a config key that has two underscores for its dot."""
    return name.replace("__", ".")


def stops(gen_kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the texts that end an answer.

    A blank line is none: lmms-eval gives it to every task that names no stop, and reasoning has
    blank lines.
    """
    until = gen_kwargs.get("until") or ()
    texts = (until,) if isinstance(until, str) else tuple(until)
    return tuple(text for text in texts if text and text != "\n\n")


def cut(text: str, stops: Sequence[str]) -> str:
    """Returns the text up to the first stop."""
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]


def media_of(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the parts of a turn that are no text, in order; raises UserError as `words` does."""
    return [part for part in _parts(messages) if part["type"] != "text"]


def words(messages: Sequence[Mapping[str, Any]]) -> str:
    """Returns the words of a turn. Raises UserError for more than one user's turn."""
    return "".join(part["text"] for part in _parts(messages) if part["type"] == "text")


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
