"""The ladder of lengths: what it holds, and how little it wastes."""

from unittest import mock

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.decoding import ladder

COUNTS = st.integers(1, 200_000)
ROWS = st.integers(1, 64)


@given(COUNTS, ROWS)
def test_a_capacity_holds_its_slots_is_its_own_and_no_odd_number(slots, rows):
    capacity = ladder.capacity(slots, rows)
    assert capacity >= slots and capacity % (128 if slots <= 512 and rows > 1 else 512) == 0
    assert ladder.capacity(capacity, rows) == capacity
    assert ladder.capacity(slots + 1, rows) >= capacity
    if slots > 2048:
        assert capacity <= 1.25 * slots


@given(COUNTS)
def test_an_accelerator_has_no_capacity_that_it_would_pad(slots):
    with mock.patch.object(jax, "default_backend", lambda: "tpu"):
        assert ladder.capacity(slots, 8) % 512 == 0


@given(COUNTS, COUNTS, ROWS)
def test_a_pruned_cache_is_as_long_as_it_was_or_much_shorter(slots, kept, rows):
    read = ladder.capacity(slots, rows)
    pruned = ladder.pruned_capacity(read, kept, 16, rows)
    assert pruned >= kept + 16
    assert pruned == read or pruned == ladder.capacity(kept + 16, rows)
    assert not 0 < read - pruned < 512


@given(COUNTS)
def test_a_delta_has_room_for_its_slots_and_little_more(slots):
    length = ladder.steered(slots)
    assert slots <= length <= max(128, 1.5 * slots + 1) and length % 128 == 0


@pytest.mark.parametrize(("rows", "most"), [(1, 22), (8, 25)])
def test_there_are_few_capacities(rows, most):
    assert len({ladder.capacity(slots, rows) for slots in range(1, 32_769)}) <= most


@given(COUNTS)
def test_pieces_hold_a_prompt_in_few_calls_and_little_more_work(tokens):
    pieces, lengths = ladder.read_pieces(tokens), ladder.piece_lengths()
    assert set(pieces) <= set(lengths) and pieces == sorted(pieces, reverse=True)
    assert 0 <= sum(pieces) - tokens < lengths[0] // 2
    shortest = lengths[-1]
    alone = -(-tokens // shortest) * (shortest + shortest // 2)  # in shortest pieces
    assert sum(pieces) + shortest // 2 * len(pieces) <= alone
    assert len(pieces) <= tokens // lengths[0] + 3


@pytest.mark.parametrize(
    ("tokens", "pieces"),
    [(0, []), (33, [64]), (96, [64] * 2), (192, [64] * 3), (193, [256]), (260, [256, 64])],
)
def test_examples_of_pieces(tokens, pieces):
    assert ladder.read_pieces(tokens) == pieces


@given(COUNTS)
def test_a_power_of_two_is_the_next(count):
    power = ladder.power_of_two(count)
    assert power >= count > power // 2 and power & (power - 1) == 0


@given(st.integers(0, 20_000), st.integers(1, 8_000), ROWS)
def test_answers_begin_with_whole_chunks_and_half_their_room_only_where_a_quarter_is_spared(
    prompt, tokens, rows
):
    first, whole = ladder.first_room(prompt, tokens, rows), ladder.decode_room(tokens)
    assert first % ladder.DECODE_CHUNK == 0 and whole - tokens < ladder.DECODE_CHUNK
    if first != whole:
        assert 2 * first <= whole + ladder.DECODE_CHUNK
        capacities = (ladder.capacity(prompt + room, rows) for room in (first, whole))
        spared = 1 - next(capacities) / next(capacities)
        assert spared >= 0.25


@pytest.mark.parametrize(("prompt", "tokens", "room"), [(175, 640, 320), (2000, 320, 320)])
def test_examples_of_first_rooms(prompt, tokens, room):
    assert ladder.first_room(prompt, tokens, 1) == room
