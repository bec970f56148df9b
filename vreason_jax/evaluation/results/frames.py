"""`frames/`: the frames of each clip as the model saw them, small, side by side in one picture."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vreason_jax.output.files import write_atomic
from vreason_jax.video.sampling import spread_indices

FOLDER = "frames"
_HEIGHT = 84  # pixels, at most
_MOST = 16  # frames of one picture
_QUALITY = 50  # of JPEG; smaller pictures are of the same
_LEAST = 24  # pixels of height that still show something


def frames_path(folder: Path, clip: str) -> Path:
    """Returns the file of a clip's picture in a run's folder; `clip` is as `clip_name` has it."""
    digest = hashlib.blake2b(clip.encode(errors="surrogateescape"), digest_size=12).hexdigest()
    return folder / FOLDER / f"{digest}.jpg"


def write_frames(path: Path, frames: np.ndarray, times: np.ndarray) -> None:
    """Writes frames uint8 [F, h, w, 3], shown at `times` [F] seconds, as one picture.

    Of many frames it has 16, both ends included.
    """
    chosen = spread_indices(len(frames), min(len(frames), _MOST))
    facts = {"times": [round(float(times[i]), 2) for i in chosen], "of": len(frames)}
    strip = Image.fromarray(np.concatenate(list(frames[chosen]), axis=1))
    data = _jpeg(strip, len(chosen), _HEIGHT, facts)
    write_atomic(path, lambda file: file.write(data))


def read_frames(folder: Path, clip: str, limit: int) -> tuple[bytes, dict[str, Any]] | None:
    """Returns a clip's JPEG of at most `limit` bytes, with its `times` and `of` how many frames.

    None where there is no such picture, or none so small.
    """
    try:
        data = frames_path(folder, clip).read_bytes()
        with Image.open(io.BytesIO(data)) as picture:
            facts = json.loads(picture.info["comment"])
            count, height = len(facts["times"]), picture.height
            while len(data) > limit and height > _LEAST:
                height = max(_LEAST, int(height * 0.95 * min(0.9, (limit / len(data)) ** 0.5)))
                data = _jpeg(picture.convert("RGB"), count, height, facts)
    except (OSError, ValueError, KeyError, TypeError, Image.DecompressionBombError):
        return None
    return (data, facts) if len(data) <= limit else None


def _jpeg(picture: Image.Image, count: int, height: int, facts: dict[str, Any]) -> bytes:
    if picture.height > height:
        width = max(1, round(picture.width / count * height / picture.height))
        picture = picture.resize((width * count, height), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, optimize=True, comment=json.dumps(facts).encode())
    return file.getvalue()
