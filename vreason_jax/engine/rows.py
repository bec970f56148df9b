"""Prompts of unequal length as one batch: which cache slot each of their tokens goes to."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from vreason_jax.controller.prune import NO_VIDEO
from vreason_jax.decoding import ladder
from vreason_jax.decoding.reading import TEXT, Piece
from vreason_jax.model.attention import Layout
from vreason_jax.prompt.chat import TEXT_TOKEN, VIDEO_TOKEN, Prompt

SINKS = 4  # tokens at a prompt's beginning


@dataclasses.dataclass(frozen=True)
class PromptRows:
    """A batch of prompts, each without its last token, which the first step of decoding feeds.

    A row's shared part (up to the end of its last medium) begins at slot 0. The rests all begin at
    `rest_start`, behind the longest shared part, and answers at `answer_start`, behind the longest
    rest; what lies between is padding.
    """

    prompts: tuple[Prompt, ...]
    shared: np.ndarray  # int [B], tokens of the shared parts
    rests: np.ndarray  # int [B], tokens of the rests

    @classmethod
    def of(cls, prompts: Sequence[Prompt]) -> "PromptRows":
        """Returns the rows of prompts, each of which ends in text."""
        shared = np.array([prompt.shared_length for prompt in prompts])
        lengths = np.array([len(prompt.token_ids) for prompt in prompts])
        return cls(tuple(prompts), shared, lengths - shared - 1)

    @property
    def rest_start(self) -> int:
        """The slot of every rest's first token."""
        return int(self.shared.max())

    @property
    def answer_start(self) -> int:
        """The slot that the prompts' last tokens go to."""
        return self.rest_start + int(self.rests.max())

    @property
    def slots(self) -> int:
        """The slots that reading takes, what pads its last pieces included."""
        lengths = (self.rest_start, self.answer_start, self.answer_start - self.rest_start)
        shared, whole, rest = (sum(ladder.read_pieces(length)) for length in lengths)
        return max(shared, whole, self.rest_start + rest)

    def layout(self) -> Layout:
        """Returns where the prompts stand."""
        return Layout(
            shared_end=self.shared.astype(np.int32),
            rest_start=np.array(self.rest_start, np.int32),
            rest_end=(self.rest_start + self.rests).astype(np.int32),
            answer_start=np.array(self.answer_start, np.int32),
        )

    def shared_pieces(self, media: Sequence[np.ndarray], *, whole: bool = False) -> Iterator[Piece]:
        """Yields the pieces of the shared parts; `media` has each row's index of media tokens.

        With `whole`, of a single row, those of its rest too, which stands right behind: fewer.
        """
        start, begins = 0, np.zeros_like(self.shared)
        ends = self.shared + self.rests if whole else self.shared
        for length in ladder.read_pieces(int(ends.max())):
            yield self._piece(start, length, begins, ends, start, media)
            start += length

    def rest_pieces(self) -> Iterator[Piece]:
        """Yields the pieces of the rests."""
        first = 0
        for length in ladder.read_pieces(int(self.rests.max())):
            slot = self.rest_start + first
            yield self._piece(first, length, self.shared, self.shared + self.rests, slot, None)
            first += length

    def frame_of_slot(self, slots: int) -> np.ndarray:
        """Returns int [B, slots]: the temporal patch of each video token, else NO_VIDEO.

        Patches are counted over all videos of a row.
        """
        frames = np.full((len(self.prompts), slots), NO_VIDEO)
        for row, prompt in zip(frames, self.prompts, strict=True):
            videos = [m for m in prompt.media if m.kind == "video"]
            sizes = [m.token_count // m.grid[0] for m in videos for _ in range(m.grid[0])]
            at = np.flatnonzero(prompt.token_types == VIDEO_TOKEN)
            row[at] = np.repeat(np.arange(len(sizes)), sizes)
        return frames

    def marked(self, tokens: str, slots: int) -> np.ndarray:
        """Returns bool [B, slots]: where tokens of the prompts stand that a placement steers.

        `video`; `question`, the user's words; `prompt`, all but its first tokens, which many heads
        attend to whatever they are (Xiao et al. 2024, "attention sinks"); else all of them.
        """
        real = self.real(slots)
        match tokens:
            case "question":
                first, end = np.array([prompt.words for prompt in self.prompts]).T[..., None]
                place = np.cumsum(real, axis=1) - 1
                return real & (place >= first) & (place < end)
            case "prompt":
                return real & (np.cumsum(real, axis=1) > SINKS)
            case "video":
                return self.frame_of_slot(slots) != NO_VIDEO
            case _:
                return real

    def real(self, slots: int) -> np.ndarray:
        """Returns bool [B, slots]: where prompts stand, with their last tokens."""
        at = np.arange(slots)[None]
        rest = (at >= self.rest_start) & (at < self.rest_start + self.rests[:, None])
        return (at < self.shared[:, None]) | rest | (at == self.answer_start)

    def seen(self, vocabulary: int) -> np.ndarray:
        """Returns bool [B, vocabulary]: the ids that each prompt holds."""
        seen = np.zeros((len(self.prompts), vocabulary), bool)
        for row, prompt in zip(seen, self.prompts, strict=True):
            row[prompt.token_ids] = True
        return seen

    def _piece(self, first, length, begins, ends, slot, media) -> Piece:
        """Tokens `begins + first` and on of every row, `length` of them, up to `ends`."""
        rows = len(self.prompts)
        ids, index = np.zeros((rows, length), np.int32), np.full((rows, length), TEXT, np.int32)
        positions = np.zeros((rows, 3, length), np.int32)
        for row, (prompt, begin, end) in enumerate(zip(self.prompts, begins, ends, strict=True)):
            part = slice(begin + first, min(begin + first + length, end))
            count = max(0, part.stop - part.start)
            ids[row, :count] = prompt.token_ids[part]
            positions[row, :, :count] = prompt.positions[:, part]
            if media is not None:
                chosen = np.flatnonzero(prompt.token_types[part] != TEXT_TOKEN)
                before = np.count_nonzero(prompt.token_types[: part.start] != TEXT_TOKEN)
                index[row, chosen] = media[row][before : before + len(chosen)]
        return Piece(ids, positions, index, np.int32(slot))
