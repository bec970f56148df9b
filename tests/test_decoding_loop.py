"""The compiled loop: what its scan carries, where its branches are, how often it compiles."""

import functools

import chex
import jax
import jax.numpy as jnp
import pytest
from small_model import LONG, MESH, SHORT, config_of, decode, small_config, small_model, start

from vreason_jax.decoding import loop
from vreason_jax.decoding.state import DecodeSettings
from vreason_jax.model.products import _FEW_ROWS

TEXT_CONFIG = small_config().text
HEADS, WIDTH, CAPACITY = TEXT_CONFIG.kv_heads, TEXT_CONFIG.head_width, 256
DELTA = HEADS * CAPACITY * WIDTH


@functools.cache
def started(rows=(LONG,), **changes):
    return start(rows, config_of(**changes))


@functools.cache
def scan_of(rows=(LONG,), **changes):
    """The one scan of a decode chunk, and the avals of what it carries."""
    begun = started(rows, **changes)
    chunk = functools.partial(loop.decode_chunk, settings=begun.settings, steps=8)
    arguments = small_model().decoder, begun.context, begun.state
    scans = list(find(jax.make_jaxpr(chunk)(*arguments).jaxpr, "scan"))
    assert len(scans) == 1, "one scan over tokens"
    (scan,) = scans
    first, count = scan.params["num_consts"], scan.params["num_carry"]
    return scan, [v.aval for v in scan.invars[first : first + count]], begun.state


def find(jaxpr, name):
    """Equations of one primitive, in a jaxpr and in all that it calls."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == name and not by_platform(equation):
            yield equation
        for child in children(equation):
            yield from find(child, name)


def by_platform(equation):
    """Whether it is a branch that is taken when the program is lowered."""
    return bool(equation.params.get("branches_platforms"))


def children(equation):
    """The jaxprs that an equation calls; where the platform chooses, the usual one."""
    if by_platform(equation):
        yield equation.params["branches"][-1].jaxpr
        return
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
    slots = (batch, HEADS, CAPACITY, WIDTH)
    keys = (batch, HEADS, WIDTH, CAPACITY)
    assert state.cache.last.values.shape == slots and state.cache.last.keys.shape == keys
    carried = shapes(carry)
    steered = state.controller.delta.shape
    assert steered[:2] == slots[:2] and steered[2] < CAPACITY
    # Keys and values of every layer; the delta, its two moments, and the shift that is seen.
    layers = TEXT_CONFIG.layers
    assert carried.count((slots, "float32")) == carried.count((keys, "float32")) == layers
    assert carried.count((steered, "float32")) == 4
    assert sorted(carried) == sorted(shapes(jax.tree.leaves(state)))
    for name in ("ema", "peak"):
        assert getattr(state.controller, name).shape == (batch,)


def test_plain_decoding_carries_no_delta():
    _, carry, _ = scan_of(controller__objective="none")
    assert sum(a.size == DELTA for a in carry) == 2 * TEXT_CONFIG.layers  # keys and values


def body(rows=(LONG,), **changes):
    return scan_of(rows, **changes)[0].params["jaxpr"].jaxpr


def update_loops(rows=(LONG,), **changes):
    """The loops within the scan's body that compute products."""
    loops = [e for e in body(rows, **changes).eqns if e.primitive.name == "while"]
    return [e for e in loops if products(e.params["body_jaxpr"].jaxpr)]


def alpha_conds(jaxpr):
    """Branches that choose one float32 number: the switch of alpha."""
    return [
        e for e in find(jaxpr, "cond") if shapes(v.aval for v in e.outvars) == [((), "float32")]
    ]


@pytest.mark.parametrize("rows", [(LONG,), (LONG, SHORT)])
def test_one_loop_of_at_most_one_turn_holds_the_update(rows):
    (loop,) = update_loops(rows)
    assert loop.params["cond_jaxpr"].out_avals[0].shape == ()
    again = loop.params["body_jaxpr"].jaxpr.outvars[0]
    assert not again.val  # a constant


def test_alpha_is_a_branch_for_one_answer_and_a_select_for_a_batch():
    assert len(alpha_conds(body())) == 1
    assert not alpha_conds(body((LONG, SHORT)))


def test_plain_decoding_has_no_update():
    assert not update_loops(controller__objective="none")
    assert len(alpha_conds(body(controller__objective="none"))) == 1


