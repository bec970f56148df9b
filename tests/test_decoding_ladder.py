"""The ladder of lengths: what it holds, and how little it wastes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.decoding import ladder

COUNTS = st.integers(1, 200_000)


@given(COUNTS)
def test_a_capacity_holds_its_slots_is_its_own_and_no_odd_number(slots):
    capacity = ladder.capacity(slots)
    assert capacity >= slots and capacity % 256 == 0
    assert ladder.capacity(capacity) == capacity
    assert ladder.capacity(slots + 1) >= capacity
    if slots > 2048:
        assert capacity <= 1.25 * slots


@given(COUNTS)
def test_a_delta_has_room_for_its_slots_and_little_more(slots):
    length = ladder.steered(slots)
    assert slots <= length <= max(128, 1.5 * slots + 1) and length % 128 == 0


def test_there_are_few_capacities():
    assert len({ladder.capacity(slots) for slots in range(1, 32_769)}) <= 22


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


@given(st.integers(0, 20_000), st.integers(1, 8_000))
def test_answers_begin_with_whole_chunks_and_half_their_room_only_where_a_quarter_is_spared(
    prompt, tokens
):
    first, whole = ladder.first_room(prompt, tokens), ladder.decode_room(tokens)
    assert first % ladder.DECODE_CHUNK == 0 and whole - tokens < ladder.DECODE_CHUNK
    if first != whole:
        assert 2 * first <= whole + ladder.DECODE_CHUNK
        spared = 1 - ladder.capacity(prompt + first) / ladder.capacity(prompt + whole)
        assert spared >= 0.25


@pytest.mark.parametrize(("prompt", "tokens", "room"), [(175, 640, 320), (2000, 320, 320)])
def test_examples_of_first_rooms(prompt, tokens, room):
    assert ladder.first_room(prompt, tokens) == room
