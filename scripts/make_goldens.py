"""Writes tests/goldens/ from transformers and torch (the `parity` extra).

    python scripts/make_goldens.py

The inputs come from tests/reference_cases.py and tests/reference_runs.py, the checkpoint from
vreason_jax/tiny.py; change one of them and the goldens must be written anew.

model_CASE.npz holds what transformers computes, float32 (layers, logits_max and greedy tokens at
the positions of rule `max`; rows are left-padded, and rows of padding mean nothing):

    positions_RULE [3, B, S]   next_RULE [B]        for both rules
    video_block_I, image_block_I [P, D]             in the order of the patches
    video_merged, image_merged [P/4, text width]
    *_window_index [P/4]       *_window_bounds      transformers' own window order and bounds
    layer_I [B, S, width]      after decoder layer I, before the final norm
    logits_max [B, S, V]       logits_hf5 [B, tail, V] of the last positions
    tokens [B, 32]             gaps [B, 32]         greedy answer, gap of the best two logits

vreason_CASE.json holds the method's traces: run name -> config (keys that differ from the
default), and the lists of the trace format. model_bfloat16.json says how far torch's own bfloat16
is from float32.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
GOLDENS = ROOT / "tests" / "goldens"
GREEDY_TOKENS = 32
HF5_TAIL = 8
DECODE_TOLERANCE = 1e-4  # logits reach 10; float32 sums in another order

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import reference_torch  # noqa: E402
import reference_vreason  # noqa: E402
import torch  # noqa: E402
from reference_cases import CHECKPOINT_SEED, ROWS, Case, make_case  # noqa: E402
from reference_runs import LISTS, RUNS, TOKENS  # noqa: E402
from tiny import write_tiny_checkpoint  # noqa: E402


def main() -> None:
    GOLDENS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_tiny_checkpoint(folder, seed=CHECKPOINT_SEED)
        model = reference_torch.load_model(folder)
        rounded = reference_torch.load_model(folder, torch.bfloat16)
    for name in ROWS:
        arrays = model_golden(model, make_case(name))
        np.savez_compressed(GOLDENS / f"model_{name}.npz", **arrays)
        print(f"model {name}: smallest gap {arrays['gaps'].min():.5f}")
    write_json(GOLDENS / "model_bfloat16.json", bfloat16_error(model, rounded))
    for name, runs in RUNS.items():
        prompt = reference_torch.case_prompt(make_case(name))
        write_json(GOLDENS / f"vreason_{name}.json", vreason_golden(model, name, prompt, runs))


def model_golden(model, case: Case) -> dict[str, np.ndarray]:
    """Returns the arrays of one model_CASE.npz."""
    arrays = {"token_ids": case.token_ids}
    for rule in ("max", "hf5"):
        arrays[f"positions_{rule}"], arrays[f"next_{rule}"] = case.positions(rule)
    check_hf5_rule(model, case, arrays)
    arrays |= reference_torch.activations(model, case)
    tail = reference_torch.forward(model, case, "hf5").logits[:, -HF5_TAIL:]
    arrays["logits_hf5"] = tail.numpy()
    arrays["tokens"], arrays["gaps"] = reference_torch.greedy(model, case, GREEDY_TOKENS)
    return arrays


def check_hf5_rule(model, case: Case, arrays: dict[str, np.ndarray]) -> None:
    """Stops where the positions made for rule `hf5` are not transformers' own."""
    positions, following = reference_torch.hf_positions(model, case)
    np.testing.assert_array_equal(positions, arrays["positions_hf5"])
    np.testing.assert_array_equal(following, arrays["next_hf5"])


def bfloat16_error(model, rounded) -> dict[str, float]:
    """Returns the error of torch's bfloat16 logits (case `video`) against float32 ones."""
    case = make_case("video")
    exact = reference_torch.forward(model, case, "max").logits
    logits = reference_torch.forward(rounded, case, "max").logits.float()
    difference = logits - exact
    agree = logits.argmax(-1) == exact.argmax(-1)
    return {
        "relative_l2": float(difference.norm() / exact.norm()),
        "max_abs": float(difference.abs().max()),
        "top1_agreement": float(agree.float().mean()),
    }


def vreason_golden(model, name: str, prompt, runs: dict) -> dict[str, dict]:
    """Returns the traces of one vreason_CASE.json, or FAMILY_vreason.json."""
    traces = {}
    for run, changes in runs.items():
        options = reference_vreason.options_of(changes)
        trace = reference_vreason.run(model, prompt, options)
        lists = {key: [rounded_number(value) for value in trace[key]] for key in LISTS}
        traces[run] = {"config": changes, **lists}
        print(f"vreason {name} {run}: smallest gap {min(trace['gap']):.5f}")
    error = reference_vreason.decode_error(model, prompt, traces["none"]["token_ids"][:TOKENS])
    if error > DECODE_TOLERANCE:
        raise SystemExit(f"{name}: the plain decoder is {error:.1e} off transformers' own")
    return traces


def rounded_number(value: float) -> float:
    """Returns a float with nine significant digits, which float32 needs; others as they are."""
    return float(f"{value:.9g}") if isinstance(value, float) else value


def write_json(path: Path, value: dict) -> None:
    lines = [f"{json.dumps(key)}: {_pretty(entry)}" for key, entry in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _pretty(entry) -> str:
    if not isinstance(entry, dict):
        return json.dumps(entry)
    inner = [f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in entry.items()]
    return "{\n" + ",\n".join(inner) + "\n}"


if __name__ == "__main__":
    main()
