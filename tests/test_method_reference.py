"""The whole V-Reason loop against an independent torch computation, by goldens.

tests/reference_vreason.py computes it naively with torch's autograd and AdamW on the model of
transformers. Bars: ids identical, entropy within 1e-3 nats at every token, gradient norms within
1 %. At a learning rate of 0.1 plain decoding must miss the reference by ten times that bar, or the
comparison would show nothing; at 3e-4 it cannot, so there the controller's own numbers count.
"""

import pytest
from golden_cases import load_case, prepared_rows, reference_model, run_trace
from reference_runs import (
    RUNS,
    TOKENS,
    assert_is_the_reference,
    assert_misses_the_reference,
    read_golden,
)

ALL_RUNS = [(case, name) for case, runs in RUNS.items() for name in runs]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return reference_model(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def goldens():
    return {case: read_golden(f"vreason_{case}") for case in RUNS}


@pytest.mark.parametrize(("case", "name"), ALL_RUNS)
def test_the_loop_is_the_references(model, goldens, case, name):
    rows = prepared_rows(load_case(case)[0], "max")
    trace = run_trace(model, rows, RUNS[case][name], TOKENS)
    assert_is_the_reference(trace, goldens[case][name])


@pytest.mark.parametrize(
    ("case", "name"),
    [(case, name) for case, name in ALL_RUNS if name.endswith("@0.1") and name != "lite@0.1"],
)
def test_plain_decoding_misses_the_reference(goldens, case, name):
    assert_misses_the_reference(goldens[case]["none"], goldens[case][name])


def test_pruned_plain_decoding_misses_the_pruned_reference(goldens):
    assert_misses_the_reference(goldens["video"]["lite_none"], goldens["video"]["lite@0.1"])
