"""What the files of a checkpoint say of how its videos and images are prepared, read once."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError, shown
from vreason_jax.geometry import Geometry
from vreason_jax.json_files import read_json
from vreason_jax.video.patches import CLIP_NORMALIZATION, Normalization
from vreason_jax.video.resize import PixelLimits, Sizing
from vreason_jax.video.sampling import CLIP

LOW_KEYS, HIGH_KEYS = ("shortest_edge", "min_pixels"), ("longest_edge", "max_pixels")
SIZE_KEYS = {*LOW_KEYS, *HIGH_KEYS}
FRAME_SIZE = "frame_size"  # limits of a frame, where `size` is of a clip: an own key, of our files
MOST_PIXELS = 2**53
BICUBIC = 3  # PIL's and transformers' number for it


@dataclasses.dataclass(frozen=True)
class MediaForm:
    """What holds for the media of a model family where a checkpoint's files say nothing.

    Limits are the fewest and the most tokens of a frame, or of an image. Those for video are
    Video-R1's evaluation settings. The cap of qwen-vl-utils on the pixels of a whole video is not
    applied: at 256 tokens a frame it first bites beyond 900 frames.
    """

    normalization: Normalization = CLIP_NORMALIZATION
    video: tuple[int, int] = (128, 256)
    image: tuple[int, int] = (4, 16384)
    unnamed_image: tuple[int, int] = (4, 1280)  # where there is a file that names no limits
    clip: tuple[int, int] | None = None  # of all frames of a clip, where files limit those


@dataclasses.dataclass(frozen=True)
class Preparation:
    """How one kind of medium is resized and normalised."""

    limits: PixelLimits
    normalization: Normalization


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What holds for the videos and for the images of a checkpoint."""

    geometry: Geometry
    video: Preparation
    image: Preparation
    clip: PixelLimits | None = None  # of all frames of a clip together

    @classmethod
    def without_files(cls, geometry: Geometry, form: MediaForm) -> "Preprocessing":
        """Returns what holds for a checkpoint whose files say nothing."""
        video, image = (_pixels(limits, geometry) for limits in (form.video, form.image))
        video, image = (Preparation(limits, form.normalization) for limits in (video, image))
        clip = None if form.clip is None else _pixels(form.clip, geometry)
        return cls(geometry, video, image, clip)

    @classmethod
    def read(cls, folder: Path, geometry: Geometry, form: MediaForm) -> "Preprocessing":
        """Returns what a checkpoint folder says; raises UserError for what cannot be followed.

        Files that go first in transformers 5 go first here: a section of processor_config.json,
        then video_preprocessor_config.json (for videos), then preprocessor_config.json. Limits
        that are the published ones for images never count for video, wherever they stand: saving
        copies them from file to file. Where nothing else is named, the limits are the form's.
        """
        default = cls.without_files(geometry, form)
        nested = read_json(Path(folder) / "processor_config.json")
        image = _Section.find(folder, nested, "image_processor", "preprocessor_config.json")
        names = "video_preprocessor_config.json", "preprocessor_config.json"
        video = _Section.find(folder, nested, "video_processor", *names)
        for section in (image, video):
            section.check_supported(geometry)
        known = default.clip or default.video.limits
        named = video.limits(known)
        named = known if named == default.image.limits else named
        frame, clip = named, None
        if default.clip is not None:
            frame, clip = video.of_frames(default.video.limits), named
        unnamed = _pixels(form.unnamed_image, geometry) if image.values else default.image.limits
        return cls(
            geometry,
            video=Preparation(frame, video.normalization(form.normalization)),
            image=Preparation(image.limits(unnamed), image.normalization(form.normalization)),
            clip=clip,
        )

    @property
    def image_sizing(self) -> Sizing:
        """How large images become."""
        return Sizing(self.geometry, self.image.limits)

    def video_sizing(self, config: VideoConfig) -> Sizing:
        """Returns how large frames become; `config` goes before the checkpoint, bound by bound.

        Limits that files give for whole clips hold only where `config.sizing` asks for them.

        Raises UserError for limits that cross.
        """
        whole = config.sizing == CLIP
        own = self.clip if whole else self.video.limits
        if own is None:
            raise UserError(
                "video.sizing: expected frame, got clip; the files of this model limit frames"
            )
        low = own.min_pixels if config.min_pixels is None else config.min_pixels
        high = own.max_pixels if config.max_pixels is None else config.max_pixels
        if low > high:
            raise UserError(
                f"video.min_pixels, video.max_pixels: expected min <= max, got {low} > {high}; "
                "set both"
            )
        return Sizing(self.geometry, PixelLimits(low, high), whole)


