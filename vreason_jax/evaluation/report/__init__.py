"""`report.html`: an evaluation's lines and traces for people, as one file."""

from collections.abc import Sequence
from pathlib import Path

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks import videommmu
from vreason_jax.evaluation.report.answers import Sparks
from vreason_jax.evaluation.report.page import build
from vreason_jax.evaluation.report.story import Story
from vreason_jax.evaluation.results.lines import Line
from vreason_jax.evaluation.results.runs import Run, merge_runs, origin
from vreason_jax.evaluation.statistics import aggregate
from vreason_jax.evaluation.statistics.curves import read_curves
from vreason_jax.evaluation.statistics.summary import Before, scores_before, summarise, write_json
from vreason_jax.output.files import write_atomic


def write(folders: Sequence[str | Path], summary: Path, page: Path) -> None:
    """Writes the summary and the report of one or several runs, merged as `merge_runs` says."""
    story = tell(merge_runs(folders))
    write_json(summary, story.summary)
    write_page(page, story)


def tell(run: Run, before: Run | None = None) -> Story:
    """Returns a run with its summary and its traces, which this function reads.

    `before` holds the answers without VideoMMMU's lectures. Raises UserError where it says nothing
    of this run's.
    """
    known = None if before is None else scores_before(before)
    if known is not None and not any(_knows(known, line) for line in run.lines):
        raise UserError(
            "--before: expected answers of the same models and methods to VideoMMMU's questions "
            f"of {videommmu.WITH_PICTURE}, found none"
        )
    summary = summarise(run.lines, run.facts, known)
    configs = run.facts.get("methods", {})
    sparks = Sparks(len(run.lines))
    curves = read_curves(run.lines, list(summary["methods"]), configs, sparks.add)
    return Story(run, summary, curves, sparks)


def _knows(before: Before, line: Line) -> bool:
    return line.id in before.get(origin(line), {}) and aggregate.has_gain(line)


def write_page(out: str | Path, story: Story, chosen: Sequence[str] = ()) -> None:
    """Writes a story as an HTML file, completely or not at all.

    It opens with the two methods `chosen` side by side, or the first two.
    """
    parts = build(story, Path(out).parent, chosen)
    # Undecodable bytes of a file name are lone surrogates, which UTF-8 cannot hold.
    write_atomic(out, lambda file: file.writelines(p.encode(errors="replace") for p in parts))
