"""Which questions a copy of the model answers, in which order, and which are read together."""

import dataclasses
from collections.abc import Sequence
from typing import Generic, TypeVar

from vreason_jax.decoding import ladder
from vreason_jax.evaluation.benchmarks.record import Record, clip_name, digest_of

Group = Sequence[Record]  # the questions about one clip
Item = TypeVar("Item")
# Questions that wait for others of their shape hold their pixels; more than this are not let wait.
WAITING_BATCHES = 4


def clip_key(record: Record) -> str:
    """Returns what two questions about the same part of the same video have in common.

    Questions without a video have nothing in common.
    """
    return clip_name(record.video or record.id, record.start, record.end)


def replica_of(clip: str, replicas: int) -> int:
    """Returns the copy of the model, of `replicas`, that answers all questions about a clip.

    By a hash, so that it depends on nothing else in the set: not on its order, size or limit. Of
    the clip, not of the question: each is read by one copy, once.
    """
    return int.from_bytes(digest_of(clip, 8), "big") % replicas


def share_of(records: Sequence[Record], replica: int, replicas: int) -> list[list[Record]]:
    """Returns the questions of a copy of the model, a list for every clip, in first-seen order."""
    clips: dict[str, list[Record]] = {}
    for record in records:
        clips.setdefault(clip_key(record), []).append(record)
    return [group for clip, group in clips.items() if replica_of(clip, replicas) == replica]


def length_class(tokens: int) -> int:
    """Returns a number that clips share which are read in as many pieces: they waste little."""
    return len(ladder.read_pieces(tokens))


@dataclasses.dataclass
class Buckets(Generic[Item]):
    """Questions on their way into batches of one length class.

    What is a batch depends on the questions and their clips' grids alone, so that a run that was
    killed forms the batches again that an undisturbed one forms, and rounds as it does.
    """

    size: int  # questions a batch
    _waiting: dict[int, list[Item]] = dataclasses.field(default_factory=dict)

    def add(self, item: Item, length: int) -> list[Item]:
        """Takes a question in; returns the batch that is ready now, or []."""
        bucket = self._waiting.setdefault(length, [])
        bucket.append(item)
        if len(bucket) == self.size:
            return self._waiting.pop(length)
        if sum(map(len, self._waiting.values())) >= WAITING_BATCHES * self.size:
            return self._waiting.pop(next(iter(self._waiting)))  # the oldest
        return []

    def rest(self) -> list[list[Item]]:
        """Returns what is left, as batches of fewer questions."""
        batches, self._waiting = list(self._waiting.values()), {}
        return batches
