import json
import os
from pathlib import Path

import numpy as np
import pytest
from trace_samples import sample_arrays, sample_trace

from vreason_jax.output.trace import TOKEN_KEYS, build_trace, to_plain, write_trace


def build(arrays, **changes):
    facts = {
        "text": "so <answer> B </answer>",
        "config": {"controller": {"objective": "switch", "every": 4}, "prompt": {"template": None}},
        "videos": [{"path": Path("clip.mp4"), "grid_thw": (2, 4, 6), "fps": np.float32(2)}],
        "seconds": {"load": np.float64(0.5)},
        "tokens": {"prompt": 9, "video": np.int64(4), "generated": 5},
    }
    return build_trace(arrays, **(facts | changes))


def test_trace_has_the_keys_of_the_format_in_plain_json_types():
    trace = build(sample_arrays(5))
    assert set(trace) == {
        "text", "answer", *TOKEN_KEYS, "config", "videos", "seconds", "tokens", "programs",
        "padding", "versions", "warnings",
    }  # fmt: skip
    assert trace["answer"] == "B"
    assert json.loads(json.dumps(trace, allow_nan=False)) == trace
    kinds = {key: {type(value) for value in trace[key]} for key in TOKEN_KEYS}
    assert kinds["token_ids"] == kinds["alpha"] == {int}
    assert kinds["updated"] == {bool}
    assert all(kinds[key] == {float} for key in set(TOKEN_KEYS) - {"token_ids", "alpha", "updated"})
    assert trace["videos"] == [{"path": "clip.mp4", "grid_thw": [2, 4, 6], "fps": 2.0}]
    assert trace["versions"]["numpy"] == np.__version__


def test_float32_numbers_survive_to_the_last_bit(tmp_path):
    arrays = sample_arrays(50)
    write_trace(tmp_path / "t.json", build(arrays))
    back = json.loads((tmp_path / "t.json").read_text())
    for key in TOKEN_KEYS:
        np.testing.assert_array_equal(np.array(back[key], arrays[key].dtype), arrays[key])


def test_numbers_that_are_not_finite_become_null(tmp_path):
    arrays = sample_arrays(4)
    arrays["entropy"] = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    write_trace(tmp_path / "t.json", build(arrays, seconds={"load": float("nan")}))
    text = (tmp_path / "t.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text)["entropy"] == [None, None, None, 1.0]
    assert json.loads(text)["seconds"] == {"load": None}


def test_empty_answer_gives_empty_lists():
    trace = build({key: np.zeros(0) for key in TOKEN_KEYS}, text="")
    assert all(trace[key] == [] for key in TOKEN_KEYS)
    assert trace["answer"] is None


def test_lists_of_unequal_length_and_missing_ones_are_refused():
    arrays = sample_arrays(5)
    with pytest.raises(ValueError, match="one entry per token"):
        build(arrays | {"ema": np.zeros(4)})
    del arrays["ema"]
    with pytest.raises(ValueError, match="no ema"):
        build(arrays)


def test_jax_arrays_are_taken_as_numpy_ones():
    jnp = pytest.importorskip("jax.numpy")
    arrays = sample_arrays(5)
    assert build({key: jnp.asarray(value) for key, value in arrays.items()}) == build(arrays)


def test_path_of_undecodable_bytes_still_gives_valid_json(tmp_path):
    trace = sample_trace(4) | {"videos": [{"path": os.fsdecode(b"clip\xff.mp4")}]}
    write_trace(tmp_path / "t.json", trace)
    assert json.loads((tmp_path / "t.json").read_bytes()) == trace


def test_value_without_a_json_form_is_refused():
    with pytest.raises(TypeError, match="object"):
        to_plain({"x": object()})
