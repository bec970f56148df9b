"""Made-up evaluation runs, as the tests of statistics and report read them."""

import json
from pathlib import Path

import numpy as np
from trace_samples import sample_arrays

from vreason_jax.config import RunConfig
from vreason_jax.evaluation.results.lines import Line

METHODS = ("baseline", "vreason", "lite")
TASKS = ("count", "order", "colour", "direction")


def sample_line(number=0, method="baseline", seed=0, score=1.0, **fields) -> dict:
    """One answer as a plain object; fields given by name replace the others."""
    answer = "A" if score else "B"
    return {
        "id": f"q{number:05d}",
        "benchmark": "shapes",
        "model": "tiny",
        "method": method,
        "seed": seed,
        "status": "ok",
        "text": f"<think>look at frame {number}</think><answer>{answer}</answer>",
        "answer": answer,
        "gold": "A",
        "score": score,
        "score_lenient": score,
        "tokens": 100,
        "seconds": {"video": 0.5, "vision": 0.25, "prefill": 0.125, "decode": 1.0},
        "config_hash": f"hash of {method}",
        "task": TASKS[number % len(TASKS)],
        "subset": "easy" if number % 3 else "hard",
        "video": f"{number}.mp4",
        "kind": "multiple choice",
        "answer_probability": 0.75,
        "trace": None,
    } | fields


def make_lines(*rows: dict) -> list[Line]:
    return [Line(**row) for row in rows]


def random_rows(size: int, methods=METHODS, seeds=(0,), key: int = 0, longest: int = 300) -> list:
    """Rows of `size` questions; later methods are a little better and shorter."""
    rng = np.random.default_rng(key)
    difficulty = rng.beta(2, 2, size)
    rows = []
    for number in range(size):
        for place, method in enumerate(methods):
            for seed in seeds:
                score = float(rng.random() < difficulty[number] + 0.03 * place)
                row = sample_line(number, method, seed, score) | {
                    "tokens": int(rng.integers(longest // 3, longest + 1) * 0.88**place),
                    "answer_probability": float(rng.beta(5 if score else 3, 2)),
                    "status": "ok",
                }
                row["seconds"] = row["seconds"] | {"decode": 0.01 * row["tokens"]}
                rows.append(row)
    return rows


def sample_run_facts(methods=METHODS, seeds=(0,), **facts) -> dict:
    config = RunConfig().to_dict()
    names = dict.fromkeys(methods)
    return {
        "benchmark": "shapes",
        "protocol": "video_r1",
        "model": "tiny",
        "methods": {name: config for name in names},
        "seeds": list(seeds),
        "notes": ["prompt: our own words"],
        "versions": {"python": "3.12", "jax": "0.10.2"},
        "sessions": [
            {
                "started": "2026-11-24T06:00:00+00:00",
                "devices": "8 x cpu",
                "mesh": "data=8,model=1",
                "batch_size": 8,
                "seconds": {
                    "compile": 41.2, "video": 120.0, "video_wait": 3.5, "vision": 30.0,
                    "prefill": 22.0, "decode": dict.fromkeys(methods, 300.0),
                },
                "counts": {
                    "vision": 200, "clip_prefill": 200, "question_prefill": 600, "answers": 1800,
                    "prompt_tokens": 700, "prompt_slots": 800,
                    "vision_patches": 60, "vision_slots": 200,
                },
                "programs": {"compiled": 11, "from_cache": 2},
                "peak_bytes": 3 * 2**30,
                "controller_share": {name: place * 9.0 or None for place, name in enumerate(names)},
            }
        ],
    } | facts  # fmt: skip


def write_run(folder: Path, rows: list[dict], facts=None, traces=False, distinct=None) -> Path:
    """Writes predictions.jsonl, and on wish run.json and a trace for every answer.

    `distinct` traces are written, all where it is None, and shared by answers that far apart.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if traces:
        distinct = distinct or len(rows)
        (folder / "traces").mkdir()
        rows = [row | {"trace": f"{place % distinct}.npz"} for place, row in enumerate(rows)]
        for place, row in enumerate(rows[:distinct]):
            write_trace(folder / "traces" / row["trace"], row, place)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "predictions.jsonl").write_text(text, encoding="utf-8")
    if facts is not None:
        (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def write_trace(path: Path, row: dict, key: int) -> None:
    arrays = sample_arrays(row["tokens"], seed=key)
    if row["method"] == "baseline":
        for name in ("alpha", "updated", "grad_norm", "delta_norm"):
            arrays[name] = np.zeros_like(arrays[name])
    if not row["score"]:
        arrays["entropy"] = arrays["entropy"] + np.float32(0.15)
    np.savez(path, **arrays)
