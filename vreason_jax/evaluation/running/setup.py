"""All that a run is made of but the weights, so that what is wrong is told before they load."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import RunConfig, steered_layers
from vreason_jax.engine.warm_up import Limits
from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks import shapes
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.readers import Dataset, read_benchmark
from vreason_jax.evaluation.results.run_folder import Key, RunFolder, State
from vreason_jax.evaluation.running import identity
from vreason_jax.evaluation.running.controls import NONE, check_control
from vreason_jax.evaluation.running.methods import (
    load_methods,
    method_values,
    seeds_of,
    with_seed,
)
from vreason_jax.evaluation.running.shards import WHOLE, Shard
from vreason_jax.evaluation.scoring.protocol import Protocol, load_protocol
from vreason_jax.output.trace import library_versions
from vreason_jax.prompt.chat import read_wrapping
from vreason_jax.video.sampling import max_frames_of

Warn = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Request:
    """What a user asks for, as the flags say it."""

    benchmark: str
    data: Path | None
    protocol: str
    methods: Sequence[str]
    experiment: str | None
    seeds: Sequence[int]
    model: str | None
    overrides: Mapping[str, Any]
    template: str | None = None
    limit: int | None = None
    strict: bool = False
    split: str = shapes.TEST
    control: str = NONE
    compare_logits: bool = False
    allow_outside: bool = False
    time_controller: bool = False
    shard: Shard = WHOLE
    claim: bool = False
    # Where and how it runs, which changes no answer:
    out: Path | None = None
    mesh: str | None = None
    batch_size: int = 8
    retry_failed: bool = False


@dataclasses.dataclass(frozen=True)
class Task:
    """One answer to be given to every question."""

    method: str
    seed: int
    run: RunConfig
    config_hash: str

    def key(self, record: Record) -> Key:
        """Returns what names the answer to a question."""
        return Key(record.id, self.method, self.seed, self.config_hash)


@dataclasses.dataclass(frozen=True)
class Setup:
    """Questions, methods and the checkpoint, all of them checked."""

    request: Request
    records: list[Record]
    protocol: Protocol
    methods: dict[str, RunConfig]
    tasks: list[Task]
    checkpoint: Checkpoint
    model_name: str
    common: dict[str, Any]  # what can change every method's answers, for the hash

    def facts(self) -> dict[str, Any]:
        """Returns what `run.json` says of the run as a whole."""
        return {
            "benchmark": self.request.benchmark,
            "split": self.request.split,
            "control": self.request.control,
            "protocol": self.protocol.name,
            "model": self.model_name,
            "methods": {name: run.to_dict() for name, run in self.methods.items()},
            "seeds": list(dict.fromkeys(task.seed for task in self.tasks)),
            "notes": list(self.protocol.notes(self.request.benchmark)),
            "versions": library_versions(),
            "identity": {"common": self._common_values(), "methods": self._answer_values()},
        }

    def keys(self, records: Sequence[Record]) -> list[Key]:
        """Returns what names the answers to some questions."""
        return [task.key(record) for record in records for task in self.tasks]

    def check_goes_on(self, former: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the facts beside those of a former run, or raises UserError if they differ."""
        facts = self.facts()
        self.request.shard.check_goes_on(former.get("parts", []))
        if "identity" in former:
            identity.check_same(former["identity"], self._common_values(), self._answer_values())
            both = {**former["identity"].get("methods", {}), **facts["identity"]["methods"]}
            facts["identity"]["methods"] = both
        return facts

    def first_method(self, former: Mapping[str, Any]) -> str:
        """Returns the method that a folder's others are compared with, the first it ever had.

        Raises UserError where its logits are to be compared with, but it is not asked for.
        """
        mine = next(iter(self.methods))
        first = next(iter(former.get("methods", {})), mine)
        if self.request.compare_logits and first != mine:
            raise UserError(
                f"--compare-logits: expected {first} in front of --methods, as the folder's lines "
                f"are compared with it, got {mine}"
            )
        return first

    def limits(self) -> Limits:
        """Returns what the questions need at most, subtitles left out."""
        encode, text = self.checkpoint.tokenizer.encode_text, self.protocol.question_text
        longest = max((len(encode(text(record))) for record in self.records), default=0)
        return Limits.of(self.checkpoint, next(iter(self.methods.values())), question=longest)

    def pending(self, record: Record, folder: RunFolder) -> list[Task]:
        """Returns the tasks by which a question has no line yet."""
        return [task for task in self.tasks if folder.state(task.key(record)) is State.TO_DO]

    def digests(self) -> dict[str, Any]:
        """Returns what processes of one run must have in common, where their files may differ."""
        ids = json.dumps([dataclasses.astuple(record) for record in self.records]).encode()
        hashes = [f"{task.method} {task.seed} {task.config_hash}" for task in self.tasks]
        return {"questions": hashlib.sha256(ids).hexdigest(), "methods": hashes, **self.common}

    def _common_values(self) -> dict[str, Any]:
        # Comparing changes no answer, so the hash leaves it out; but all lines have it or none.
        compared = {"compare_logits": True} if self.request.compare_logits else {}
        return {**self.common, **compared}

    def _answer_values(self) -> dict[str, dict[str, Any]]:
        return {name: identity.answer_values(run) for name, run in self.methods.items()}


