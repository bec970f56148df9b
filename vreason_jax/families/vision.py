"""The facts of a vision tower, read from config.json: what the families' towers share."""

from vreason_jax.errors import UserError, shown
from vreason_jax.families.values import Lookup
from vreason_jax.geometry import CHANNELS, Geometry
from vreason_jax.model.config import TextConfig, VisionConfig


def read_geometry(vision: Lookup) -> Geometry:
    """Returns how frames are cut; raises UserError for frames of other than three channels."""
    channels = vision.count("in_channels", default=CHANNELS)
    require(channels == CHANNELS, f"in_channels {CHANNELS}", channels)
    return Geometry(
        patch_pixels=vision.count("patch_size"),
        merge=vision.count("spatial_merge_size"),
        temporal_patch=vision.count("temporal_patch_size"),
    )


def check_fit(text: TextConfig, vision: VisionConfig) -> None:
    """Raises UserError for sizes that contradict each other, which no tensor's shape would show."""
    require(vision.out_width == text.width, f"out_hidden_size {text.width}", vision.out_width)
    require(vision.width % (4 * vision.heads) == 0, "a vision width of 4 n heads", vision.width)


def require(fits: bool, expected: str, came: object) -> None:
    """Raises UserError, which says what was expected and what came, where it does not fit."""
    if not fits:
        raise UserError(f"expected {expected}, got {shown(came)}")
