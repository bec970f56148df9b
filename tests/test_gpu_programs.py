"""Programs of a 7B and an 8B model for an H100: how many kernels, and what they write.

Compiled ahead of time for a described H100: no GPU and no driver is needed, but JAX's CUDA plugin
is. Of three layers, since layers are alike; in a process of its own, as plugins are found once.
"""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda13_plugin") is None,
    reason="needs JAX's CUDA plugin: pip install -e .[cuda]",
)
PROGRAM = """
import json, sys
sys.path[:0] = ["scripts"]
import programs
kinds = ("decode", "none"), ("decode", "switch"), ("prefill", "none")
found = {" ".join(k): programs.measure(*k, "h100", 3, sys.argv[1]) for k in kinds}
print(json.dumps(found))
"""


@pytest.fixture(scope="module", params=["7b", "qwen3vl-8b"])
def figures(request):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, request.param],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_token_takes_few_kernels(figures):
    plain, steered = (figures[f"decode {name}"]["kernels"] for name in ("none", "switch"))
    assert plain["body"] <= 2 * 12 + 1  # and one for the mask
    assert plain["outside"] <= 25
    parts = "body", "last", "outside"
    assert sum(steered[part] - plain[part] for part in parts) <= 20


def test_prefill_writes_no_scores(figures):
    assert figures["prefill none"]["temporary"] < 150e6
    assert not any("f32[" in name for name in figures["prefill none"]["large_writes"])


def test_decoding_writes_a_cache_in_place_and_no_weight_anew(figures):
    assert figures["decode none"]["temporary"] < 10e6
    # The update too: its backward product would pad a head of 151,936 tokens.
    assert not figures["decode none"]["large_writes"]
    assert not figures["decode switch"]["large_writes"]
