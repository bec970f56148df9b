"""The decoder's prompt and token paths, the cache, and the splice of video embeddings."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from small_model import WIDTH, quick_compiles, small_config, small_model

from vreason_jax.model import decoder as decoder_module
from vreason_jax.model.cache import KVCache, LayerCache, with_capacity, write_slot
from vreason_jax.model.qwen25_vl import Qwen25VL, random_model

LENGTH = 10
X = jnp.asarray(np.random.default_rng(0).standard_normal((2, LENGTH, WIDTH)), jnp.float32)
STARTS = jnp.array([0, 3])


def rotation(first=0, count=LENGTH):
    positions = jnp.broadcast_to(jnp.arange(first, first + count), (3, 2, count))
    return small_model().decoder.rotation(positions, jnp.float32)


def prompt_layers(x=X):
    """Compiled anew at every block size: that is no argument but a constant of the module."""
    program = _compiled(decoder_module.QUERY_BLOCK)
    with quick_compiles():
        return program(small_model().decoder, x, rotation(), STARTS)


@functools.cache
def _compiled(block):
    return jax.jit(lambda decoder, *args: decoder.prompt_layers(*args))


def test_attention_in_blocks_equals_attention_at_once(monkeypatch):
    whole = prompt_layers()
    for block in (3, 4):
        monkeypatch.setattr(decoder_module, "QUERY_BLOCK", block)
        for expected, got in zip(whole, prompt_layers(), strict=True):
            for a, b in zip(expected, got, strict=True):
                # Row 1 begins at slot 3; what stands before is padding that nothing reads.
                np.testing.assert_allclose(b[0], a[0], atol=2e-5)
                axis = 0 if a.ndim == 3 else 1
                real = [np.take(v[1], range(3, LENGTH), axis=axis) for v in (a, b)]
                np.testing.assert_allclose(*real, atol=2e-5)


def test_a_token_sees_nothing_after_it_and_no_padding():
    def last_output(x):
        return prompt_layers(x)[-1][0]

    later = X.at[:, 6:].add(1.0)
    later, plain = last_output(later), last_output(X)
    np.testing.assert_array_equal(later[0, :6], plain[0, :6])
    np.testing.assert_array_equal(later[1, 3:6], plain[1, 3:6])
    padding = X.at[1, :3].add(1.0)
    np.testing.assert_array_equal(last_output(padding)[1, 3:], plain[1, 3:])
    chained = X.at[:, 4].add(1.0)
    assert (np.abs(last_output(chained) - plain)[:, 4:].max(axis=-1) > 1e-4).all()


def test_a_decode_step_equals_the_prompt_path():
    """The last prompt token, fed through body, last layer and head by way of the cache."""
    decoder = small_model().decoder
    outputs = prompt_layers()
    caches = [
        with_capacity(keys[:, :, :-1], values[:, :, :-1], LENGTH + 4) for _, keys, values in outputs
    ]
    cache = KVCache(body=tuple(caches[:-1]), last=caches[-1])
    slots = jnp.arange(LENGTH + 4)
    mask = (slots[None] >= STARTS[:, None]) & (slots[None] < LENGTH - 1)
    slot, turn = jnp.int32(LENGTH - 1), rotation(LENGTH - 1, 1)
    hidden, cache = decoder.body_step(X[:, -1:], turn, cache, slot, mask)
    weights, context, cache = decoder.last_step(hidden, turn, cache, slot, mask)
    assert (np.asarray(weights.sum(axis=-1)) < 1).all()  # the rest is the token's own
    logits = decoder.last_logits(hidden, context)
    expected = decoder.logits(outputs[-1][0][:, -1])
    np.testing.assert_allclose(logits, expected, atol=5e-5)  # logits near 5, float32
    np.testing.assert_allclose(
        cache.last.keys[:, :, LENGTH - 1], outputs[-1][1][:, :, -1], atol=2e-5
    )
    np.testing.assert_array_equal(cache.last.keys[:, :, LENGTH:], 0)


def test_a_slot_is_written_and_no_other():
    rng = np.random.default_rng(1)
    keys, values = (jnp.asarray(rng.standard_normal((2, 2, 4, 8)), jnp.bfloat16) for _ in range(2))
    cache = with_capacity(keys, values, 7)
    assert cache.keys.shape == (2, 2, 7, 8) and cache.keys.dtype == jnp.bfloat16
    new = jnp.full((2, 2, 1, 8), 1.25, jnp.float32)
    written = write_slot(cache, new, 2 * new, jnp.int32(5), after=jnp.full((2, 2, 3, 1, 8), 1e30))
    assert isinstance(written, LayerCache) and written.keys.dtype == jnp.bfloat16
    np.testing.assert_array_equal(written.keys[:, :, :4], keys)
    np.testing.assert_array_equal(written.values[:, :, :4], values)
    np.testing.assert_array_equal(written.keys[:, :, 5], 1.25)
    np.testing.assert_array_equal(written.values[:, :, 5], 2.5)
    for empty in (4, 6):
        np.testing.assert_array_equal(written.keys[:, :, empty], 0)


def test_media_take_the_places_of_their_tokens_in_order():
    model = small_model()
    ids = jnp.array([[1, 100, 100, 2, 100], [100, 3, 4, 5, 6]])
    media = [jnp.full((2, WIDTH), 7.0), jnp.full((1, WIDTH), 8.0), jnp.full((1, WIDTH), 9.0)]
    x = model.embed_prompt(ids, media, jnp.array([1, 2, 4, 5]))
    np.testing.assert_array_equal(x[0, [1, 2, 4], 0], [7.0, 7.0, 8.0])
    assert x[1, 0, 0] == 9.0
    text = model.embed_prompt(ids, [], jnp.zeros((0,), jnp.int32))
    np.testing.assert_array_equal(x[1, 1:], text[1, 1:])
    np.testing.assert_array_equal(text, model.decoder.embedding[...][ids])


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
    with quick_compiles():
        model = random_model(small_config(), jnp.bfloat16, seed=3)
    assert isinstance(model, Qwen25VL)
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
