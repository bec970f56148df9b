"""`python -m vreason_jax.generate`: a video and a question in, the answer and its trace out."""

import argparse
import contextlib
import json
import sys
import time
from typing import Any

from vreason_jax.command_line import (
    OptionParser,
    add_devices,
    add_model,
    add_warmup,
    exit_code,
    integer,
    is_first_process,
    join_hosts,
    note,
    positive_integer,
    positive_number,
    tell_of_end,
    warn,
    write_out,
)
from vreason_jax.errors import UserError

_OUTPUTS = ("--trace", "--plot", "--dump-inputs")
_QUESTION = 128  # tokens: --warmup compiles for questions up to this


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code: 0, or 2 where the user's input is wrong."""
    return exit_code(
        lambda: _run(_parser().parse_args(argv)),
        lambda code, text: tell_of_end(argv, code, text),
    )


def _run(arguments: argparse.Namespace) -> None:
    # Imported late: --help and a mistyped flag must not wait for JAX.
    from vreason_jax.prompt import isolation
    from vreason_jax.video.process import kept_worker

    with isolation.ready(), contextlib.nullcontext() if arguments.no_video else kept_worker():
        join_hosts(arguments)
        checkpoint, run, row, seconds = _prepare(arguments)
    from vreason_jax.engine.asking import Asking
    from vreason_jax.engine.engine import Engine
    from vreason_jax.engine.warm_up import Limits, warm_up

    note(f"{len(row.prompt.token_ids)} prompt tokens, {row.video_tokens} of them video")
    engine = Engine.load(checkpoint, run.model, arguments.mesh, warn)
    note(f"loaded the model in {engine.loading['load']:.1f} s")
    if arguments.warmup:
        question = max(_QUESTION, len(row.prompt.token_ids) - row.prompt.shared_length)
        frames = None if row.prompt.media else 0
        samples = arguments.samples
        limits = Limits.of(checkpoint, run, question=question, frames=frames, samples=samples)
        warm_up(engine, [run], limits, note)
    samples = None if arguments.samples == 1 else arguments.samples
    asking = Asking(
        engine,
        run,
        [row],
        samples=samples,
        ignore_eos=arguments.ignore_eos,
        video_seconds=seconds,
        first=not arguments.warmup,
    )
    if not arguments.json:
        for piece in asking.pieces():
            _print(piece)
        _print("\n")
    answers = asking.finish()
    spent, tokens = answers[0].seconds, sum(len(a.tokens.token) for a in answers)
    note(f"{tokens} tokens in {sum(spent.values()) - spent['load']:.1f} s")
    if is_first_process():
        _finish(arguments, row, answers)


def _prepare(arguments: argparse.Namespace):
    """Everything that can be wrong without the weights is found out here, before they load."""
    from vreason_jax.checkpoint import Checkpoint
    from vreason_jax.config import RunConfig, config_values
    from vreason_jax.settings import apply_overrides

    values = {**config_values(arguments.config), **_overrides(arguments)}
    run = apply_overrides(RunConfig(), values)
    if is_first_process():
        _check_outputs(arguments, run.prompt.template)
    question = _question(arguments)
    checkpoint = Checkpoint.open(arguments.model)
    run = checkpoint.sampled(run, values)
    began = time.perf_counter()
    row = checkpoint.prepare(question, run)
    seconds = time.perf_counter() - began
    run.check_samples(arguments.samples, video=row.video_tokens > 0)
    checkpoint.check_memory(run, [row], arguments.samples)
    return checkpoint, run, row, seconds


def _check_outputs(arguments: argparse.Namespace, template: str | None) -> None:
    from vreason_jax.output.files import check_apart, check_writable
    from vreason_jax.output.plot import check_plot

    inputs = [(f"--{kind}", path) for kind, path in arguments.media]
    inputs += [("prompt.template", template)] if template else []
    inputs += [("--config", arguments.config)] if arguments.config.endswith(".toml") else []
    outputs = {key: getattr(arguments, key[2:].replace("-", "_")) for key in _OUTPUTS}
    check_apart(inputs, outputs)
    if arguments.trace is not None:
        check_writable(arguments.trace, "--trace")
    if arguments.dump_inputs is not None:
        check_writable(arguments.dump_inputs, "--dump-inputs")
    if arguments.plot is not None:
        check_plot(arguments.plot)