@dataclasses.dataclass(frozen=True)
class _Section:
    """The settings of one processor, and where they stand."""

    values: dict[str, Any]
    source: str

    @classmethod
    def find(cls, folder: Path, nested: dict[str, Any], key: str, *names: str) -> "_Section":
        """Returns the section `key`, else the first of the files that is there, else an empty one.

        One of them holds all the settings: transformers never mixes two files.
        """
        section = cls(nested.get(key) or {}, f"{Path(folder) / 'processor_config.json'}: {key}")
        for name in names:
            if not section.values:
                section = cls(read_json(Path(folder) / name), str(Path(folder) / name))
        if not isinstance(section.values, dict):
            raise UserError(f"{section.source}: expected an object, got {shown(section.values)}")
        return section

    def check_supported(self, geometry: Geometry) -> None:
        """Raises UserError for settings under which transformers would give other patches."""
        for key, wanted in (
            ("do_resize", True),
            ("do_rescale", True),
            ("do_normalize", True),
            ("resample", BICUBIC),
            ("patch_size", geometry.patch_pixels),
            ("merge_size", geometry.merge),
            ("temporal_patch_size", geometry.temporal_patch),
        ):
            value = self.values.get(key)
            if value is not None and value != wanted:
                raise UserError(f"{self.source}: expected {key} {wanted}, got {shown(value)}")
        factor = self.values.get("rescale_factor", 1 / 255)
        if type(factor) not in (int, float) or not math.isclose(factor, 1 / 255, rel_tol=1e-6):
            raise UserError(f"{self.source}: expected rescale_factor 1/255, got {shown(factor)}")

    def limits(self, default: PixelLimits) -> PixelLimits:
        """Returns the limits of the section; those it leaves out are the default's, or give way."""
        size = self._size()
        # transformers lets the names at the top win; the oldest releases used them in `size` too.
        low = _first(self.values.get("min_pixels"), *map(size.get, LOW_KEYS))
        high = _first(self.values.get("max_pixels"), *map(size.get, HIGH_KEYS))
        for value in (low, high):
            if value is not None and not (type(value) in (int, float) and 1 <= value < MOST_PIXELS):
                raise UserError(
                    f"{self.source}: expected min_pixels and max_pixels of 1, 2, ..., "
                    f"got {shown(value)}"
                )
        low = min(default.min_pixels, high or default.min_pixels) if low is None else low
        high = max(default.max_pixels, low) if high is None else high
        if low > high:
            raise UserError(f"{self.source}: expected min_pixels <= max_pixels, got {low}, {high}")
        return PixelLimits(int(low), int(high))

    def of_frames(self, default: PixelLimits) -> PixelLimits:
        """Returns the limits of a frame of a file that also limits clips."""
        size = {"size": self.values.get(FRAME_SIZE)}
        return _Section(size, f"{self.source}: {FRAME_SIZE}").limits(default)

    def _size(self) -> dict[str, Any]:
        size = self.values.get("size") or {}
        named = (
            {key for key, v in size.items() if v is not None} if isinstance(size, dict) else {""}
        )
        if not named <= SIZE_KEYS:
            keys = ", ".join(sorted(SIZE_KEYS))
            raise UserError(f"{self.source}: expected a size of {keys}, got {shown(size)}")
        return size

    def normalization(self, default: Normalization) -> Normalization:
        """Returns the section's image_mean and image_std, the default's where it names none."""
        mean = self._colours("image_mean", default.mean)
        std = self._colours("image_std", default.std)
        if min(std) <= 0:
            raise UserError(f"{self.source}: expected image_std above 0, got {list(std)}")
        return Normalization(mean, std)

    def _colours(self, key: str, default: tuple) -> tuple[float, float, float]:
        value = self.values.get(key)
        if value is None:
            return default
        numbers = value if isinstance(value, list) else [value] * 3  # one number is for all three
        if len(numbers) != 3 or not all(
            type(n) in (int, float) and math.isfinite(n) for n in numbers
        ):
            raise UserError(f"{self.source}: expected three numbers for {key}, got {shown(value)}")
        red, green, blue = map(float, numbers)
        return red, green, blue


def _pixels(tokens: tuple[int, int], geometry: Geometry) -> PixelLimits:
    low, high = (count * geometry.token_pixels**2 for count in tokens)
    return PixelLimits(low, high)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
