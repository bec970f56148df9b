"""Reads what prompts share, a clip and what stands before it, and keeps what was read last."""

import collections
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vreason_jax.decoding import ladder
from vreason_jax.decoding.reading import TEXT, Piece, read_piece, resized, take_rows
from vreason_jax.decoding.state import device_bytes, place
from vreason_jax.engine.media import block_tokens
from vreason_jax.engine.rows import PromptRows
from vreason_jax.model.cache import KVCache
from vreason_jax.model.decoder import Decoder
from vreason_jax.questions import Prepared
from vreason_jax.runtime import memory

# Tokens of shared parts that a device reads at a time: a call costs more than reading a short one.
_TOKENS_AT_ONCE = 1024
KEPT = 4  # clips, where there is room
_PASSING = 2**29  # bytes, about, that programs need beside caches


# Prompts' media through the tower: embeddings [block_tokens(), D] in blocks, and each prompt's
# index of its media tokens' rows in all of them together.
Encode = Callable[[Sequence[Prepared]], tuple[list[jax.Array], list[np.ndarray]]]


class Source(NamedTuple):
    """A shared part that has been read: a row of a cache."""

    cache: KVCache
    row: int


class Prefixes:
    """The shared parts of prompts that were read last. All devices of `data` read together."""

    def __init__(
        self,
        decoder: Decoder,
        mesh: Mesh,
        encode: Encode,
        counts: dict[str, int],
    ):
        """`encode` sends the media of prompts through the vision tower; counts into `counts`."""
        self._decoder, self._config, self._mesh = decoder, decoder.config, mesh
        self._encode, self._counts = encode, counts
        self._kept: collections.OrderedDict[str, Source] = collections.OrderedDict()

    def capacity(self, names: Sequence[str | None], needed: int) -> int:
        """Returns the capacity to read a batch with: what is kept of it may have more slots.

        Up to twice as many: every step of an answer reads them all.
        """
        kept = [self._kept[name].cache.capacity for name in names if name in self._kept]
        return max([needed, *(capacity for capacity in kept if capacity <= 2 * needed)])

    def read(self, prepared: Sequence[Prepared], rows: PromptRows, capacity: int) -> KVCache:
        """Returns a new cache [B, ...] with the prompts in it, which are `rows` as well."""
        named = {row.prefix_name: row for row in prepared if row.prefix_name is not None}
        # What is new and alone is read in one go.
        whole = len(prepared) == 1 and not named.keys() & self._kept.keys() and bool(named)
        found = self._read(named, len(prepared), capacity, whole=whole)
        self._remember(found)
        cache = self._forked(prepared, found) if found else self.blank(len(prepared), capacity)
        for piece in () if whole else rows.rest_pieces():
            cache = self.read_piece(cache, rows, piece)
        return cache

    def _forked(self, rows: Sequence[Prepared], found: dict[str, Source]) -> KVCache:
        """A cache that begins with the shared parts of the rows."""
        sources = [found.get(row.prefix_name or "", next(iter(found.values()))) for row in rows]
        caches = list({id(source.cache): source.cache for source in sources}.values())
        first = np.cumsum([0, *(cache.last.keys.shape[0] for cache in caches)])
        number = {id(cache): n for n, cache in enumerate(caches)}
        index = np.array([first[number[id(s.cache)]] + s.row for s in sources], np.int32)
        if len(caches) == 1 and np.array_equal(index, np.arange(first[-1])):
            return copied(caches[0])
        return self.taken(caches, index)

    def blank(self, rows: int, capacity: int) -> KVCache:
        """Returns a cache of nothing."""
        dtype = self._decoder.embedding[...].dtype
        return place(KVCache.of(np.zeros, self._config, rows, capacity, dtype), self._mesh, rows)

    def read_piece(
        self, cache: KVCache, rows: PromptRows, piece: Piece, blocks: Sequence[jax.Array] = ()
    ) -> KVCache:
        """Returns the cache with one piece of the rows in it; donates the cache.

        `blocks` are those that the piece's media index counts in; without any it is text alone.
        """
        count, size = len(rows.prompts), block_tokens()
        used = np.unique(piece.media_index[piece.media_index != TEXT] // size)
        order = np.zeros(max(used, default=0) + 1, np.int32)
        order[used] = np.arange(len(used))
        index = piece.media_index
        index = np.where(index == TEXT, TEXT, order[index // size] * size + index % size)
        chosen = [blocks[n] for n in used]
        wanted = max(len(chosen), self.blocks_of(count, index.shape[1], media=bool(blocks)))
        chosen += [self.nothing] * (ladder.power_of_two(wanted) - len(chosen))
        piece = piece.replace(media_index=index.astype(np.int32))
        self._counts["prompt_slots"] += index.size
        piece, layout = place((piece, rows.layout()), self._mesh, count, heads=False)
        return read_piece(self._decoder, cache, piece, layout, tuple(chosen), mesh=self._mesh)

    def _read(
        self, named: dict[str, Prepared], rows: int, capacity: int, *, whole: bool
    ) -> dict[str, Source]:
        found = {name: self._kept.pop(name) for name in named if name in self._kept}
        found = self._with_capacity(found, capacity)
        missing = [name for name in named if name not in found]
        at_once = self.at_once(rows, capacity)
        for begin in range(0, len(missing), at_once):
            names = missing[begin : begin + at_once]
            cache = self._read_group([named[n] for n in names], at_once, capacity, whole)
            found |= {name: Source(cache, row) for row, name in enumerate(names)}
        return found

    def _read_group(
        self, prompts: list[Prepared], at_once: int, capacity: int, whole: bool
    ) -> KVCache:
        filled = [*prompts, *[prompts[-1]] * (at_once - len(prompts))]
        blocks, index = self._encode(prompts)
        index = [*index, *[index[-1]] * (at_once - len(prompts))]
        rows = PromptRows.of([prompt.prompt for prompt in filled])
        cache = self.blank(at_once, capacity)
        for piece in rows.shared_pieces(index, whole=whole):
            cache = self.read_piece(cache, rows, piece, blocks)
        self._counts["clip_prefill"] += len(prompts)
        self._counts["prompt_tokens"] += int(rows.shared[: len(prompts)].sum())
        return cache

    def at_once(self, rows: int, capacity: int) -> int:
        """Returns how many clips of a batch of `rows` are read together."""
        return clips_at_once(rows, capacity, self._mesh.shape["data"])

    def _with_capacity(self, found: dict[str, Source], capacity: int) -> dict[str, Source]:
        """The sources with caches of a capacity, each cache resized once."""
        made = {}
        for source in found.values():
            if source.cache.capacity != capacity and id(source.cache) not in made:
                made[id(source.cache)] = resized(source.cache, capacity, self._mesh)
        return {
            name: source._replace(cache=made.get(id(source.cache), source.cache))
            for name, source in found.items()
        }

    def make_room(self, prepared: Sequence[Prepared], capacity: int) -> None:
        """Frees what was read for other batches, the oldest first, where memory is short of it.

        Each clip is read into a cache, a batch into another, and a copy of that is answered in.
        Processes that share a model must all keep the same, whatever is free on each.
        """
        named, rows = {row.prefix_name for row in prepared}, len(prepared)
        others = [name for name in self._kept if name not in named]
        if not others or self._mesh.is_multi_process:
            return
        device, dtype = self._mesh.local_devices[0], self._decoder.embedding[...].dtype
        needed, at_once = _PASSING, self.at_once(rows, capacity)
        for count in (at_once * -(-len(named) // at_once), rows, rows):
            cache = KVCache.of(jax.ShapeDtypeStruct, self._config, count, capacity, dtype)
            needed += device_bytes(cache, self._mesh, count)
        for name in others:
            free = memory.free_bytes(device)
            if free is None or free >= needed:
                return
            del self._kept[name]

    def _remember(self, found: dict[str, Source]) -> None:
        self._kept |= found
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def taken(self, caches: list[KVCache], index: np.ndarray) -> KVCache:
        """Returns rows of several caches as one."""
        # So many caches are passed that few programs do.
        largest = -(-len(index) // caches[0].last.keys.shape[0]) + 1
        caches = caches + [caches[-1]] * (largest - len(caches))
        return take_rows(tuple(caches), place(index, self._mesh, len(index)), mesh=self._mesh)

    def blocks_of(self, rows: int, tokens: int, *, media: bool) -> int:
        """Returns how many blocks a piece of prompts with one clip each is given, or a text's."""
        return rows * (1 + -(-2 * tokens // block_tokens())) if media else 2

    @functools.cached_property
    def nothing(self) -> jax.Array:
        """A block of embeddings for pieces without media."""
        width = (1 + self._config.stacked) * self._config.width
        dtype = self._decoder.embedding[...].dtype
        whole = NamedSharding(self._mesh, PartitionSpec())
        return jax.device_put(np.zeros((block_tokens(), width), dtype), whole)


def clips_at_once(rows: int, capacity: int, devices: int) -> int:
    """Returns how many clips of a batch of `rows` are read together by so many devices of `data`.

    By what all batches share: one program for all groups.
    """
    fitting = max(1, 2 * _TOKENS_AT_ONCE // capacity)
    share = ladder.power_of_two(-(-rows // devices))
    return devices * min(share, 1 << (fitting.bit_length() - 1))


def copied(cache: KVCache) -> KVCache:
    """Returns a copy that may be donated: no program, and so no compilation."""
    return jax.tree.map(lambda a: jax.device_put(a, a.sharding, may_alias=False), cache)
