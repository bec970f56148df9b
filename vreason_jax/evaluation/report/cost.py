"""Time by stage, the use of shared passes, and the controller's share."""

from typing import Any

from vreason_jax.evaluation.report.charts import stage_bars
from vreason_jax.evaluation.report.markup import DASH, Child, Markup, decimal, percent
from vreason_jax.evaluation.report.story import Story, figure, grid, section
from vreason_jax.evaluation.report.tables import method, table

STAGES = {
    "compile": "compile, s",
    "video": "video, s of the workers",
    "video_wait": "waiting for video, s",
    "vision": "vision, s",
    "prefill": "prefill, s",
    "decode": "decode, s",
}
COUNTS = {
    "vision": "vision passes",
    "clip_prefill": "clip prefills",
    "question_prefill": "question prefills",
    "answers": "answers",
}


def costs(story: Story) -> Markup:
    """Returns seconds by stage, the use of shared passes, and the controller's share."""
    note = "Shared stages (video, vision, prefill) divided among the answers that used them."
    bars = figure("Seconds per answer", note, stage_bars(story))
    if not story.run.facts.get("sessions"):
        return section("cost", "Cost", grid(bars))
    whole = "One row for each time the command ran; shared stages in full, decode over all methods."
    once = "A clip is seen and read once, each question once; methods and seeds fork from there."
    guess = "Decode minus plain decoding timed at the same shape: an estimate, not a measurement."
    return section(
        "cost",
        "Cost",
        grid(bars, figure("What was shared", once, sharing(story))),
        figure("Seconds of the runs", whole, sessions(story), wide=True),
        figure("The controller's share", guess, controller(story)),
    )


def sessions(story: Story) -> Markup:
    """Returns the full seconds of each stage, one row per session."""
    head = [
        "started", "devices", "mesh (data × model)", "batch size", *STAGES.values(),
        "programs compiled", "programs from the cache", "padded tokens, %", "peak memory, GiB",
    ]  # fmt: skip
    rows = []
    for session in story.run.facts["sessions"]:
        seconds = session.get("seconds") or {}
        row: list[Child] = [str(session.get("started", DASH)).replace("T", " ")[:16]]
        row += [_words(session.get(key, DASH)) for key in ("devices", "mesh", "batch_size")]
        row += [decimal(_total(seconds.get(stage)), 1) for stage in STAGES]
        programs = session.get("programs") or {}
        row += [str(programs.get(key, DASH)) for key in ("compiled", "from_cache")]
        row.append(percent(padded_share(session.get("counts") or {})))
        peak = session.get("peak_bytes")
        rows.append([*row, decimal(peak / 2**30 if peak else None, 2)])
    return table(head, rows)


def padded_share(counts: dict[str, int]) -> float | None:
    """Returns how much of what prefill and the tower computed was padding, or None if unknown."""
    computed = [counts.get(key) or 0 for key in ("prompt_slots", "vision_slots")]
    used = [counts.get(key) or 0 for key in ("prompt_tokens", "vision_patches")]
    return 1 - sum(used) / sum(computed) if sum(computed) else None


def sharing(story: Story) -> Markup:
    """Returns the passes of each stage and the answers per pass."""
    counts = {
        key: sum(
            (session.get("counts") or {}).get(key) or 0 for session in story.run.facts["sessions"]
        )
        for key in COUNTS
    }
    answers = counts["answers"]
    rows = [
        [words, f"{counts[key]:,}", decimal(answers / counts[key] if counts[key] else None, 2)]
        for key, words in COUNTS.items()
    ]
    return table(["stage", "times run", "answers for each"], rows)


def controller(story: Story) -> Markup | None:
    """Returns the controller's estimated seconds by method, or None if nothing was measured."""
    rows = []
    for name in story.names:
        known = [
            (
                session["controller_share"][name],
                _of((session.get("seconds") or {}).get("decode"), name),
            )
            for session in story.run.facts["sessions"]
            if (session.get("controller_share") or {}).get(name) is not None
        ]
        if known:
            share, decode = (sum(values) for values in zip(*known, strict=True))
            part = percent(share / decode) if decode else DASH
            rows.append([method(story, name), decimal(decode), f"≈ {decimal(share)}", f"≈ {part}"])
    head = [
        "method", "decode, s", "of it the controller, s (estimate)",
        "share of decode, % (estimate)",
    ]  # fmt: skip
    return table(head, rows) if rows else None


def _total(value: Any) -> float | None:
    """Returns the seconds of a stage, summed over methods where it is kept by method."""
    if isinstance(value, dict):
        return sum(number or 0.0 for number in value.values())
    return value


def _words(value: Any) -> str:
    """Returns "8 × 1" of a mesh, "cpu" of a list of devices."""
    if isinstance(value, dict):
        return " × ".join(map(str, value.values()))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _of(value: Any, name: str) -> float:
    return (value.get(name) or 0.0) if isinstance(value, dict) else 0.0
