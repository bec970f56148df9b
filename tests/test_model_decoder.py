"""The decoder's prompt and token paths, and the cache."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from small_model import WIDTH, by_slot, small_config, small_model

from vreason_jax.families.model import Model, random_model
from vreason_jax.model import attention
from vreason_jax.model.attention import Layout, causal_context
from vreason_jax.model.cache import KVCache, LayerCache, with_capacity, write_slot

LENGTH, CAPACITY = 10, 12
X = jnp.asarray(np.random.default_rng(0).standard_normal((2, LENGTH, WIDTH)), jnp.float32)
# Row 0 is whole; in row 1 slots 3 and 4 are padding.
LAYOUT = Layout(
    shared_end=jnp.array([5, 3]),
    rest_start=jnp.int32(5),
    rest_end=jnp.array([LENGTH, LENGTH]),
    answer_start=jnp.int32(LENGTH),
)


def rotation(first=0, count=LENGTH):
    positions = jnp.broadcast_to(jnp.arange(first, first + count), (3, 2, count))
    return small_model().decoder.rotation(positions, jnp.float32)


def empty(capacity=CAPACITY):
    config = small_config().text
    sizes = 2, config.kv_heads, capacity, config.head_width
    layer = LayerCache.of(jnp.zeros, *sizes, jnp.float32)
    return KVCache(body=(layer,) * (config.layers - 1), last=layer)


def read(x=X, pieces=(LENGTH,), capacity=CAPACITY):
    """The last layer's input [B, T, D], and the cache."""
    cache, outputs, start = empty(capacity), [], 0
    for length in pieces:
        turn = rotation(start, length)
        output, cache = READ(
            small_model().decoder, x[:, start : start + length], turn, cache, start, LAYOUT
        )
        outputs.append(output)
        start += length
    return jnp.concatenate(outputs, axis=1), cache


READ = jax.jit(lambda decoder, *args: decoder.read(*args))


def slots_of(cache):
    """Keys and values of every layer, [B, K, S, H]."""
    layers = (*cache.body, cache.last)
    return [a for layer in layers for a in (layer.keys.swapaxes(2, 3), layer.values)]


def real(values):
    """The numbers of real slots, on the axis behind the rows' (and the heads')."""
    values = np.asarray(values)
    at = np.array([[True] * LENGTH, [slot not in (3, 4) for slot in range(LENGTH)]])
    if values.ndim == 4:
        values = values[:, :, :LENGTH].swapaxes(1, 2)
    return values[at]


@pytest.mark.parametrize("pieces", [(5, 5), (1,) * LENGTH, (7, 3)])
def test_a_prompt_read_in_pieces_is_the_prompt_read_at_once(pieces):
    output, cache = read()
    got, parts = read(pieces=pieces)
    # float32: the same sums in another order.
    np.testing.assert_allclose(real(got), real(output), atol=2e-5)
    for a, b in zip(slots_of(parts), slots_of(cache), strict=True):
        np.testing.assert_allclose(real(a), real(b), atol=2e-5)


def test_keys_in_blocks_are_the_keys_at_once(monkeypatch):
    output, _ = read()
    monkeypatch.setattr(attention, "KEY_BLOCK", 4)
    READ.clear_cache()
    blocks, _ = read()
    READ.clear_cache()
    np.testing.assert_allclose(real(blocks), real(output), atol=2e-5)


