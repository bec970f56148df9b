"""Stored pixels -> RGB as a viewer shows them: turned upright, scaled to 8 bits, without alpha."""

import numpy as np
from PIL import Image, ImageOps

WHITE = 255
_TRANSPARENT_MODES = ("RGBA", "LA", "PA", "La", "RGBa")


def to_rgb(image: Image.Image) -> Image.Image:
    """Returns an image in RGB: upright by its EXIF, what is transparent on white.

    Integers of more than 8 bits keep their high ones: 16-bit grey is divided by 257. Floats count
    from 0 to 1, 255 or 65535, the smallest of these ranges that holds them. Colour profiles are not
    applied. White is also what qwen-vl-utils puts behind RGBA.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        values, clear = np.asarray(image), image.info.get("transparency")
        image = Image.fromarray(_eight_bits(values))
        if isinstance(clear, int):  # a PNG names the grey that is transparent
            image.putalpha(Image.fromarray(np.where(values == clear, 0, WHITE).astype(np.uint8)))
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        return Image.fromarray(on_white(np.asarray(image.convert("RGBA"))))
    return image.convert("RGB")


def on_white(pixels: np.ndarray) -> np.ndarray:
    """Returns RGBA uint8 [h,w,4], alpha straight, as RGB uint8 [h,w,3] over white."""
    alpha = pixels[..., 3:].astype(np.uint16)
    over = pixels[..., :3] * alpha + WHITE * (255 - alpha)
    return ((over + 127) // 255).astype(np.uint8)


def turned(pixels: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Returns frames [h,w,3] as the display matrix (a, b, c, d) of ISO 14496-12 shows them.

    It sends (x, y) to (ax + cy, bx + dy). Of turns and flips the nearest of the eight that keep
    pixels whole is taken.
    """
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        right, down = a, d
    else:
        pixels, right, down = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]


def _eight_bits(values: np.ndarray) -> np.ndarray:
    ranges = (1, 255, 65535) if values.dtype.kind == "f" else (65535, 2**31 - 1)
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    most = values.max(initial=0.0)
    full = next((limit for limit in ranges if most <= limit), most)
    return np.clip(np.rint(values * (255 / full)), 0, 255).astype(np.uint8)