def unconditional(jaxpr):
    """The jaxpr's products outside of further branches."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            found.append(tuple(v.aval.shape for v in equation.invars))
        elif equation.primitive.name != "cond" or by_platform(equation):
            for child in children(equation):
                found += unconditional(child)
    return found


def weights_read(pairs):
    """Which weights of the tail the products read, by their shape."""
    width, inner = TEXT_CONFIG.width, TEXT_CONFIG.heads * TEXT_CONFIG.head_width
    names = {
        (width, inner): "o",
        (2, TEXT_CONFIG.mlp_width, width): "gate and up",
        (width, TEXT_CONFIG.mlp_width): "down",
        (TEXT_CONFIG.vocabulary, width): "head",
    }
    return sorted(names[shape] for pair in pairs for shape in pair if shape in names)


TAIL = ["down", "gate and up", "head", "o"]


@pytest.mark.parametrize("rows", [(LONG,), (LONG, SHORT)])
def test_an_update_costs_one_tail_forward_and_one_backward(rows):
    assert len(rows) <= _FEW_ROWS
    (loop,) = update_loops(rows)
    updating = unconditional(loop.params["body_jaxpr"].jaxpr)
    assert weights_read(updating) == TAIL  # backward; forward every token goes through it
    every = weights_read(unconditional(body(rows)))
    assert [every.count(name) for name in TAIL] == [TEXT_CONFIG.layers + 1] * 2 + [2] + [
        TEXT_CONFIG.layers + 1
    ]


@pytest.mark.parametrize(
    ("changes", "extra"),
    [
        ({}, []),
        ({"controller__resample_after_update": True}, [[TAIL, sorted(2 * TAIL)], [[], TAIL]]),
        ({"controller__objective": "random_direction"}, [[TAIL, sorted(2 * TAIL)], [[], TAIL]]),
    ],
)
def test_only_a_random_direction_and_resampling_may_compute_one_more_tail(changes, extra):
    (loop,) = update_loops(**changes)
    updating = loop.params["body_jaxpr"].jaxpr
    found = [
        [weights_read(products(b.jaxpr)) for b in e.params["branches"]]
        for e in find(updating, "cond")
    ]
    assert [branches for branches in found if any(branches)] == extra


def test_the_step_runs_each_layer_and_the_attention_of_the_last_once():
    (loop,) = update_loops()
    outside = len(products(body())) - len(products(loop.params["body_jaxpr"].jaxpr))
    # A layer: q, k and v, scores, context, o, gate and up, down. The last has what the delta adds
    # to its context as well; then comes the head.
    assert outside == 6 * TEXT_CONFIG.layers + 2


@pytest.mark.parametrize("objective", ["none", "switch", "random_direction"])
def test_state_in_and_state_out_have_equal_shapes_and_dtypes(objective):
    begun = started(controller__objective=objective, sampling__repetition_penalty=1.1)
    token = functools.partial(loop.decode_token, settings=begun.settings)
    after, _ = jax.eval_shape(token, small_model().decoder, begun.context, begun.state)
    chex.assert_trees_all_equal_shapes_and_dtypes(begun.state, after)


# Whatever a run may set. What makes another program: whether there is a delta, its norm, and
# whether an update may compute the tail once more.
SETTINGS = {
    "controller__objective": "random",
    "controller__every": 3,
    "controller__entropy_floor": 0.1,
    "controller__restart_on_flip": True,
    "controller__learning_rate": 0.1,
    "controller__weight_decay": 0.0,
    "controller__clip_norm": 2.0,
    "controller__random_rate": 0.1,
    "controller__ema_decay": 0.5,
    "controller__ema_init": "first",
    "sampling__seed": 7,
    "sampling__max_new_tokens": 9,
    "sampling__temperature": 0.7,
    "sampling__top_k": 9,
    "sampling__top_p": 0.9,
    "sampling__min_p": 0.01,
    "sampling__top_h": 0.9,
    "sampling__repetition_penalty": 1.1,
    "sampling__presence_penalty": 0.1,
}


def test_chunks_and_settings_share_a_trace_a_program_and_the_states_memory(monkeypatch):
    chex.clear_trace_counter()
    traced_once = chex.assert_max_traces(loop.decode_token, n=1)
    monkeypatch.setattr(loop, "decode_token", traced_once)
    loop.decode_chunk.clear_cache()
    for changes in ({}, SETTINGS, {"controller__objective": "frozen"}):
        begun = start((LONG,), config_of(**changes))
        state = begun.state
        for _ in range(3):
            given, (state, _) = state, decode(begun, state, 5)
            large = jax.tree.leaves((given.cache, given.controller.delta))
            assert all(leaf.is_deleted() for leaf in large), "the state is donated"
        assert state.step == 15
    assert loop.decode_chunk._cache_size() == 1


def test_settings_are_no_part_of_what_is_compiled():
    one = DecodeSettings.of(config_of(), MESH, layers=2, steered=True)
    assert DecodeSettings.of(config_of(**SETTINGS), MESH, layers=2, steered=True) == one
    assert (
        DecodeSettings.of(config_of(controller__norm="tensor"), MESH, layers=2, steered=True) != one
    )
    assert (
        DecodeSettings.of(config_of(controller__objective="none"), MESH, layers=2, steered=True)
        != one
    )
    prompt = config_of(controller__placement="prompt")
    assert DecodeSettings.of(prompt, MESH, layers=2, steered=True) == one
    extra = [
        DecodeSettings.of(config_of(**changes), MESH, layers=2, steered=True)
        for changes in (
            {"controller__resample_after_update": True},
            {"controller__objective": "random_direction"},
        )
    ]
    assert extra[0] == extra[1] != one


def test_with_nothing_to_steer_the_controller_is_off():
    assert not DecodeSettings.of(config_of(), MESH, layers=2, steered=False).controlled
    assert DecodeSettings.of(config_of(), MESH, layers=2, steered=True).controlled


def test_under_a_random_direction_the_gradient_is_that_of_the_trained_delta():
    """What is seen, the direction, changes the logits, and not where the delta is trained."""
    begun = started(controller__objective="random_direction", controller__every=1)
    norms, entropies = [], []
    for size in (0.0, 5.0):
        state = jax.tree.map(jnp.copy, begun.state)
        shift = size * jax.random.normal(jax.random.key(0), state.controller.shift.shape)
        controller = state.controller.replace(shift=shift)
        _, trace = decode(begun, state.replace(controller=controller, step=jnp.int32(1)), 1)
        norms.append(float(trace.grad_norm[0, 0]))
        entropies.append(float(trace.entropy[0, 0]))
    assert norms[0] == pytest.approx(norms[1], rel=1e-4) and norms[0] > 0
    assert entropies[0] != entropies[1]
