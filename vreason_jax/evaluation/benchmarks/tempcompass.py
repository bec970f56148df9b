"""TempCompass (llyx97/TempCompass): short clips, four kinds of question about five aspects.

`questions/<kind>.json` as {video: {aspect: [{question, answer}]}}, or rows with `video_id` and
`dim` per kind (lmms-lab/TempCompass); videos at videos/<id>.mp4. Options stand in the question's
words and are taken out of them. Captioning is judged by which of its pieces of information a
caption comes nearest to.
"""

import functools
import re
from typing import Any

from vreason_jax.errors import shown
from vreason_jax.evaluation.benchmarks import fields as fields_lib
from vreason_jax.evaluation.benchmarks.layout import Layout, Source, groups_by_type, in_any_format
from vreason_jax.evaluation.benchmarks.options import LETTERS, by_place
from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, Record
from vreason_jax.evaluation.benchmarks.rows import BrokenRowError, Row

MULTI_CHOICE, YES_NO, MATCHING, CAPTIONING = (
    "multi-choice", "yes_no", "caption_matching", "captioning",
)  # fmt: skip
KINDS = (MULTI_CHOICE, YES_NO, MATCHING, CAPTIONING)
ASPECTS = ("action", "speed", "direction", "order", "attribute_change")
YES_OR_NO = ("A. yes", "B. no")

# How an option begins: "A. ", "Option 1: ", "Information A: ". Three real lines are off by a space.
_MARKS = {
    MULTI_CHOICE: re.compile(r"\s*([A-Z])\.\s*(.*)"),
    MATCHING: re.compile(r"\s*((?:Option|Caption|Sentence) \w):\s*(.*)"),
    CAPTIONING: re.compile(r"\s*Information ([A-Z]):\s*(.*)"),
}


def read(row: Row, label: str) -> list[Record]:
    """Returns the record of a row of the kind `label`; raises BrokenRowError."""
    fields = row.fields()
    video, aspect, number = _place(row, fields)
    question = fields_lib.text(fields, "question")
    answer = fields_lib.text(fields, "answer").strip()
    problem, options, gold = _parts(label, question, answer)
    return [
        Record(
            id=f"{label}/{video}/{aspect}/{number}",
            benchmark="tempcompass",
            video=fields_lib.below_the_folder(f"videos/{video}.mp4", "video_id"),
            problem=problem,
            options=options,
            gold=gold,
            kind=FREE if label == CAPTIONING else CHOICE,
            task=label,
            subset=aspect,
        )
    ]


def _place(row: Row, fields: dict[str, Any]) -> tuple[str, str, str]:
    if len(row.keys) == 3:
        video, aspect, number = row.keys
    else:
        video, aspect = fields_lib.native_id(fields, "video_id"), fields_lib.text(fields, "dim")
        number = row.keys[-1]
    if aspect not in ASPECTS:
        raise BrokenRowError(f"expected an aspect of {', '.join(ASPECTS)}, got {shown(aspect)}")
    return video, aspect, number


def _parts(label: str, question: str, answer: str) -> tuple[str, tuple[str, ...], str]:
    """Returns the question's words, the options and the gold letter."""
    if label == YES_NO:
        answer = answer.strip(" .").lower()
        if answer not in ("yes", "no"):
            raise BrokenRowError(f"'answer': expected yes or no, got {shown(answer)}")
        return question, YES_OR_NO, "A" if answer == "yes" else "B"
    found = [(line, _MARKS[label].fullmatch(line)) for line in question.splitlines()]
    marked = [match for _, match in found if match]
    if len(marked) < 2:
        raise BrokenRowError(f"'question': expected options in it, got {shown(question)}")
    marks = [match.group(1) for match in marked]
    mark = re.match(r"(?:(?:Option|Caption|Sentence) )?\w(?=[.:])", answer)
    if mark is None or marks.count(mark.group()) != 1:
        raise BrokenRowError(
            f"'answer': expected one that begins with {', '.join(marks)}, got {shown(answer)}"
        )
    options = by_place([match.group(2) for match in marked], "question")
    # A caption is written from the pieces of information: they stay in the words.
    words = question if label == CAPTIONING else "\n".join(t for t, match in found if not match)
    return words, options, LETTERS[marks.index(mark.group())]


def _patterns(kind: str) -> tuple[str, ...]:
    return in_any_format(f"questions/{kind}", kind, f"*/{kind}", f"{kind}/*")


LAYOUT = Layout(
    "tempcompass",
    tuple(Source(kind, _patterns(kind)) for kind in KINDS),
    read,
    functools.partial(groups_by_type, subset="dim"),
    object_depth=3,
)
