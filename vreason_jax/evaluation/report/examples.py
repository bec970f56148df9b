"""Single answers with their traces, beginning with those on which methods differ."""

import numpy as np

from vreason_jax.evaluation.report.markup import Markup, decimal, percent, tag
from vreason_jax.evaluation.report.story import Story
from vreason_jax.evaluation.report.tables import method
from vreason_jax.evaluation.report.trace_charts import spark
from vreason_jax.evaluation.results.lines import Line
from vreason_jax.evaluation.results.questions import Words
from vreason_jax.evaluation.statistics.curves import read_trace

QUESTIONS = 24
METHODS = 8  # shown of one question
CHARACTERS = 4_000  # of one text


def pick(lines: list[Line], size: int = QUESTIONS) -> list[list[Line]]:
    """Returns the answers of up to `size` questions, by question, of one seed each.

    Questions with differing scores come first. Both groups are sampled evenly over the run.
    """
    questions: dict[str, dict[str, Line]] = {}
    for line in sorted(lines, key=lambda line: line.seed):
        questions.setdefault(line.id, {}).setdefault(line.method, line)
    answers = [list(answer.values()) for answer in questions.values()]
    parted = [answer for answer in answers if len({line.score for line in answer}) > 1]
    agreed = [answer for answer in answers if len({line.score for line in answer}) == 1]
    chosen = _evenly(parted, size)
    return chosen + _evenly(agreed, size - len(chosen))


def show(story: Story, answers: list[Line]) -> Markup:
    """Returns one question's answers, folded; the heading names the methods that are right."""
    place = {name: index for index, name in enumerate(story.names)}
    answers = sorted(answers, key=lambda line: place[line.method])[:METHODS]
    verdicts = [
        tag("span", f"{line.method} {_verdict(line)}", class_=f"verdict {story.tone(line.method)}")
        for line in answers
    ]
    first = answers[0]
    words = tag("span", f"{first.id} · {first.task} · gold {first.gold}", class_="what")
    return tag(
        "details",
        tag("summary", words, verdicts),
        _question(story.run.questions.get(first.id)),
        [_answer(story, line) for line in answers],
    )


def _question(words: Words | None) -> Markup | None:
    if words is None:
        return None
    options = [tag("li", _cut(option)) for option in words["options"]]
    return tag(
        "div",
        tag("p", _cut(words["problem"])),
        tag("ul", options) if options else None,
        class_="question",
    )


def _answer(story: Story, line: Line) -> Markup:
    facts = f"answer {line.answer if line.answer is not None else 'none'} · {_verdict(line)}"
    facts += f" · score {percent(line.score)} % · {line.tokens} tokens · {line.status}"
    if line.answer_probability is not None:
        facts += f" · probability {decimal(line.answer_probability, 2)}"
    facts += f" · seed {line.seed}"
    trace = read_trace(line.trace_path) if line.trace_path else None
    drawn = trace is not None and np.any(np.isfinite(trace["entropy"]))
    return tag(
        "article",
        tag("h4", method(story, line.method), tag("span", facts, class_="facts")),
        spark(trace, story.tone(line.method)) if trace is not None and drawn else None,
        tag("pre", _cut(line.text)),
    )


def _cut(text: str) -> str:
    more = len(text) - CHARACTERS
    return text if more <= 0 else f"{text[:CHARACTERS]} … [{more:,} more characters]"


def _verdict(line: Line) -> str:
    if 0 < line.score < 1:
        return f"{percent(line.score, 0)} %"
    return "✓ right" if line.score else "✗ wrong"


def _evenly(items: list, size: int) -> list:
    if len(items) <= size:
        return items
    return [items[int(place)] for place in np.linspace(0, len(items) - 1, size)] if size else []
