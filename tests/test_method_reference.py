"""The whole V-Reason loop against an independent torch computation, by goldens.

tests/reference_vreason.py computes it naively with torch's autograd and AdamW on the model of
transformers. Bars: ids identical, entropy within 1e-3 nats at every token, gradient norms within
1 %. At a learning rate of 0.1 plain decoding must miss the reference by ten times that bar, or the
comparison would show nothing; at 3e-4 it cannot, so there the controller's own numbers count.
"""

import json

import numpy as np
import pytest
from golden_cases import GOLDENS, load_case, prepared_rows, reference_model, run_trace
from reference_runs import RUNS, TOKENS

ENTROPY_BAR = 1e-3
ALL_RUNS = [(case, name) for case, runs in RUNS.items() for name in runs]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return reference_model(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def goldens():
    return {
        case: json.loads((GOLDENS / f"vreason_{case}.json").read_text(encoding="utf-8"))
        for case in RUNS
    }


def trace_of(model, case, keys):
    trace = run_trace(model, prepared_rows(load_case(case)[0], "max"), keys, TOKENS)
    return {name: values[:, 0] for name, values in trace._asdict().items()}


@pytest.mark.parametrize(("case", "name"), ALL_RUNS)
def test_the_loop_is_the_references(model, goldens, case, name):
    golden = goldens[case][name]
    ours = trace_of(model, case, RUNS[case][name])
    np.testing.assert_array_equal(ours["token"], golden["token_ids"])
    np.testing.assert_array_equal(ours["alpha"], golden["alpha"])
    np.testing.assert_array_equal(ours["updated"], golden["updated"])
    for key in ("entropy", "ema", "peak", "logprob"):
        np.testing.assert_allclose(ours[key], golden[key], atol=ENTROPY_BAR, rtol=0, err_msg=key)
    np.testing.assert_allclose(ours["grad_norm"], golden["grad_norm"], rtol=0.01, atol=1e-7)
    # AdamW's first step is nearly the gradient's sign: elements near 0 may go either way.
    np.testing.assert_allclose(ours["delta_norm"], golden["delta_norm"], rtol=0.01, atol=1e-7)


@pytest.mark.parametrize(
    ("case", "name"),
    [(case, name) for case, name in ALL_RUNS if name.endswith("@0.1") and name != "lite@0.1"],
)
def test_plain_decoding_misses_the_reference(goldens, case, name):
    plain = np.array(goldens[case]["none"]["entropy"])
    assert np.max(np.abs(plain - goldens[case][name]["entropy"])) > 10 * ENTROPY_BAR


def test_pruned_plain_decoding_misses_the_pruned_reference(goldens):
    plain = np.array(goldens["video"]["lite_none"]["entropy"])
    steered = np.array(goldens["video"]["lite@0.1"]["entropy"])
    assert np.max(np.abs(plain - steered)) > 10 * ENTROPY_BAR
