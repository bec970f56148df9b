"""The inputs of the goldens: made from a seed with NumPy alone, so that files hold only outputs.

A case is a batch of prompts. Each prompt is a row of parts: a whole number stands for so many
text tokens, a `Video` or an `Image` for its placeholder tokens between the two vision marks.
"""

import dataclasses
import zlib

import numpy as np
import tiny_vocabulary

CHECKPOINT_SEED = 1  # no near-ties among the best two logits, and alpha takes both signs
TOKENS_PER_SECOND = 2
RULES = ("max", "hf5")
PATCH_VALUES = 3 * 2 * 14 * 14


@dataclasses.dataclass(frozen=True)
class Video:
    """A video by its grid (t, h, w) in patches and the seconds that one step of t lasts."""

    grid: tuple[int, int, int]
    second_per_grid: float = 1.0


@dataclasses.dataclass(frozen=True)
class Image:
    """An image by its grid (1, h, w) in patches."""

    grid: tuple[int, int, int]


Part = int | Video | Image

# Under hf5 and max the text after these videos stands at different positions, but for
# `image_and_video`, where the two rules agree.
ROWS: dict[str, tuple[tuple[Part, ...], ...]] = {
    # Windows of 4x4, 4x2, 1x4 and 1x2 units in each of three temporal patches.
    "video": ((6, Video((3, 10, 12), 1.7), 9),),
    "two_videos": ((4, Video((4, 4, 6), 1.2), 3, Video((2, 10, 4), 2.5), 6),),
    "padded_batch": ((5, Video((3, 6, 4), 1.0), 7), (8,), (2, Video((2, 4, 6), 2.0), 5)),
    "image": ((4, Image((1, 10, 6)), 7),),
    "text": ((14,),),
    "image_and_video": ((3, Image((1, 4, 6)), 2, Video((2, 6, 4), 0.5), 6),),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One batch of prompts, left-padded, with the patches of its media in prompt order.

    token_ids, attention_mask: int32 [B, S]. pixel_values_videos, pixel_values: float32 [P, 1176]
    or None. video_grids, image_grids: int32 [n, 3]. second_per_grid: float32 [videos].
    """

    name: str
    rows: tuple[tuple[Part, ...], ...]
    token_ids: np.ndarray
    attention_mask: np.ndarray
    pixel_values_videos: np.ndarray | None
    pixel_values: np.ndarray | None
    video_grids: np.ndarray
    image_grids: np.ndarray
    second_per_grid: np.ndarray

    def positions(self, rule: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns positions int32 [3, B, S] (0 at padding) and the next position int32 [B]."""
        length = self.token_ids.shape[1]
        positions = np.zeros((3, len(self.rows), length), np.int32)
        next_positions = np.zeros(len(self.rows), np.int32)
        for number, row in enumerate(self.rows):
            columns, next_positions[number] = row_positions(row, rule)
            positions[:, number, length - columns.shape[1] :] = columns
        return positions, next_positions


def make_case(name: str) -> Case:
    """Returns the case of that name in ROWS."""
    rows = ROWS[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    prompts = [_row_tokens(row, rng) for row in rows]
    length = max(map(len, prompts))
    padding = tiny_vocabulary.added_token_ids()["<|endoftext|>"]
    token_ids = np.full((len(rows), length), padding, np.int32)
    attention_mask = np.zeros((len(rows), length), np.int32)
    for number, prompt in enumerate(prompts):
        token_ids[number, length - len(prompt) :] = prompt
        attention_mask[number, length - len(prompt) :] = 1
    videos = [part for row in rows for part in row if isinstance(part, Video)]
    images = [part for row in rows for part in row if isinstance(part, Image)]
    return Case(
        name=name,
        rows=rows,
        token_ids=token_ids,
        attention_mask=attention_mask,
        pixel_values_videos=_pixels(videos, rng),
        pixel_values=_pixels(images, rng),
        video_grids=np.array([video.grid for video in videos], np.int32).reshape(-1, 3),
        image_grids=np.array([image.grid for image in images], np.int32).reshape(-1, 3),
        second_per_grid=np.array([video.second_per_grid for video in videos], np.float32),
    )


def row_positions(row: tuple[Part, ...], rule: str) -> tuple[np.ndarray, int]:
    """Returns positions int32 [3, S] of one prompt and the position of the first answer token.

    `max`: text goes on after the largest position of a medium. `hf5` (transformers 5.23): it goes
    on after the larger side of the grid, however long the video lasts.
    """
    columns: list[tuple[int, int, int]] = []
    start = 0
    for part in row:
        if isinstance(part, int):
            columns += [(start + i,) * 3 for i in range(part)]
            start += part
            continue
        columns.append((start,) * 3)  # the mark before the medium
        start += 1
        inside = [(start + t, start + y, start + x) for t, y, x in _medium_steps(part)]
        columns += inside
        side = max(part.grid[1], part.grid[2]) // 2
        start = max(map(max, inside)) + 1 if rule == "max" else start + side
        columns.append((start,) * 3)  # and the one after it
        start += 1
    return np.array(columns, np.int32).T, max(map(max, columns)) + 1


def words(parts: tuple[Part, ...], length: int) -> tuple[int, int]:
    """Returns where the user's words stand in a prompt: inside the text that ends it."""
    assert isinstance(parts[-1], int)
    return length - parts[-1] + 1, length - 2


def _medium_steps(part: Video | Image) -> list[tuple[int, int, int]]:
    """(t, y, x) of each merged token, relative to the medium's start."""
    frames, height, width = part.grid[0], part.grid[1] // 2, part.grid[2] // 2
    interval = np.float32(1)
    if isinstance(part, Video):
        interval = np.float32(TOKENS_PER_SECOND) * np.float32(part.second_per_grid)
    times = [int(np.float32(frame) * interval) for frame in range(frames)]
    return [(t, y, x) for t in times for y in range(height) for x in range(width)]


def _row_tokens(row: tuple[Part, ...], rng: np.random.Generator) -> list[int]:
    ids = tiny_vocabulary.added_token_ids()
    tokens: list[int] = []
    for part in row:
        if isinstance(part, int):
            words = len(tiny_vocabulary.base_vocabulary())
            tokens += rng.integers(0, words, part).tolist()
            continue
        pad = ids["<|video_pad|>" if isinstance(part, Video) else "<|image_pad|>"]
        count = int(np.prod(part.grid)) // 4
        tokens += [ids["<|vision_start|>"], *[pad] * count, ids["<|vision_end|>"]]
    return tokens


def _pixels(media: list, rng: np.random.Generator) -> np.ndarray | None:
    """Normalised values such as patchify makes; an image's two frames are alike."""
    if not media:
        return None
    values = []
    for part in media:
        patches = rng.normal(0.0, 1.0, (int(np.prod(part.grid)), 3, 2, 14, 14))
        if isinstance(part, Image):
            patches[:, :, 1] = patches[:, :, 0]
        values.append(patches.reshape(-1, PATCH_VALUES))
    return np.concatenate(values).astype(np.float32)
