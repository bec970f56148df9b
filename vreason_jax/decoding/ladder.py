"""The few lengths that programs are compiled for.

Whatever the length of a prompt or of an answer, the cache has one of these capacities, and prompts
are read and answers written in pieces of fixed length. What is padding is masked, and changes no
answer.
"""

import jax

# Tokens decoded per call: enough that the call's own cost (about 1 ms) is lost in it, few enough
# to stream.
DECODE_CHUNK = 16
_STEP = 512  # slots between capacities
_WORTH_GROWING = 256  # shorter answers have all their room at once: growing compiles anew


def capacity(slots: int, rows: int) -> int:
    """Returns the smallest capacity on the ladder that holds `slots` slots for each of `rows` rows.

    Multiples of 512, above 4096 of an eighth of the power of two above: at most a quarter is spare
    beyond 2048. Accelerators copy lengths that are no multiples of 256 for every token into a
    padded buffer. A CPU does not, and there the slots of several short rows are most of what a
    token reads: up to 512 they have multiples of 128.
    """
    step = max(_STEP, 1 << max(0, (slots - 1).bit_length() - 3))
    if slots <= _STEP and rows > 1 and jax.default_backend() == "cpu":
        step = _STEP // 4
    return -(-slots // step) * step


def first_capacity(prompt: int, tokens: int, rows: int) -> int:
    """Returns the capacity to begin answers of at most `tokens` tokens with behind a prompt."""
    return capacity(prompt + first_room(prompt, tokens, rows), rows)


def pruned_capacity(read: int, kept: int, tokens: int, rows: int) -> int:
    """Returns the capacity to go on with where `kept` slots are left of caches of capacity `read`.

    That of `read` where a smaller one would spare little, for another one compiles anew.
    """
    needed = first_capacity(kept, tokens, rows)
    return read if 0 < read - needed < _STEP else needed


def steered(slots: int) -> int:
    """Returns the smallest length on the ladder of deltas that holds `slots` slots.

    Quarters of a power of two, 128 and more: a delta costs far more a slot than the cache does, in
    a small model as much as all the rest.
    """
    step = max(128, 1 << max(0, (slots - 1).bit_length() - 2))
    return -(-slots // step) * step


def power_of_two(count: int) -> int:
    """Returns the smallest power of two that is at least `count`."""
    return 1 << max(0, count - 1).bit_length()


def piece_lengths() -> tuple[int, ...]:
    """Returns the lengths of the pieces in which prompts are read, the longest first.

    Short pieces waste little at a prompt's end. But every call reads all weights: where that
    takes as long as computing hundreds of tokens, shorter ones would spare nothing.
    """
    return (256, 64) if jax.default_backend() == "cpu" else (1024, 256)


def read_pieces(tokens: int) -> list[int]:
    """Returns the lengths of the pieces in which `tokens` tokens are read, the last one padded."""
    return list(_pieces(tokens, piece_lengths()))


def _pieces(tokens: int, lengths: tuple[int, ...]) -> tuple[int, ...]:
    longest, *shorter = lengths
    whole, left = divmod(tokens, longest)
    if not (left and shorter):
        return (longest,) * -(-tokens // longest)
    end = _pieces(left, tuple(shorter))
    return (longest,) * whole + min(end, (longest,), key=_work)


def _work(pieces: tuple[int, ...]) -> int:
    """What reading pieces takes, in tokens: a call by itself about as long as half the shortest."""
    return sum(pieces) + piece_lengths()[-1] // 2 * len(pieces)


def decode_room(tokens: int) -> int:
    """Returns the cache slots that `tokens` generated tokens take, whole chunks of them."""
    return -(-tokens // DECODE_CHUNK) * DECODE_CHUNK


def first_room(prompt: int, tokens: int, rows: int) -> int:
    """Returns the cache slots to begin answers of at most `tokens` tokens with.

    Half of their room where that spares a quarter of the cache, which every step reads whole:
    most answers end well below their limit. The cache grows for the others, at the cost of
    compiling for another capacity.
    """
    whole, half = decode_room(tokens), decode_room(tokens // 2)
    spares = 4 * capacity(prompt + half, rows) <= 3 * capacity(prompt + whole, rows)
    return half if spares and whole >= _WORTH_GROWING else whole
