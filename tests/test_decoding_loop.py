"""The compiled loop: what its scan carries, where its branches are, how often it compiles."""

import functools

import chex
import jax
import pytest
from small_model import LONG, SHORT, config_of, decode, prepare, small_config, small_model, start

from vreason_jax.decoding import loop
from vreason_jax.decoding.state import DecodeSettings
from vreason_jax.model.layers import _FEW_ROWS

TEXT_CONFIG = small_config().text
HEADS, WIDTH, TOKENS = TEXT_CONFIG.kv_heads, TEXT_CONFIG.head_width, LONG.tokens


@functools.cache
def prepared(rows=(LONG,), **changes):
    return prepare(rows, config_of(**changes))


@functools.cache
def scan_of(rows=(LONG,), **changes):
    """The one scan of a decode chunk, and the avals of what it carries."""
    ready = prepared(rows, **changes)
    context, state, _ = jax.eval_shape(start_of(ready))
    chunk = functools.partial(loop.decode_chunk, settings=ready.settings, steps=8)
    scans = list(find(jax.make_jaxpr(chunk)(small_model(), context, state).jaxpr, "scan"))
    assert len(scans) == 1, "one scan over tokens"
    (scan,) = scans
    first, count = scan.params["num_consts"], scan.params["num_carry"]
    return scan, [v.aval for v in scan.invars[first : first + count]], state


def start_of(ready):
    small_model()  # made outside the trace
    return lambda: start(ready)


def find(jaxpr, name):
    """Equations of one primitive, in a jaxpr and in all that it calls."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == name:
            yield equation
        for child in children(equation):
            yield from find(child, name)


def children(equation):
    """The jaxprs that an equation calls."""
    for value in jax.tree.leaves(
        list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns") or hasattr(v, "jaxpr")
    ):
        if hasattr(value, "eqns"):
            yield getattr(value, "jaxpr", value)


def products(jaxpr):
    """The shapes of the operands of every product, in order."""
    return [tuple(v.aval.shape for v in e.invars) for e in find(jaxpr, "dot_general")]


def shapes(avals):
    return [(tuple(a.shape), str(a.dtype)) for a in avals]


@pytest.mark.parametrize("rows", [(LONG,), (LONG, SHORT)])
def test_the_scan_carries_cache_delta_moments_average_and_peak(rows):
    _, carry, state = scan_of(rows)
    batch = len(rows)
    cache = state.cache.last.keys.shape
    assert cache == (batch, HEADS, 56, WIDTH)
    delta = (batch, HEADS, TOKENS, WIDTH)
    carried = shapes(carry)
    assert carried.count((cache, "float32")) == 2 * TEXT_CONFIG.layers  # keys and values
    assert carried.count((delta, "float32")) == 3  # the delta and its two moments
    assert sorted(carried) == sorted(shapes(jax.tree.leaves(state)))
    for name in ("ema", "peak"):
        assert getattr(state.controller, name).shape == (batch,)


def test_plain_decoding_carries_no_delta():
    _, carry, _ = scan_of(controller__objective="none")
    assert not any(a.ndim == 4 and a.size == HEADS * TOKENS * WIDTH for a in carry)
    assert max(a.size for a in carry) == HEADS * 56 * WIDTH  # one layer's keys


def body(rows=(LONG,), **changes):
    return scan_of(rows, **changes)[0].params["jaxpr"].jaxpr


def step_conds(rows=(LONG,), **changes):
    """The branches of the scan's body itself: the one on the step."""
    return [e for e in body(rows, **changes).eqns if e.primitive.name == "cond"]


def alpha_conds(jaxpr):
    """Branches that choose one float32 number: the switch of alpha."""
    return [
        e for e in find(jaxpr, "cond") if shapes(v.aval for v in e.outvars) == [((), "float32")]
    ]


@pytest.mark.parametrize("rows", [(LONG,), (LONG, SHORT)])
def test_one_branch_on_the_step_holds_the_update(rows):
    (branch,) = step_conds(rows)
    assert branch.invars[0].aval.shape == ()
    plain, updating = (b.jaxpr for b in branch.params["branches"])
    assert len(list(find(updating, "dot_general"))) > len(list(find(plain, "dot_general")))


def test_alpha_is_a_branch_for_one_answer_and_a_select_for_a_batch():
    assert len(alpha_conds(body())) == 2  # once in each branch of the step
    assert not alpha_conds(body((LONG, SHORT)))


def test_plain_decoding_has_no_branch_on_the_step():
    conds = list(find(body(controller__objective="none"), "cond"))
    assert len(conds) == len(alpha_conds(body(controller__objective="none"))) == 1


