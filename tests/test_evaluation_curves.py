import time

import numpy as np
import pytest
import scipy.stats
from evaluation_samples import make_lines, random_rows, sample_line, write_run

from vreason_jax.evaluation.results.lines import read_lines
from vreason_jax.evaluation.statistics.curves import CurveSum, read_curves, read_trace


def write_arrays(folder, name, **arrays):
    (folder / "traces").mkdir(exist_ok=True)
    size = len(next(iter(arrays.values())))
    rest = {key: np.zeros(size) for key in ("entropy", "ema", "alpha", "delta_norm")}
    np.savez(folder / "traces" / name, **(rest | arrays))


def lines_of(folder, *rows):
    return make_lines(*(row | {"folder": folder} for row in rows))


def ema_of(entropy, decay):
    average, values = 0.0, []
    for value in entropy:
        average = decay * average + (1 - decay) * value
        values.append(average)
    return np.array(values)


def test_means_over_the_answers_that_go_on(tmp_path):
    write_arrays(tmp_path, "0.npz", entropy=[1.0, 2.0, 3.0], alpha=[1, 1, -1])
    write_arrays(tmp_path, "1.npz", entropy=[3.0, 4.0], alpha=[1, -1])
    rows = [sample_line(n, trace=f"{n}.npz") for n in range(2)]
    got = read_curves(lines_of(tmp_path, *rows), ["baseline"])["baseline"]
    assert got.alive.tolist() == [2, 2, 1]
    assert got.curves["entropy"].mean.tolist() == [2.0, 3.0, 3.0]
    assert got.curves["entropy"].error[:2] == pytest.approx([1.0, 1.0])
    assert got.curves["alpha"].mean.tolist() == [1.0, 0.0, -1.0]
    assert (got.answers, got.unread) == (2, 0)


def test_a_flat_entropy_peaks_late_raw_and_not_at_all_corrected(tmp_path):
    """The zero start alone makes the raw EMA climb to the end of a flat curve."""
    entropy = np.full(100, 1.0)
    entropy[10] = 1.5
    write_arrays(tmp_path, "0.npz", entropy=entropy, ema=ema_of(entropy, 0.9))
    lines = lines_of(tmp_path, sample_line(trace="0.npz"))
    config = {"controller": {"ema_decay": 0.9, "ema_init": "zero"}}
    got = read_curves(lines, ["baseline"], {"baseline": config})["baseline"]
    corrected = got.curves["ema_corrected"].mean
    np.testing.assert_allclose(corrected[:10], 1.0)
    assert (got.peaks.raw, got.peaks.corrected) == (99, 10)
    assert (got.peaks.median_raw, got.peaks.median_corrected) == (99, 10)
    config["controller"]["ema_init"] = "first"
    got = read_curves(lines, ["baseline"], {"baseline": config})["baseline"]
    assert got.peaks.corrected == got.peaks.raw


def test_the_last_few_answers_do_not_set_the_peak(tmp_path):
    for n in range(40):
        write_arrays(tmp_path, f"{n}.npz", entropy=[1.0, 0.5], ema=[1.0, 0.5])
    write_arrays(tmp_path, "40.npz", entropy=[1.0, 0.5, 9.0], ema=[1.0, 0.5, 9.0])
    rows = [sample_line(n, trace=f"{n}.npz") for n in range(41)]
    got = read_curves(lines_of(tmp_path, *rows), ["baseline"])["baseline"]
    assert got.peaks.raw == 0
    assert len(got.curves["entropy"].mean) == 2
    assert got.alive.tolist() == [41, 41, 1]


def test_entropy_of_right_and_wrong_answers(tmp_path):
    write_arrays(tmp_path, "0.npz", entropy=[1.0, np.nan, 2.0])
    write_arrays(tmp_path, "1.npz", entropy=[4.0])
    rows = [sample_line(0, trace="0.npz"), sample_line(1, score=0.0, trace="1.npz")]
    got = read_curves(lines_of(tmp_path, *rows), ["baseline"])["baseline"]
    assert (got.entropy_right.value, got.entropy_right.questions) == (1.5, 1)
    assert (got.entropy_wrong.value, got.entropy_wrong.questions) == (4.0, 1)


def test_missing_and_broken_traces_are_counted(tmp_path):
    write_arrays(tmp_path, "0.npz", entropy=[1.0])
    whole = (tmp_path / "traces" / "0.npz").read_bytes()
    (tmp_path / "traces" / "1.npz").write_bytes(whole[:100])
    (tmp_path / "traces" / "2.npz").write_bytes(b"")
    np.savez(tmp_path / "traces" / "3.npz", entropy=np.array([object()], dtype=object))
    rows = [sample_line(n, trace=f"{n}.npz") for n in range(5)]
    got = read_curves(lines_of(tmp_path, *rows, sample_line(9)), ["baseline"])["baseline"]
    assert (got.answers, got.unread) == (1, 4)
    assert read_trace(tmp_path / "traces" / "3.npz") is None


def test_methods_without_traces_are_left_out(tmp_path):
    assert read_curves(lines_of(tmp_path, sample_line()), ["baseline"]) == {}


def test_three_thousand_traces_of_three_hundred_tokens_take_seconds(tmp_path):
    folder = write_run(tmp_path / "run", random_rows(20, longest=300), traces=True)
    lines = read_lines(folder / "predictions.jsonl") * 50  # the same files again
    start = time.process_time()
    curves = read_curves(lines, ["baseline", "vreason", "lite"])
    assert time.process_time() - start < 20
    assert sum(method.answers for method in curves.values()) == 3_000


def test_curve_of_answers_of_different_lengths():
    total = CurveSum(4)
    rows = [[1.0, 2.0, 3.0, 4.0, 99.0], [3.0, np.nan], [2.0, 4.0, 5.0]]
    for row in rows:
        total.add(np.array(row))
    curve = total.curve()
    assert curve.count.tolist() == [3, 2, 2, 1]
    np.testing.assert_allclose(curve.mean, [2.0, 3.0, 4.0, 4.0])
    expected = [scipy.stats.sem(column) for column in ([1, 3, 2], [2, 4], [3, 5])]
    np.testing.assert_allclose(curve.error, [*expected, np.nan])


def test_curve_of_nothing_is_empty():
    assert len(CurveSum(4).curve().mean) == 0
