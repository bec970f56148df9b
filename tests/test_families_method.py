"""The whole V-Reason loop of families beside the first, as tests/test_method_reference.py has it.

The torch computation is the same; it runs on transformers' own model of the family: of Qwen3-VL
with its norms of queries and keys, its interleaved M-RoPE, its DeepStack, and its times between the
steered tokens of a clip.
"""

import family_checkpoints
import pytest
from family_questions import KEYS, load, prepared
from golden_cases import run_trace
from reference_runs import (
    FAMILY_RUNS,
    TOKENS,
    assert_is_the_reference,
    assert_misses_the_reference,
    read_golden,
)

ALL_RUNS = [(family, name) for family, runs in FAMILY_RUNS.items() for name in runs]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The tiny model of each family, and its question about a clip."""
    found = {}
    for family in FAMILY_RUNS:
        folder = family_checkpoints.write(tmp_path_factory.mktemp(family), family)
        found[family] = load(folder), prepared(folder, "video", folder, **KEYS[family])
    return found


@pytest.fixture(scope="module")
def goldens():
    return {family: read_golden(f"{family}_vreason") for family in FAMILY_RUNS}


@pytest.mark.parametrize(("family", "name"), ALL_RUNS)
def test_the_loop_is_the_references(asked, goldens, family, name):
    trace = run_trace(*asked[family], FAMILY_RUNS[family][name], TOKENS)
    assert_is_the_reference(trace, goldens[family][name])


@pytest.mark.parametrize(
    ("family", "name"), [(family, name) for family, name in ALL_RUNS if name.endswith("@0.1")]
)
def test_plain_decoding_misses_the_reference(goldens, family, name):
    plain = "lite_none" if name.startswith("lite") else "none"
    assert_misses_the_reference(goldens[family][plain], goldens[family][name])
