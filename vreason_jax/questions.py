"""What a user asks about: media and words, first as given, then as read and put in a prompt."""

import dataclasses
import functools
import hashlib
import numbers
import os
from typing import Any

import numpy as np

from vreason_jax.errors import UserError
from vreason_jax.prompt.chat import QUESTION, Prompt
from vreason_jax.settings import convert
from vreason_jax.video.images import IMAGE_SUFFIXES
from vreason_jax.video.patches import Patches
from vreason_jax.video.reader import Clip


@dataclasses.dataclass(frozen=True)
class VideoFile:
    """A video file, or a folder of frames at `fps` frames a second.

    `start` and `end`, in seconds, name the part that is meant; left out, it is the whole video.
    """

    path: str
    fps: float = 2.0
    start: float | None = None
    end: float | None = None

    def __post_init__(self):
        if not self.path:  # which would be the working folder
            raise UserError("video: expected the path of a file or a folder, got empty text")


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

    `wrapping` is what the asker puts around the user's words, where it says {question}. `name`
    stands for the question where chance is drawn; left out, its words do.
    """

    media: tuple[Source, ...]
    text: str
    wrapping: str = QUESTION
    name: str | None = None


@dataclasses.dataclass(frozen=True)
class Media:
    """A question's media, read and cut into patches; several questions may share them."""

    clips: tuple[Clip, ...]
    patches: tuple[Patches, ...]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A question with its media read and its prompt built; all of it NumPy."""

    question: Question
    media: Media
    prompt: Prompt

    @property
    def video_tokens(self) -> int:
        """How many tokens of the prompt stand for video."""
        return sum(m.token_count for m in self.prompt.media if m.kind == "video")

    @property
    def name(self) -> str:
        """What chance is drawn by."""
        return self.question.text if self.question.name is None else self.question.name

    @functools.cached_property
    def prefix_name(self) -> str | None:
        """A digest of what is shared with other questions about the same media; None without any.

        Of the pixels and of the prompt's ids and positions up to the end of the last medium.
        """
        length = self.prompt.shared_length
        if not length:
            return None
        digest = hashlib.blake2b(digest_size=16)
        for array in (
            self.prompt.token_ids[:length],
            self.prompt.positions[:, :length],
            *(patches.values for patches in self.media.patches),
        ):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


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


def _stacked(frames: Any) -> np.ndarray:
    try:
        return np.asarray(frames)
    except ValueError:  # frames of several sizes
        raise UserError(
            "expected frames of one size, uint8 [F, h, w, 3], got a list of several; resize them, "
            "or ask about each as a video of its own"
        ) from None


def _as_source(source: Any) -> Source:
    if isinstance(source, (str, bytes, os.PathLike)):
        path = os.fsdecode(source)
        return ImageFile(path) if path.lower().endswith(IMAGE_SUFFIXES) else VideoFile(path)
    rate = source[1] if isinstance(source, tuple) and len(source) == 2 else None
    if isinstance(rate, numbers.Real | np.ndarray):
        source = VideoArray(*source)
    if isinstance(source, VideoArray):
        return VideoArray(_stacked(source.frames), convert("fps", source.fps, float))
    if isinstance(source, (VideoFile, ImageFile)):
        kinds = {"path": str, "fps": float, "start": float | None, "end": float | None}
        fields = dataclasses.asdict(source).items()
        return type(source)(**{key: convert(key, value, kinds[key]) for key, value in fields})
    raise UserError(
        "expected a video as a path, (frames, fps), a list of these, or None, got "
        f"{type(source).__name__}"
    )
