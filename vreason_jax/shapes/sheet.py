"""A contact sheet: every clip as a strip of one frame per second, under its question."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vreason_jax.errors import UserError
from vreason_jax.shapes.sample import Sample

SCALE = 1.5  # of the frames
GAP, MARGIN = 8, 28  # pixels
CAPTION = 66  # height of the two lines over a strip
SECONDS = 20  # height of the line under it
PAPER, INK, FAINT, GOOD = (250, 250, 248), (32, 33, 36), (128, 131, 138), (24, 128, 56)


def write_sheet(samples: Sequence[Sample], path: str | Path) -> None:
    """Draws the samples below each other into an image file.

    Raises UserError if there are no samples or the file cannot be written.
    """
    if not samples:
        raise UserError("contact sheet: expected at least one clip, got none")
    sheet = draw_sheet(samples)
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: the contact sheet cannot be written: {error}") from None


def draw_sheet(samples: Sequence[Sample]) -> Image.Image:
    """Returns the contact sheet as an image."""
    height, width = (round(side * SCALE) for side in samples[0].frames.shape[1:3])
    seconds = max(len(sample.frames) // 2 for sample in samples)
    block = CAPTION + height + SECONDS + MARGIN
    size = (2 * MARGIN + seconds * (width + GAP) - GAP, MARGIN + block * len(samples))
    sheet = Image.new("RGB", size, PAPER)
    for number, sample in enumerate(samples):
        top = MARGIN + number * block
        _draw_caption(ImageDraw.Draw(sheet), sample, top, size[0] - MARGIN)
        _draw_strip(sheet, sample, top + CAPTION, (width, height))
    return sheet


def _draw_caption(draw: ImageDraw.ImageDraw, sample: Sample, top: int, right: int) -> None:
    draw.text((MARGIN, top), sample.problem, INK, _font(22))
    label = (
        f"{sample.kind.replace('_', ' ')} · level {sample.level} · {sample.split} {sample.index}"
    )
    draw.text((right, top + 6), label, FAINT, _font(15), anchor="ra")
    left = MARGIN
    if not sample.options:
        draw.text((left, top + 33), f"Answer: {sample.answer}", GOOD, _font(17))
    for option in sample.options:
        correct = option.startswith(f"{sample.answer}.")
        draw.text((left, top + 33), option, GOOD if correct else FAINT, _font(17))
        right = left + round(draw.textlength(option, _font(17)))
        if correct:
            draw.rounded_rectangle((left - 7, top + 31, right + 6, top + 56), 6, outline=GOOD)
        left = right + 30


def _draw_strip(sheet: Image.Image, sample: Sample, top: int, size: tuple[int, int]) -> None:
    draw = ImageDraw.Draw(sheet)
    for second, frame in enumerate(sample.frames[::2]):
        left = MARGIN + second * (size[0] + GAP)
        picture = Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)
        sheet.paste(picture, (left, top), _rounded(size))
        middle = left + size[0] // 2, top + size[1] + 4
        draw.text(middle, f"{second}s", FAINT, _font(13), anchor="ma")


def _rounded(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), radius=6, fill=255)
    return mask


def _font(size: int):
    return ImageFont.load_default(size)