def weights_read(pairs):
    """Which weights of the tail the products read, by their shape."""
    width, inner = TEXT_CONFIG.width, TEXT_CONFIG.heads * TEXT_CONFIG.head_width
    names = {
        (width, inner): "o",
        (TEXT_CONFIG.mlp_width, width): "gate or up",
        (width, TEXT_CONFIG.mlp_width): "down",
        (TEXT_CONFIG.vocabulary, width): "head",
    }
    return sorted(names[shape] for pair in pairs for shape in pair if shape in names)


TAIL = ["down", "gate or up", "gate or up", "head", "o"]


@pytest.mark.parametrize("rows", [(LONG,), (LONG, SHORT)])
@pytest.mark.parametrize("objective", ["switch", "random", "frozen"])
def test_an_update_costs_one_tail_forward_and_one_backward(rows, objective):
    assert len(rows) <= _FEW_ROWS
    (branch,) = step_conds(rows, controller__objective=objective)
    plain, updating = (products(b.jaxpr) for b in branch.params["branches"])
    # Forward: o, gate, up, down, head, and attention over the shift of the video values.
    # Backward: head, down, gate, up, o again, each once, and the outer product of the attention
    # weights with the gradient. No q, k or v, no other layer, and no product a second time.
    assert weights_read(plain) == TAIL
    assert len(plain) == 6
    assert weights_read(updating) == sorted(2 * TAIL)
    assert len(updating) == 12


def test_the_step_runs_each_layer_and_the_attention_of_the_last_once():
    (branch,) = step_conds()
    inside = sum(len(products(b.jaxpr)) for b in branch.params["branches"])
    outside = len(products(body())) - inside
    # A layer of the body: q, k, v, scores, context, o, gate, up, down. The last: up to the context.
    assert outside == 9 * (TEXT_CONFIG.layers - 1) + 5


def test_resampling_adds_one_more_tail_to_the_update_alone():
    (branch,) = step_conds(controller__resample_after_update=True)
    plain, updating = (products(b.jaxpr) for b in branch.params["branches"])
    assert len(plain) == 6
    assert weights_read(updating) == sorted(3 * TAIL)


@pytest.mark.parametrize("objective", ["none", "switch", "random_direction"])
def test_state_in_and_state_out_have_equal_shapes_and_dtypes(objective):
    ready = prepared(controller__objective=objective, sampling__repetition_penalty=1.1)
    context, state, _ = jax.eval_shape(start_of(ready))
    token = functools.partial(loop.decode_token, settings=ready.settings)
    after, _ = jax.eval_shape(token, small_model(), context, state)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)


def test_chunks_and_prompts_of_one_shape_share_a_trace_a_program_and_the_states_memory(monkeypatch):
    chex.clear_trace_counter()
    traced_once = chex.assert_max_traces(loop.decode_token, n=1)
    monkeypatch.setattr(loop, "decode_token", traced_once)
    compiled = loop.decode_chunk._cache_size()
    others = {"sampling__seed": 7, "sampling__max_new_tokens": 9}
    others |= {f"controller__{name}": value for name, value in NUMBERS.items()}
    # A period of its own among the settings: no other test has compiled this program.
    for changes in ({}, others):
        ready = prepared(controller__every=7, **changes)
        context, state, _ = start(ready)
        for _ in range(3):
            given, (state, _) = state, decode(ready, context, state, 4)
            large = jax.tree.leaves((given.cache, given.controller.delta))
            assert all(leaf.is_deleted() for leaf in large), "the state is donated"
        assert state.step == 13
    assert loop.decode_chunk._cache_size() == compiled + 1


NUMBERS = {
    "learning_rate": 0.1, "weight_decay": 0.0, "clip_norm": 2.0, "random_rate": 0.1,
    "ema_decay": 0.5,
}  # fmt: skip


def test_seed_token_budget_and_the_controllers_numbers_are_no_part_of_what_is_compiled():
    one = DecodeSettings.of(config_of(), (5,), has_video=True)
    numbers = {f"controller__{name}": value for name, value in NUMBERS.items()}
    other = config_of(sampling__seed=3, sampling__max_new_tokens=77, **numbers)
    assert DecodeSettings.of(other, (5,), has_video=True) == one
    assert hash(DecodeSettings.of(other, (5,), has_video=True)) == hash(one)


def test_without_video_the_controller_is_off():
    assert not DecodeSettings.of(config_of(), (), has_video=False).controlled
    assert DecodeSettings.of(config_of(), (), has_video=True).controlled
