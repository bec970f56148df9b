"""The geometry that most tests' models have, and how large frames become by it."""

from vreason_jax.geometry import Geometry
from vreason_jax.video.preprocessing import MediaForm, Preprocessing
from vreason_jax.video.resize import PixelLimits, Sizing

GEOMETRY = Geometry(patch_pixels=14, merge=2, temporal_patch=2)
WITHOUT_FILES = Preprocessing.without_files(GEOMETRY, MediaForm())
VIDEO_LIMITS, IMAGE_LIMITS = WITHOUT_FILES.video.limits, WITHOUT_FILES.image.limits


def sized(low: int, high: int) -> Sizing:
    """Returns the sizing of frames of `low` to `high` pixels."""
    return Sizing(GEOMETRY, PixelLimits(low, high))


def preprocessing(folder) -> Preprocessing:
    """Returns what a checkpoint folder says of its media."""
    return Preprocessing.read(folder, GEOMETRY, MediaForm())
