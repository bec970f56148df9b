"""`frames/`: the frames of each clip as the model saw them, small, side by side in one picture."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vreason_jax.evaluation.benchmarks.record import digest_of
from vreason_jax.json_files import parse_json
from vreason_jax.output.files import write_atomic
from vreason_jax.video.sampling import spread_indices

FOLDER = "frames"
_HEIGHT = 84  # pixels, at most
_MOST = 16  # frames of one picture
_QUALITY = 50  # of JPEG; smaller pictures are of the same
_LEAST = 24  # pixels of height that still show something
_FEW = 8  # frames that show more than twice as many tiny ones


def frames_path(folder: Path, clip: str) -> Path:
    """Returns the file of a clip's picture in a run's folder; `clip` is as `clip_name` has it."""
    return folder / FOLDER / f"{digest_of(clip, 12).hex()}.jpg"


def write_frames(path: Path, frames: np.ndarray, times: np.ndarray) -> None:
    """Writes frames uint8 [F, h, w, 3], shown at `times` [F] seconds, as one picture.

    Of many frames it has 16, both ends included.
    """
    chosen = spread_indices(len(frames), min(len(frames), _MOST))
    facts = {"times": [round(float(times[i]), 2) for i in chosen], "of": len(frames)}
    data = _jpeg(list(frames[chosen]), _HEIGHT, facts)
    write_atomic(path, lambda file: file.write(data))


def read_frames(folder: Path, clip: str, limit: int) -> tuple[bytes, dict[str, Any]] | None:
    """Returns a clip's JPEG of at most `limit` bytes, with its `times` and `of` how many frames.

    To be small it has fewer frames, then smaller ones. None where there is no such picture, or
    none so small.
    """
    try:
        data = frames_path(folder, clip).read_bytes()
        if len(data) > limit:
            data = _smaller(data, limit)
        facts = _facts(data)
    except (OSError, ArithmeticError, ValueError, LookupError, TypeError, SyntaxError):
        return None  # nobody but this program writes such a file, and the page can do without
    except Image.DecompressionBombError:
        return None
    return (data, facts) if len(data) <= limit else None


def _facts(data: bytes) -> dict[str, Any]:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
        facts = parse_json(picture.info["comment"])
    times = [float(time) for time in facts["times"]]
    if not times or not np.all(np.isfinite(times)):
        raise ValueError("a picture of no frames")
    return {"times": times, "of": int(facts["of"])}


def _smaller(data: bytes, limit: int) -> bytes:
    facts = _facts(data)
    with Image.open(io.BytesIO(data)) as picture:
        frames = np.split(np.asarray(picture.convert("RGB")), len(facts["times"]), axis=1)
    height, size = len(frames[0]), len(data)
    if size > 2 * limit and len(frames) > _FEW:
        frames, facts["times"], size = frames[::2], facts["times"][::2], size // 2
    while size > limit and height > _LEAST:
        height = max(_LEAST, int(0.9 * height * (limit / size) ** 0.6))
        data = _jpeg(frames, height, facts)
        size = len(data)
    return data


def _jpeg(frames: Sequence[np.ndarray], height: int, facts: dict[str, Any]) -> bytes:
    strip = Image.fromarray(np.concatenate(frames, axis=1))
    if strip.height > height:
        width = max(1, round(frames[0].shape[1] * height / strip.height))
        strip = strip.resize((width * len(frames), height), Image.Resampling.BOX)
    file = io.BytesIO()
    strip.save(file, "JPEG", quality=_QUALITY, optimize=True, comment=json.dumps(facts).encode())
    return file.getvalue()
