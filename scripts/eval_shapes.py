"""Measures methods on `shapes`: accuracy by kind and level, and what a method changes in a reply.

    python scripts/eval_shapes.py --split validation --count 240 --out table.json \\
        baseline vreason vreason:controller.learning_rate=0.1,controller.every=1

The first method is the one the others are compared with. Per method:

    accuracy            of the answer between the tags, by kind and level, with standard errors
    tokens, closed      mean length of a reply; share of replies with both tags closed
    entropy             mean over all tokens of the method's own replies, in nats
    changed             share of replies whose tokens differ from the first method's
    delta_logit, kl     both read the first method's reply token by token, the controller at work;
                        mean over tokens (and ids) of |z - z_first|, and over tokens of
                        KL(first || method) in nats, of the distributions that are drawn from
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from vreason_jax.config import load_config  # noqa: E402
from vreason_jax.decoding import loop  # noqa: E402
from vreason_jax.decoding.driver import text_length  # noqa: E402
from vreason_jax.engine import Checkpoint, Engine  # noqa: E402
from vreason_jax.errors import UserError  # noqa: E402
from vreason_jax.evaluation.sharing import Asked, SharedReader  # noqa: E402
from vreason_jax.inputs import as_question  # noqa: E402
from vreason_jax.output.answer import extract_answer  # noqa: E402
from vreason_jax.prompt.batch import batch_prompts  # noqa: E402
from vreason_jax.shapes import KINDS, Sample, sample  # noqa: E402
from vreason_jax.shapes.render import backdrop  # noqa: E402

MAX_NEW_TOKENS = 320
CORRUPTIONS = ("none", "blank", "shuffled", "last_values")


def main() -> int:
    options = _parser().parse_args()
    try:
        table = evaluate(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    Path(options.out).write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return 0


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the table: the options, and one record for every method."""
    runs = {name: parse_method(name) for name in options.methods}
    engine = Engine(Checkpoint.open(options.model, next(iter(runs.values()))), options.mesh)
    reader = SharedReader(
        engine, batch_size=-(-options.batch // engine.mesh.shape["data"]), clips=1
    )
    rows: dict[str, list[dict]] = defaultdict(list)
    for first in range(options.first, options.first + options.count, options.batch):
        last = min(first + options.batch, options.first + options.count)
        samples = [sample(options.split, index) for index in range(first, last)]
        for name, records in measure(reader, engine, runs, samples, options).items():
            rows[name] += records
        right = np.mean([row["right"] for row in rows[options.methods[0]]])
        print(f"{last - options.first}/{options.count}  {right:.3f}", file=sys.stderr)
    return {"options": vars(options), **{name: summary(records) for name, records in rows.items()}}


def parse_method(text: str):
    """Returns the RunConfig of `config` or `config:key=value,key=value`."""
    name, _, rest = text.partition(":")
    pairs = dict(pair.split("=", 1) for pair in rest.split(",") if pair)
    values = {key: _value(value) for key, value in pairs.items()}
    return load_config(name, {"sampling.max_new_tokens": MAX_NEW_TOKENS, **values})


def measure(reader, engine, runs, samples: list[Sample], options) -> dict[str, list[dict]]:
    """Returns, for every method, one record for every sample."""
    checkpoint, model = engine.checkpoint, engine.model
    batch = reader.read([_asked(checkpoint, s, options) for s in samples])
    found: dict[str, list[dict]] = {}
    reference = None
    for name, run in runs.items():

        def start(run=run):
            started = reader.begin(batch, run, run.sampling.seed)
            if options.corrupt == "last_values":
                return without_last_values(started, batch)
            return started

        trace = reader.decode(start(), run.sampling.max_new_tokens)
        found[name] = [
            _record(checkpoint.tokenizer, *row)
            for row in zip(samples, trace.token.T, trace.entropy.T, strict=False)
        ]
        if len(runs) == 1:
            continue
        if reference is None:
            logits = forced_logits(model, start(), trace.token)
            reference = trace.token, [len(r["ids"]) for r in found[name]], logits
        compare(found[name], model, start(), *reference)
        for record, other in zip(found[name], found[next(iter(runs))], strict=True):
            record["changed"] = record["ids"] != other["ids"]
    return found


def without_last_values(started, batch):
    """Zeroes the last layer's values at the video tokens (the token of prefill has seen them)."""
    cache = started.state.cache
    prompts = [asked.prepared.prompt for asked in batch.rows]
    video_slots = batch_prompts(prompts, 0, length=batch.length).video_slots
    slots = np.zeros((len(prompts), cache.last.values.shape[2]), bool)
    np.put_along_axis(slots, video_slots, True, axis=1)
    values = jnp.where(slots[:, None, :, None], 0.0, cache.last.values)
    cache = cache.replace(last=cache.last.replace(values=values))
    context = started.context.replace(video_values=0 * started.context.video_values)
    return started._replace(context=context, state=started.state.replace(cache=cache))


def forced_logits(model, started, tokens: np.ndarray) -> jax.Array:
    """Returns logits [T - 1, B, V] of tokens 1, 2, ... of given replies [T, B], read in turn."""
    return _forced(
        model, started.context, started.state, jnp.asarray(tokens), settings=started.settings
    )


def compare(records: list[dict], model, started, tokens, lengths, reference) -> None:
    """Adds to each record the sums of |z - z_first| and of KL over the first method's reply."""
    logits = forced_logits(model, started, tokens)
    deltas, divergences = (np.asarray(a).T for a in _distances(logits, reference))
    # The batch may have been filled up with rows that nobody asked for.
    rows = zip(records, lengths, deltas, divergences, strict=False)
    for record, length, delta, divergence in rows:
        # The first token comes out of prefill, before any method has acted.
        record["delta_logit"] = float(delta[: length - 1].sum() / length)
        record["kl"] = float(divergence[: length - 1].sum() / length)


def summary(records: list[dict]) -> dict[str, Any]:
    """Returns the means of a method's records, accuracies with their standard errors."""
    groups = defaultdict(list)
    for record in records:
        for key in ("all", record["kind"], f"level {record['level']}"):
            groups[key].append(record["right"])
        groups[f"{record['kind']} level {record['level']}"].append(record["right"])
    order = ["all", *KINDS, *sorted(k for k in groups if k not in ("all", *KINDS))]
    result: dict[str, Any] = {
        "accuracy": {key: _mean_and_error(groups[key]) for key in order if key in groups},
        "constant": _best_constant(records),
        "questions": len(records),
        "tokens": float(np.mean([len(r["ids"]) for r in records])),
        "closed": float(np.mean([r["closed"] for r in records])),
        "entropy": float(np.mean(np.concatenate([r["entropy"] for r in records]))),
    }
    for key in ("changed", "delta_logit", "kl"):
        if key in records[0]:
            result[key] = float(np.mean([r[key] for r in records]))
    return result


@jax.jit
def _distances(logits, reference):
    ours, first = jax.nn.log_softmax(logits), jax.nn.log_softmax(reference)
    divergence = jnp.sum(jnp.exp(first) * (first - ours), axis=-1)
    return jnp.mean(jnp.abs(logits - reference), axis=-1), divergence


@jax.jit(static_argnames="settings")
def _forced(model, context, state, tokens, *, settings):
    def step(state, token):
        # As decode_token, but the token that is fed next is given.
        state = state.replace(token=token)
        state, logits, controller, _ = loop.next_logits(model, context, state, settings)
        state = state.replace(step=state.step + 1, controller=controller)
        return state, logits

    return jax.lax.scan(step, state, tokens[:-1])[1]


def _asked(checkpoint, sample: Sample, options) -> Asked:
    name = f"{options.split}/{sample.index}"
    prepared = checkpoint.prepare(_question(sample, options.corrupt))
    return Asked(prepared, clip_key=name, seed_key=name)


def _question(sample: Sample, corruption: str):
    frames = sample.frames
    if corruption == "blank":
        frames = np.broadcast_to(backdrop(sample.scene.background), frames.shape)
    if corruption == "shuffled":
        frames = frames[np.random.default_rng(sample.index).permutation(len(frames))]
    return as_question((np.ascontiguousarray(frames), sample.fps), sample.question)


def _record(tokenizer, sample: Sample, ids: np.ndarray, entropy: np.ndarray) -> dict:
    length = text_length(ids, tokenizer.ids.eos)
    text = tokenizer.decode(ids[:length])
    return {
        "kind": sample.kind,
        "level": sample.level,
        "gold": sample.answer,
        "right": extract_answer(text) == sample.answer,
        "closed": "</think>" in text and "</answer>" in text,
        "ids": ids[: length + 1].tolist(),
        "entropy": entropy[: length + 1],
    }


def _mean_and_error(values: list[bool]) -> list[float]:
    mean = float(np.mean(values))
    return [round(mean, 4), round(float(np.sqrt(mean * (1 - mean) / len(values))), 4)]


def _best_constant(records: list[dict]) -> dict[str, float]:
    """Returns the accuracy, by kind, of always giving the kind's most frequent answer."""
    golds = defaultdict(list)
    for record in records:
        golds[record["kind"]].append(record["gold"])
    return {
        kind: round(max(map(golds[kind].count, golds[kind])) / len(golds[kind]), 4)
        for kind in KINDS
        if kind in golds
    }


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("methods", nargs="+", metavar="METHOD", help="CONFIG or CONFIG:KEY=VALUE,KEY=VALUE")
    add("--model", metavar="FOLDER", help="a checkpoint folder [the embedded one]")
    add("--split", default="validation", help="train, validation or test [validation]")
    add("--first", type=int, default=0, metavar="I", help="index of the first question [0]")
    add("--count", type=int, default=240, metavar="N", help="how many questions [240]")
    add("--batch", type=int, default=48, metavar="B", help="questions decoded together [48]")
    add("--corrupt", default="none", choices=CORRUPTIONS, help="what the model does not see [none]")
    add("--mesh", default="data=1", help="as of generate [data=1]")
    add("--out", required=True, metavar="FILE.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
