"""From questions to what the model takes: media are read, cut into patches, and put in a prompt."""

import dataclasses
import numbers
import os
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vreason_jax.config import RunConfig
from vreason_jax.controller import prune
from vreason_jax.controller.numbers import ControllerNumbers
from vreason_jax.decoding.driver import decode_room
from vreason_jax.decoding.prefill import CacheLengths, PrefillInputs
from vreason_jax.errors import UserError
from vreason_jax.prompt.batch import PromptBatch, batch_prompts
from vreason_jax.prompt.chat import QUESTION, Prompt, build_prompt, check_question, read_wrapping
from vreason_jax.prompt.positions import Medium
from vreason_jax.prompt.tokenizer import PromptTokenizer
from vreason_jax.video.patches import Patches, patchify, second_per_grid
from vreason_jax.video.preprocessing import Preprocessing
from vreason_jax.video.reader import Clip, clip_from_array, read_image, read_video
from vreason_jax.video.sampling import Segment

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclasses.dataclass(frozen=True)
class VideoFile:
    """A video file, or a folder of frames at `fps` frames a second.

    `start` and `end`, in seconds, name the part that is meant; left out, it is the whole video.
    """

    path: str
    fps: float = 2.0
    start: float | None = None
    end: float | None = None


@dataclasses.dataclass(frozen=True)
class VideoArray:
    """Frames uint8 [F, h, w, 3] at `fps` frames a second."""

    frames: np.ndarray
    fps: float


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image file."""

    path: str


Source = VideoFile | VideoArray | ImageFile


@dataclasses.dataclass(frozen=True)
class Question:
    """One user turn: media in the order given, then the words.

    `wrapping` is what the asker puts around the user's words, where it says {question}.
    """

    media: tuple[Source, ...]
    text: str
    wrapping: str = QUESTION


@dataclasses.dataclass(frozen=True)
class Media:
    """A question's media, read and cut into patches; several questions may share them."""

    clips: tuple[Clip, ...]
    patches: tuple[Patches, ...]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A question with its media read and its prompt built; all of it NumPy."""

    question: Question
    clips: tuple[Clip, ...]
    patches: tuple[Patches, ...]
    prompt: Prompt

    @property
    def video_tokens(self) -> int:
        """How many tokens of the prompt stand for video."""
        return sum(m.token_count for m in self.prompt.media if m.kind == "video")


def as_question(video: Any, text: str) -> Question:
    """Returns the Question of the Python interface's `video`.

    `video` is a path, (frames, fps), a list of these, or None; a path with an image's suffix is an
    image. Raises UserError for anything else.
    """
    if not isinstance(text, str):
        raise UserError(f"prompt: expected text, got {type(text).__name__}")
    if video is None:
        sources = []
    elif isinstance(video, list):
        sources = video
    else:
        sources = [video]
    return Question(tuple(_as_source(source) for source in sources), text)


def prepare(
    question: Question,
    config: RunConfig,
    preprocessing: Preprocessing,
    tokenizer: PromptTokenizer,
    tokens_per_second: float,
) -> Prepared:
    """Returns the question ready for the model; raises UserError for what cannot be read."""
    check_question(question.text)
    wrapping = read_wrapping(config.prompt.template)
    media = read_media(question.media, config, preprocessing)
    return _put_in_prompt(question, wrapping, media, config, tokenizer, tokens_per_second)


def read_media(
    sources: Sequence[Source],
    config: RunConfig,
    preprocessing: Preprocessing,
    change: Callable[[Clip], Clip] | None = None,
) -> Media:
    """Returns media as clips and patches; raises UserError for what cannot be read.

    `change` makes of every clip the one that the model is shown.
    """
    clips = tuple(_read(source, config, preprocessing) for source in sources)
    if change is not None:
        clips = tuple(map(change, clips))
    return Media(clips, tuple(_cut(clip, preprocessing) for clip in clips))


def ask_about(
    media: Media,
    question: Question,
    config: RunConfig,
    tokenizer: PromptTokenizer,
    tokens_per_second: float,
) -> Prepared:
    """Returns the question about media that have been read; raises UserError as `prepare` does."""
    wrapping = read_wrapping(config.prompt.template)
    return _put_in_prompt(question, wrapping, media, config, tokenizer, tokens_per_second)


def batch_inputs(
    rows: Sequence[Prepared],
    config: RunConfig,
    pad_id: int,
    *,
    length: int | None = None,
    names: Sequence[str] | None = None,
) -> tuple[PrefillInputs, np.ndarray, CacheLengths]:
    """Returns the prefill inputs of a batch, the video tokens each row drops, and cache lengths.

    Args:
      length: pads every prompt to so many tokens; the cache lengths then do not depend on the
        prompts', so that batches share their programs. None: to the longest prompt.
      names: stand for the questions where chance is drawn; None: their words do.
    """
    batch = batch_prompts([row.prompt for row in rows], pad_id, length=length)
    slots = batch.token_ids.shape[1]
    drops, counts = prune.plan_drops(_temporal_patches(rows, batch), batch.video_mask, config.prune)
    if names is None:
        names = [row.question.text for row in rows]
    inputs = PrefillInputs(
        token_ids=batch.token_ids,
        positions=batch.positions,
        starts=batch.starts,
        next_positions=batch.next_positions,
        media_slots=_flat_media_slots(batch),
        video_slots=np.where(batch.video_mask, batch.video_slots, slots).astype(np.int32),
        video_mask=batch.video_mask,
        drops=drops,
        seeds=np.array([(config.sampling.seed, _hash(name)) for name in names], np.uint32),
        numbers=ControllerNumbers.of(config.controller),
    )
    padding = batch.starts if length is None else 0
    prompt = int((slots - padding - counts.dropped).max())
    lengths = CacheLengths(
        prompt=prompt,
        video=int(counts.kept.max()),
        capacity=prompt + decode_room(config.sampling.max_new_tokens),
    )
    return inputs, counts.dropped.astype(np.int32), lengths


def input_arrays(row: Prepared) -> dict[str, np.ndarray]:
    """Returns what went into the model, by the names and in the order of transformers."""
    arrays: dict[str, Any] = {
        "input_ids": row.prompt.token_ids[None].astype(np.int32),
        "position_ids": row.prompt.positions[:, None].astype(np.int32),
        "next_position": np.int32(row.prompt.next_position),
    }
    kinds = [medium.kind for medium in row.prompt.media]
    for kind, values, grid in (
        ("video", "pixel_values_videos", "video_grid_thw"),
        ("image", "pixel_values", "image_grid_thw"),
    ):
        chosen = [p for p, k in zip(row.patches, kinds, strict=True) if k == kind]
        if chosen:
            arrays[values] = np.concatenate([p.values for p in chosen])
            arrays[grid] = np.array([p.grid for p in chosen], np.int32)
    videos = [clip for clip, kind in zip(row.clips, kinds, strict=True) if kind == "video"]
    if videos:
        arrays["second_per_grid_ts"] = np.array([second_per_grid(c) for c in videos], np.float32)
        arrays["frame_indices"] = videos[0].frame_indices
    for number, clip in enumerate(videos):
        arrays["frames" if number == 0 else f"frames_{number}"] = clip.frames
    return arrays


def _put_in_prompt(
    question: Question, wrapping: str, read: Media, config, tokenizer, tokens_per_second
) -> Prepared:
    media = [
        Medium("image", cut.grid)
        if clip.reader == "image"
        else Medium("video", cut.grid, second_per_grid(clip))
        for clip, cut in zip(read.clips, read.patches, strict=True)
    ]
    prompt = build_prompt(
        tokenizer,
        media,
        question.text,
        wrapping=wrapping.replace(QUESTION, question.wrapping),
        position_rule=config.model.position_rule,
        tokens_per_second=tokens_per_second,
    )
    return Prepared(question, read.clips, read.patches, prompt)


def _as_source(source: Any) -> Source:
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, bytes, os.PathLike)):
        path = os.fsdecode(source)
        return ImageFile(path) if path.lower().endswith(IMAGE_SUFFIXES) else VideoFile(path)
    if isinstance(source, tuple) and len(source) == 2 and isinstance(source[1], numbers.Real):
        return VideoArray(np.asarray(source[0]), float(source[1]))
    raise UserError(
        "expected a video as a path, (frames, fps), a list of these, or None, got "
        f"{type(source).__name__}"
    )


def _read(source: Source, config: RunConfig, preprocessing: Preprocessing) -> Clip:
    if isinstance(source, ImageFile):
        return read_image(source.path, preprocessing.image.limits)
    limits = preprocessing.video_limits(config.video)
    if isinstance(source, VideoArray):
        return clip_from_array(source.frames, source.fps, config.video, limits)
    segment = Segment(source.start, source.end)
    return read_video(source.path, config.video, limits, folder_fps=source.fps, segment=segment)


def _cut(clip: Clip, preprocessing: Preprocessing) -> Patches:
    kind = preprocessing.image if clip.reader == "image" else preprocessing.video
    return patchify(clip.frames, kind.normalization)


def _temporal_patches(rows: Sequence[Prepared], batch: PromptBatch) -> np.ndarray:
    """[B, M]: which temporal patch each video token belongs to, counted over all videos."""
    frames = np.zeros(batch.video_mask.shape, np.int32)
    for row, prepared in enumerate(rows):
        videos = [m for m in prepared.prompt.media if m.kind == "video"]
        sizes = [m.token_count // m.grid[0] for m in videos for _ in range(m.grid[0])]
        frames[row, : sum(sizes)] = [patch for patch, n in enumerate(sizes) for _ in range(n)]
    return frames


def _flat_media_slots(batch: PromptBatch) -> np.ndarray:
    rows = np.arange(len(batch.starts))[:, None] * batch.token_ids.shape[1]
    return (batch.media_slots + rows)[batch.media_mask].astype(np.int32)


def _hash(name: str) -> int:
    # What stands for a question is the same in a batch, alone, and on resuming.
    return zlib.crc32(name.encode(errors="surrogateescape"))
