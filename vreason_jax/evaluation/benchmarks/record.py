"""One question of a benchmark, whatever format it came in."""

import dataclasses
import hashlib

CHOICE, NUMBER, REGRESSION, FREE = "multiple choice", "numerical", "regression", "free-form"
KINDS = (CHOICE, NUMBER, REGRESSION, FREE)  # Video-R1's problem_type


@dataclasses.dataclass(frozen=True)
class Record:
    """A question about a video, with its gold answer."""

    id: str  # unique within a benchmark: track or task, then the native id
    benchmark: str
    video: str  # path below the data folder; of `shapes`, the sample's name; "": none
    problem: str  # the question's words, without the options
    # "A. a cup", ...; empty where the answer is no letter, or the letters stand in the picture. Of
    # a free-form question: what a caption is judged by (TempCompass), `gold` being the letter.
    options: tuple[str, ...]
    gold: str  # a letter, or a number as the annotation writes it
    kind: str  # one of KINDS
    task: str  # what the benchmark groups its scores by
    subset: str = ""  # a second grouping: a track, a length, a discipline
    start: float | None = None  # seconds; the part of the video that is meant
    end: float | None = None
    folder_fps: float = 2.0  # frames a second, where the video is a folder of frames
    subtitles: str | None = None  # path of an .srt file below the data folder
    # The picture that the question speaks of is the video's last frame (VideoMMMU's Adaptation).
    picture_in_last_frame: bool = False


def clip_name(video: str, start: float | None = None, end: float | None = None) -> str:
    """Returns what questions about the same part of the same video have in common."""
    return video if start is None and end is None else f"{video}@{start}-{end}"


def digest_of(name: str, size: int) -> bytes:
    """Returns `size` bytes that stand for a name, the same on every machine and in every run."""
    # Undecodable bytes of a path are lone surrogates, which UTF-8 cannot hold.
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=size).digest()