def test_attention_is_the_softmax_over_the_visible_slots_up_to_ones_own():
    rng = np.random.default_rng(2)
    query = rng.standard_normal((2, 2, 3, 4, 8)).astype(np.float32)
    keys, values = (rng.standard_normal((2, 2, CAPACITY, 8)).astype(np.float32) for _ in "kv")
    got = causal_context(
        jnp.asarray(query), LayerCache(keys.swapaxes(2, 3), values), jnp.int32(6), LAYOUT
    )
    slots = np.arange(CAPACITY)
    visible = np.array([slots < 99, (slots < 3) | (slots >= 5)])
    seen = (slots <= np.arange(6, 10)[:, None])[None] & visible[:, None]
    scores = np.einsum("bkgth,bksh->bkgts", query, keys) * 8**-0.5
    scores = np.where(seen[:, None, None], scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    expected = np.einsum("bkgts,bksh->bkgth", weights, values)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_token_sees_nothing_after_it_and_no_padding():
    plain, _ = read()
    later, _ = read(X.at[:, 6:].add(1.0))
    np.testing.assert_array_equal(later[:, :3], plain[:, :3])
    np.testing.assert_array_equal(later[:, 5], plain[:, 5])
    padding, _ = read(X.at[1, 3:5].add(1.0))
    np.testing.assert_array_equal(real(padding), real(plain))
    chained, _ = read(X.at[:, 2].add(1.0))
    assert (np.abs(chained - plain)[:, 5:].max(axis=-1) > 1e-4).all()


def test_what_stands_behind_the_prompt_is_not_read():
    _, cache = read(pieces=(LENGTH,))
    noisy = by_slot(cache, lambda a: a.at[:, :, 5:].set(1e3))
    turn = rotation(5, 5)
    clean, _ = READ(small_model().decoder, X[:, 5:], turn, cache, 5, LAYOUT)
    again, _ = READ(small_model().decoder, X[:, 5:], turn, noisy, 5, LAYOUT)
    np.testing.assert_array_equal(clean, again)


def test_a_decode_step_equals_the_prompt_path():
    """The last prompt token, fed through body, last layer and head by way of the cache."""
    decoder = small_model().decoder
    output, whole = read()
    _, cache = read(X[:, :-1], (LENGTH - 1,))
    slots = jnp.arange(CAPACITY)
    mask = LAYOUT.visible(slots) & (slots < LENGTH - 1)[None]
    slot, turn = jnp.int32(LENGTH - 1), rotation(LENGTH - 1, 1)
    hidden, cache = decoder.body_step(X[:, -1:], turn, cache, slot, mask)
    np.testing.assert_allclose(hidden[:, 0], output[:, -1], atol=2e-5)
    weights, context, cache = decoder.last_step(hidden, turn, cache, slot, mask)
    assert (np.asarray(weights.sum(axis=-1)) < 1).all()  # the rest is the token's own
    query, _, _ = decoder.last.inputs(output[:, -1:], turn)
    expected = causal_context(query, whole.last, jnp.int32(LENGTH - 1), LAYOUT)
    np.testing.assert_allclose(context, expected, atol=2e-5)
    logits = decoder.last_logits(hidden, context)
    expected = decoder.logits(decoder.last.finish(output[:, -1:], expected))[:, 0]
    np.testing.assert_allclose(logits, expected, atol=5e-5)  # logits near 5, float32
    for ours, theirs in zip(slots_of(cache), slots_of(whole), strict=True):
        np.testing.assert_allclose(real(ours), real(theirs), atol=2e-5)
        np.testing.assert_array_equal(np.asarray(ours)[:, :, LENGTH:], 0)


def test_a_slot_is_written_and_no_other():
    rng = np.random.default_rng(1)
    keys, values = (jnp.asarray(rng.standard_normal((2, 2, 4, 8)), jnp.bfloat16) for _ in range(2))
    cache = with_capacity(LayerCache(keys=keys.swapaxes(2, 3), values=values), 7)
    assert cache.keys.shape == (2, 2, 8, 7) and cache.keys.dtype == jnp.bfloat16
    new = jnp.full((2, 2, 1, 8), 1.25, jnp.float32)
    written = write_slot(cache, new, 2 * new, jnp.int32(5), after=jnp.full((2, 2, 3, 1, 8), 1e30))
    assert isinstance(written, LayerCache) and written.keys.dtype == jnp.bfloat16
    keys_there = written.keys.swapaxes(2, 3)
    np.testing.assert_array_equal(keys_there[:, :, :4], keys)
    np.testing.assert_array_equal(written.values[:, :, :4], values)
    np.testing.assert_array_equal(keys_there[:, :, 5], 1.25)
    np.testing.assert_array_equal(written.values[:, :, 5], 2.5)
    for empty in (4, 6):
        np.testing.assert_array_equal(keys_there[:, :, empty], 0)


def test_a_tied_head_reads_the_embedding():
    model = small_model()
    graph, state = nnx.split(model.decoder)
    tied = nnx.merge(graph, state)
    tied.head = None
    h = X[:, 0]
    expected = tied.norm(h) @ model.decoder.embedding[...].T
    np.testing.assert_allclose(tied.logits(h), expected, atol=5e-5)
    assert np.abs(tied.logits(h) - model.decoder.logits(h)).max() > 0.1


def test_random_weights_are_of_the_stated_spread_and_repeat():
    model = random_model(small_config(), jnp.bfloat16, seed=3)
    assert isinstance(model, Model)
    flat = {jax.tree_util.keystr(p): a for p, a in jax.tree.leaves_with_path(nnx.state(model))}
    for name, leaf in flat.items():
        assert leaf.dtype == jnp.bfloat16
        if "norm" in name:
            np.testing.assert_array_equal(leaf, 1)
    embedding = np.asarray(model.decoder.embedding[...], np.float32)
    # 4,040 draws: the spread is known to 1 %, three times over.
    np.testing.assert_allclose(embedding.std(), 0.02, rtol=0.04)
    again = random_model(small_config(), jnp.bfloat16, seed=3).decoder.embedding[...]
    np.testing.assert_array_equal(embedding, np.asarray(again, np.float32))