def _finish(arguments: argparse.Namespace, row, answers) -> None:
    from vreason_jax.output.inputs import dump_inputs, input_arrays
    from vreason_jax.output.plot import write_plot
    from vreason_jax.output.trace import write_trace

    one = len(answers) == 1
    if arguments.json:
        objects = [_json_fields(answer) for answer in answers]
        _print(json.dumps(objects[0] if one else objects) + "\n")
    else:
        for number, answer in enumerate(answers[1:], start=2):
            _print(f"--- {number} of {len(answers)}\n{answer.text}\n")
    if arguments.trace is not None:
        traces = [answer.trace for answer in answers]
        write_trace(arguments.trace, traces[0] if one else traces)
    if arguments.dump_inputs is not None:
        dump_inputs(arguments.dump_inputs, input_arrays(row))
    if arguments.plot is not None:
        write_plot(arguments.plot, answers[0].trace)


def _json_fields(answer) -> dict[str, Any]:
    return {
        "text": answer.text,
        "answer": answer.answer,
        "tokens": answer.facts["tokens"],
        "seconds": answer.seconds,
    }


def _question(arguments: argparse.Namespace):
    from vreason_jax import embedded
    from vreason_jax.questions import ImageFile, Question, VideoFile

    media = list(arguments.media)
    videos = any(kind == "video" for kind, _ in media)
    if arguments.no_video and videos:
        raise UserError("--no-video and --video exclude each other: leave one of them out")
    if not videos and not arguments.no_video:
        media.insert(0, ("video", str(embedded.CLIP)))
    sources = [
        VideoFile(path, arguments.fps) if kind == "video" else ImageFile(path)
        for kind, path in media
    ]
    text = embedded.embedded_question() if arguments.prompt is None else arguments.prompt
    return Question(tuple(sources), text)


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    from vreason_jax.settings import parse_set

    values = {
        "controller.objective": "none" if arguments.baseline else None,
        "prune.fraction": 0.5 if arguments.lite else None,
        "sampling.max_new_tokens": arguments.max_new_tokens,
        "video.num_frames": arguments.num_frames,
        "sampling.seed": arguments.seed,
        "model.dtype": arguments.dtype,
    }
    given = {key: value for key, value in values.items() if value is not None}
    return {**given, **dict(parse_set(text) for text in arguments.set)}


def _print(text: str) -> None:
    if text and is_first_process():
        write_out(text)


class _Medium(argparse.Action):
    """Collects --video and --image in one list, in the order given."""

    def __call__(self, parser, namespace, values, option_string=None):
        kind = str(option_string).removeprefix("--")
        namespace.media = [*namespace.media, (kind, values)]


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m vreason_jax.generate",
        description="Answers a question about a video, reasoning by V-Reason.",
        epilog="Without arguments it answers the embedded question about the embedded clip.",
    )
    add = parser.add_argument
    parser.set_defaults(media=[])
    add_model(parser)
    video = "video file, folder of frames, pipe or - for stdin; repeatable"
    add("--video", metavar="PATH", action=_Medium, help=video)
    rate = "frames a second of a folder of frames [2.0]"
    add("--fps", type=positive_number, default=2.0, metavar="F", help=rate)
    add("--image", metavar="PATH", action=_Medium, help="image file; repeatable")
    add("--no-video", action="store_true", help="no video, not even the embedded clip")
    add("--prompt", metavar="TEXT", help="the question [the embedded clip's]")
    add("--config", default="vreason", metavar="NAME_OR_FILE", help="run config [vreason]")
    add("--baseline", action="store_true", help="plain decoding: controller.objective=none")
    add("--lite", action="store_true", help="V-Reason Lite: prune.fraction=0.5")
    add("--max-new-tokens", type=integer, metavar="N", help="sampling.max_new_tokens")
    add("--num-frames", type=integer, metavar="N", help="video.num_frames")
    add("--seed", type=integer, metavar="N", help="sampling.seed")
    add("--dtype", metavar="D", help="model.dtype: float32, bfloat16 or float16")
    add("--ignore-eos", action="store_true", help="decode all tokens, past the end of the answer")
    add(
        "--samples",
        type=positive_integer,
        default=1,
        metavar="N",
        help="answers from one reading of the prompt, by seeds sampling.seed and on [1]",
    )
    add_warmup(parser)
    add("--trace", metavar="FILE.json", help="write the trace, token by token")
    add("--dump-inputs", metavar="FILE.npz", help="write what went into the model")
    add("--plot", metavar="FILE.png", help="draw entropy, EMA and peak, alpha and the delta's norm")
    add("--json", action="store_true", help="print one JSON object instead of the text")
    add_devices(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
