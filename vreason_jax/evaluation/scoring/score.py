"""From a reply to its score, under a protocol's rule: strictly, and read leniently."""

import dataclasses

from vreason_jax.evaluation.benchmarks.record import CHOICE, NUMBER, REGRESSION, Record
from vreason_jax.evaluation.scoring import numeric, official
from vreason_jax.evaluation.scoring.choices import option_in
from vreason_jax.evaluation.scoring.extraction import answer_part, extract, lenient
from vreason_jax.evaluation.scoring.protocol import Protocol
from vreason_jax.output.answer import extract_answer

__all__ = ["Scored", "extract", "lenient", "score"]


@dataclasses.dataclass(frozen=True)
class Scored:
    """What a reply is worth."""

    prediction: str  # what the protocol's rule takes for the answer; "" for nothing
    score: float  # 0 to 1
    score_lenient: float  # with the answer found in whatever form it has, and numbers by value
    answered: bool  # the reply has the form of answer that the protocol asks for


def score(record: Record, text: str, protocol: Protocol, *, truncated: bool = False) -> Scored:
    """Returns the score of a reply under the protocol's rule.

    `video_r1`: the first answer block, else the whole reply; letters must be equal, numbers have
    its quirks. `tags`: the same, but nothing stands in for a missing block, and the words of an
    option stand for its letter. `official`: the rule and metric of the benchmark's authors
    (`official`). A reply that was cut off (`truncated`) has no answer but one in a closed block,
    nor has reasoning that nothing closes. The lenient score is that of what a person would read;
    where that is nothing, the rule's own.
    """
    if extract_answer(text) is None and (truncated or not answer_part(text)):
        return Scored("", 0.0, 0.0, False)
    found = lenient(text, record)
    if protocol.rule == "official":
        prediction = official.answer(text, record)
        strict, relaxed = (official.credit(answer, record) for answer in (prediction, found))
        return Scored(prediction, strict, relaxed if found else strict, bool(prediction))
    block = extract_answer(text)
    if protocol.rule == "video_r1":
        prediction = extract(text)
    else:
        prediction = option_in(block or "", record.options)
    strict = video_r1_credit(prediction, record)
    relaxed = _relaxed_credit(found, record) if found else strict
    return Scored(prediction, strict, relaxed, bool(block))


def video_r1_credit(prediction: str, record: Record) -> float:
    """Returns Video-R1's reward of an answer (reward_fn in src/eval_bench.py).

    A letter must be equal to the gold one. A number is wrong where it has "." or "," and the gold
    one has not, or the other way round; else right if equal in two decimals. A regression gets the
    mean relative accuracy, anything else nothing.
    """
    gold = record.gold
    if record.kind == CHOICE:
        return float(prediction.strip() == gold.strip())
    if record.kind == NUMBER:
        if _has_point(prediction) != _has_point(gold):
            return 0.0
        return float(numeric.equal_to_hundredths(prediction, gold))
    return _accuracy(prediction, record)


def _relaxed_credit(found: str, record: Record) -> float:
    if record.kind == CHOICE:
        return float(found.lower() == record.gold.lower())
    if record.kind == NUMBER:
        return float(official.is_number(found, record.gold))
    return _accuracy(found, record)


def _accuracy(prediction: str, record: Record) -> float:
    number, target = numeric.parse(prediction), numeric.parse(record.gold)
    if record.kind != REGRESSION or number is None or target is None:
        return 0.0
    return numeric.mra_video_r1(number, target)


def _has_point(text: str) -> bool:
    return "." in text or "," in text
