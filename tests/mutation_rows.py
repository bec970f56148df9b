"""Annotation files as targets of damage: each row becomes a question or is refused in one line."""

import json
from pathlib import Path

import benchmark_files as files
from mutation_runs import Target
from mutators import damage_json

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.locate import locate
from vreason_jax.evaluation.readers import read_benchmark
from vreason_jax.evaluation.results.questions import words_of
from vreason_jax.evaluation.results.writing import trace_name
from vreason_jax.evaluation.scoring.protocol import load_protocol
from vreason_jax.evaluation.scoring.score import score

PROTOCOLS = tuple(load_protocol(name) for name in ("video_r1", "official"))
LONGEST = 500  # characters of a refusal behind the file's name


def use(name: str, folder: Path) -> None:
    """Does with a benchmark's rows all that a run does before and after the model."""
    data = read_benchmark(name, folder)
    for line in (*data.refused, *data.notices):
        said = line.removeprefix(str(folder))
        assert line.isprintable() and len(said) <= LONGEST, f"not one short line: {line[:300]}"
    for record in data.records:
        try:
            video = locate(record, folder)
        except UserError as error:
            assert str(error).isprintable(), f"not one line: {str(error)[:300]}"
        else:
            assert video.resolve().is_relative_to(folder.resolve()), f"outside: {video}"
        assert len(trace_name(record.id, "baseline", 0).encode()) <= 255
        json.dumps(words_of(record), ensure_ascii=False).encode()
        for protocol in PROTOCOLS:
            protocol.question_text(record).encode()
            score(record, "<think>So it is B.</think><answer>B</answer>", protocol)


def _video_r1(name: str):
    def prepare(folder: Path) -> None:
        path, times = "./videos/Law/1.mp4", {"start": 0.1, "end": 0.9}
        rows = [
            files.video_r1_row(1, path, original_question_type="a kind"),
            files.video_r1_row(2, path, "2.5", options=None, problem_type="regression"),
            files.video_r1_row(3, path, "C", options=["x", "y", "z"], **times),
        ]
        files.put_json(folder / f"eval_{name}.json", rows)
        (folder / "videos" / "Law").mkdir(parents=True)
        (folder / "videos" / "Law" / "1.mp4").write_bytes(b"")

    return prepare


def _target(name: str, layout: str, prepare) -> Target:
    return Target(
        f"{name}.{layout}",
        prepare,
        lambda folder: sorted(p for p in folder.rglob("*.json") if p.is_file()),
        lambda folder: use(name, folder),
        damage=damage_json,
    )


def _vsibench(folder: Path) -> None:
    files.put_json(folder / "test.json", files.vsibench_rows())
    files.put_clips(folder, "scannet/scene0001_00.mp4")


def _videomme(folder: Path) -> None:
    files.put_json(folder / "test.json", files.videomme_rows())
    files.put_clips(folder, "data/a.mp4")


OFFICIAL = {
    "vsibench": _vsibench,
    "videommmu": files.videommmu_,
    "mmvu": files.mmvu,
    "mvbench": files.mvbench_,
    "tempcompass": files.tempcompass_,
    "videomme": _videomme,
    "videoholmes": files.videoholmes,
}
TARGETS = [
    *(_target(name, "video_r1", _video_r1(name)) for name in OFFICIAL),
    *(_target(name, "official", prepare) for name, prepare in OFFICIAL.items()),
]