def read_questions(request: Request, warn: Warn) -> tuple[Protocol, dict[str, RunConfig], Dataset]:
    """Returns the protocol, the methods and the questions; warns of rows that are none."""
    check_control(request.control)
    protocol = load_protocol(request.protocol, request.template)
    methods = load_methods(
        request.methods,
        request.experiment,
        protocol=protocol.run_overrides(),
        overrides=request.overrides,
    )
    dataset = read_benchmark(
        request.benchmark,
        request.data,
        strict=request.strict,
        limit=request.limit,
        select=protocol.select,
        split=request.split,
    )
    for line in (*dataset.notices, *dataset.refused):
        warn(line)
    if not dataset.records:
        raise UserError(
            f"--benchmark: protocol {protocol.name} asks no question of {request.benchmark}"
        )
    mine = tuple(request.shard.cut(dataset.records))
    return protocol, methods, dataclasses.replace(dataset, records=mine)


def prepare(request: Request, warn: Warn, former: Mapping[str, Any] | None = None) -> Setup:
    """Returns the run that is asked for; raises UserError for whatever is wrong with it.

    `former` are the facts of those that it goes on with.
    """
    protocol, methods, dataset = read_questions(request, warn)
    records = list(dataset.records)
    first = next(iter(methods.values()))
    read_wrapping(first.prompt.template)
    checkpoint = Checkpoint.open(request.model)
    values = method_values(request.methods, request.experiment)
    methods = {
        name: checkpoint.sampled(run, {*values[name], *request.overrides})
        for name, run in methods.items()
    }
    for run in methods.values():
        steered_layers(run.controller.placement, checkpoint.config.text.layers)
    checkpoint.preprocessing.video_sizing(first.video)
    max_frames_of(first.video, checkpoint.config.geometry.temporal_patch)
    name = model_name(request.model)
    common = {
        "benchmark": request.benchmark,
        **identity.protocol_values(protocol.to_dict()),
        "model": name,
        "checkpoint": identity.fingerprint(checkpoint.folder),
        "dtype": checkpoint.dtype(first.model).name,
        **_unusual(request),
    }
    former_seeds = (former or {}).get("seeds", [])
    tasks = _tasks(methods, request.seeds, former_seeds, common, warn)
    return Setup(request, records, protocol, methods, tasks, checkpoint, name, common)


def model_name(model: str | None) -> str:
    """Returns what lines call the model: a hub id, or the name of a folder."""
    if model is not None and Path(model).is_dir():
        return Path(model).resolve().name
    return "embedded" if model in (None, "shapes") else model


def _unusual(request: Request) -> dict[str, str]:
    """What most runs leave alone, and is part of the hash only where it is not: old runs go on."""
    values = {"split": (request.split, shapes.TEST), "control": (request.control, NONE)}
    return {key: value for key, (value, usual) in values.items() if value != usual}


def _tasks(methods, seeds, former, common, warn: Warn) -> list[Task]:
    chosen = {name: seeds_of(run, seeds, former) for name, run in methods.items()}
    greedy = [name for name in methods if list(chosen[name]) != list(seeds)]
    if greedy:
        warn(f"at temperature 0 only seed {chosen[greedy[0]][0]} runs: {', '.join(greedy)}")
    return [
        Task(name, seed, with_seed(run, seed), identity.config_hash(common, run))
        for name, run in methods.items()
        for seed in chosen[name]
    ]
