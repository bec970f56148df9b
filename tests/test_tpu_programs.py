"""Prefill and decode of the 7B model compile for a TPU slice, and fit into it.

Compiled ahead of time for a described v5e:2x2: no TPU is needed, but libtpu is, in a process of its
own, as its flags cannot be changed afterwards.
"""

import json
import os
import subprocess
import sys

import pytest
from jax.sharding import AbstractMesh

from vreason_jax.families.registry import published_config
from vreason_jax.planning.devices import Devices
from vreason_jax.planning.estimate import Load, estimate
from vreason_jax.runtime.mesh import AXES, weight_bytes
from vreason_jax.runtime.sharing import shared_config

PROGRAM = """
import json, sys
sys.path[:0] = ["scripts"]
import programs
kind, objective = sys.argv[1:]
print(json.dumps(programs.measure(kind, objective)))
"""


@pytest.fixture(scope="module", autouse=True)
def libtpu():
    pytest.importorskip("libtpu", reason="needs libtpu: pip install -e .[tpu] on x86-64 Linux")


@pytest.fixture(scope="module")
def decode():
    return {objective: compile_in_process("decode", objective) for objective in ("none", "switch")}


def compile_in_process(kind: str, objective: str) -> dict:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1"}
    environment.pop("XLA_FLAGS", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, objective],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_decode_needs_little_memory_beside_weights_and_cache(decode):
    for figures in decode.values():
        assert figures["temporary"] < 100e6


def test_a_plan_counts_what_the_compiler_does(decode):
    """Decoding's arguments are the planned weights without the tower, the cache, the controller."""
    config, sizes = published_config("7b"), {"data": 1, "model": 4}
    plan = estimate(config, Devices("v5e", 4), sizes, Load(6144, 1024, rows=1))
    weights = weight_bytes(shared_config(config, 4), AbstractMesh((1, 4), AXES))
    tower = sum(size for path, size in weights.items() if path.startswith("vision."))
    planned = plan.weights - tower + plan.cache + plan.controller
    assert decode["switch"]["arguments"] == pytest.approx(planned, rel=0.02)
    assert decode["none"]["arguments"] == pytest.approx(planned - plan.controller, rel=0.02)


def test_the_method_adds_at_most_one_percent_to_decoding(decode):
    assert decode["switch"]["total"] <= 1.01 * decode["none"]["total"]


def test_a_decoders_layer_takes_two_sums_over_the_chips(decode):
    for figures in decode.values():
        assert figures["collectives"]["body all-reduce"] == 2 * 27
        assert not [name for name in figures["collectives"] if name.startswith("body all-gather")]


def test_prefill_fits_beside_the_weights_of_a_16_gb_chip():
    """The attention's kernel keeps the scores of a piece out of a chip's memory."""
    figures = compile_in_process("prefill", "none")
    assert figures["total"] < 15e9 and figures["temporary"] < 100e6
