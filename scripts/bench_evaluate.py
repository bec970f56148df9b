"""Times questions per minute on `shapes`: `evaluate` against one `reasoner.generate` per question.

    python scripts/bench_evaluate.py --limit 288 --batch-size 24 --mesh data=2

Both give the same answers by the same methods with the same model, loaded and compiled before the
clock starts. The loop runs in one process, as a user would write it. Prints one JSON object:
questions per minute of both, their ratio, and the share of time that `evaluate` waited for videos
after its first batch.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from vreason_jax import Reasoner, evaluate, load  # noqa: E402
from vreason_jax.config import load_config  # noqa: E402
from vreason_jax.evaluation.benchmarks.shapes import clip_of  # noqa: E402
from vreason_jax.evaluation.readers import read_benchmark  # noqa: E402
from vreason_jax.evaluation.scoring.protocol import load_protocol  # noqa: E402
from vreason_jax.runtime import distributed  # noqa: E402


def main() -> None:
    options = _parser().parse_args()
    distributed.start(mesh=options.mesh)
    loop = questions_a_minute(options)
    session, rate = evaluated(options)
    waited, after = session["waited_after_first_batch"]
    print(
        json.dumps(
            {
                "questions": options.limit,
                "methods": options.methods,
                "batch_size": options.batch_size,
                "mesh": options.mesh,
                "max_new_tokens": options.max_new_tokens,
                "loop_per_minute": round(loop, 2),
                "evaluate_per_minute": round(rate, 2),
                "ratio": round(rate / loop, 2),
                "waiting_share": round(waited / after, 4) if after else None,
            }
        )
    )


def questions_a_minute(options: argparse.Namespace) -> float:
    """Returns the rate of a loop over the questions and methods, one answer at a time."""
    protocol = load_protocol("shapes")
    records = read_benchmark("shapes", limit=options.limit).records
    runs = [
        load_config(method, {"sampling.max_new_tokens": options.max_new_tokens})
        for method in options.methods.split(",")
    ]
    first = load(options.model, runs[0], "data=1")
    reasoners = [Reasoner(first.engine, run) for run in runs]

    def answer_all() -> None:
        for record in records:
            for reasoner in reasoners:
                reasoner.generate(clip_of(record), protocol.question_text(record))

    answer_all()  # compiles
    began = time.monotonic()
    answer_all()
    return 60 * len(records) / (time.monotonic() - began)


def evaluated(options: argparse.Namespace) -> tuple[dict, float]:
    """Returns the session of a run of `evaluate`, and its rate without loading and compiling."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--out", folder, "--methods", options.methods, "--limit", str(options.limit)]
        flags += ["--batch-size", str(options.batch_size), "--mesh", options.mesh]
        flags += ["--set", f"sampling.max_new_tokens={options.max_new_tokens}"]
        flags += ["--model", options.model] if options.model else []
        if evaluate.main(flags):
            raise SystemExit("error: evaluate failed")
        session = json.loads(Path(folder, "run.json").read_text())["sessions"][-1]
    seconds = session["seconds"]
    return session, 60 * options.limit / (seconds["wall"] - seconds["compile"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", metavar="FOLDER", help="a checkpoint folder [the embedded one]")
    add("--methods", default="baseline,vreason", metavar="A,B")
    add("--limit", type=int, default=48, metavar="N", help="questions [48]")
    add("--batch-size", type=int, default=8, metavar="B")
    add("--mesh", default="data=2", metavar="data=D", help="of evaluate: a device a core [data=2]")
    add("--max-new-tokens", type=int, default=320, metavar="N")
    return parser


if __name__ == "__main__":
    main()
