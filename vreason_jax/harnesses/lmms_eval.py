"""V-Reason as a chat model of lmms-eval: `lmms-eval --model vreason_jax`."""

import collections
import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms
from tqdm import tqdm

import vreason_jax
from vreason_jax.engine.answer import Answer
from vreason_jax.errors import UserError, nearest, shown
from vreason_jax.harnesses import requests as asked

_ARGUMENTS = ("pretrained", "config", "mesh", "max_num_frames")
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Request:
    """One of lmms-eval's requests."""

    place: int  # among the requests, whose order the answers keep
    args: tuple  # (context, doc_to_messages, gen_kwargs, doc_id, task, split)
    overrides: tuple[tuple[str, Any], ...]
    clip: str


class VReason(lmms):
    """Answers lmms-eval's questions with one model on this process's devices.

    Several processes each load the model and answer their share of the questions.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str | None = None,
        config: str | None = None,
        mesh: str | None = None,
        max_num_frames: int | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        device: str | None = None,
        **keys: Any,
    ):
        """Loads the model.

        Args:
          pretrained: as `vreason_jax.load` takes `model`; None is the embedded one.
          config: a name of `configs/` or a TOML path; None is V-Reason.
          mesh: such as "data=2", in quotes where it has a comma.
          max_num_frames: short for `video.max_frames`.
          batch_size: questions that are decoded together.
          max_batch_size: not used; lmms-eval gives it.
          device: not used; JAX chooses, by `JAX_PLATFORMS` and the mesh.
          keys: config keys, with a dot or two underscores.

        Raises UserError as `vreason_jax.load` does, and for other names and batch sizes.
        """
        super().__init__()
        del max_batch_size, device
        self.device = "cpu"  # of lmms-eval's own small tensors
        self.batch_size = _positive(batch_size)
        if max_num_frames is not None:
            keys["video.max_frames"] = max_num_frames
        keys = {asked.dotted(name): _unquoted(value) for name, value in keys.items()}
        _check_names(keys)
        names = [_text(name) for name in (pretrained, config, mesh)]
        self.reasoner = vreason_jax.load(*names, **keys)
        sampling = self.reasoner.run.sampling
        elsewhere = sampling.source == "checkpoint" or sampling.temperature > 0
        self._tempered = elsewhere or "sampling.temperature" in keys
        self._said: set[str] = set()

    def generate_until(self, requests: Sequence[Any]) -> list[GenerationResult]:
        """Returns the answers in the order of the requests.

        Requests with equal settings are answered in batches, those about one clip one after the
        other. Of equal requests each has a seed of its own. Raises UserError for a clip that
        cannot be read, a wrong setting, and turns that are not one of the user.
        """
        found: dict[int, GenerationResult] = {}
        with tqdm(total=len(requests), disable=self.rank != 0, desc="vreason_jax") as bar:
            for batch in self._batches(self._requests(requests)):
                for request, answer in zip(batch, self._answers(batch), strict=True):
                    found[request.place] = self._result(request, answer)
                bar.update(len(batch))
        return [found[place] for place in range(len(requests))]

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Raises NotImplementedError: answers are generated, not scored."""
        raise NotImplementedError(
            "vreason_jax generates answers: expected a task of output_type generate_until, "
            "got one that scores given answers (loglikelihood)"
        )

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Raises NotImplementedError: there is no second turn."""
        raise NotImplementedError(
            "vreason_jax answers one turn: expected a task of output_type generate_until, "
            "got one of several rounds"
        )

    def _requests(self, requests: Sequence[Any]) -> list[_Request]:
        seen: collections.Counter = collections.Counter()
        listed = []
        for place, request in enumerate(requests):
            _, _, gen_kwargs, *document = request.args
            for line in asked.passed_over(gen_kwargs):
                self._warn(line)
            keys = asked.overrides(gen_kwargs, tempered=self._tempered)
            seed = keys.get("sampling.seed", self.reasoner.run.sampling.seed)
            keys["sampling.seed"] = (seed + seen[tuple(document)]) % 2**32
            seen[tuple(document)] += 1
            clip = asked.clip_key(self._messages(request.args))
            listed.append(_Request(place, request.args, tuple(sorted(keys.items())), clip))
        return listed

    def _batches(self, requests: Sequence[_Request]) -> Iterator[list[_Request]]:
        """Yields requests with equal settings, of which those about one clip stand together."""
        groups: dict[tuple, dict[str, list[_Request]]] = {}
        for request in requests:
            clips = groups.setdefault(request.overrides, {})
            clips.setdefault(request.clip, []).append(request)
        for clips in groups.values():
            group = [request for same in clips.values() for request in same]
            for begin in range(0, len(group), self.batch_size):
                yield group[begin : begin + self.batch_size]

    def _answers(self, batch: Sequence[_Request]) -> list[Answer]:
        with tempfile.TemporaryDirectory() as folder:
            questions = []
            for request in batch:
                turn = self._messages(request.args)
                if asked.begins_with_words(turn):
                    self._warn("words stand before a video or image: the prompt has them behind it")
                media = [asked.source(part, Path(folder)) for part in asked.media_of(turn)]
                questions.append((media, asked.words(turn)))
            return self.reasoner.generate_batch(questions, **dict(batch[0].overrides))

    def _result(self, request: _Request, answer: Answer) -> GenerationResult:
        context, _, gen_kwargs, *_ = request.args
        for line in answer.facts["warnings"]:
            self._warn(line)
        text = asked.cut(answer.text, asked.stops(gen_kwargs))
        self.cache_hook.add_partial("generate_until", (context, gen_kwargs), text)
        tokens = answer.facts["tokens"]
        return GenerationResult(
            text, TokenCounts(input_tokens=tokens["prompt"], output_tokens=tokens["generated"])
        )

    def _warn(self, line: str) -> None:
        """Passes a warning on, once: behind its colon stand figures of one answer."""
        kind = line.partition(":")[0]
        if kind not in self._said:
            self._said.add(kind)
            _log.warning(line)

    def _messages(self, args: tuple) -> list[dict[str, Any]]:
        _, doc_to_messages, _, doc_id, task, split = args
        return doc_to_messages(self.task_dict[task][split][doc_id])


def _check_names(keys: dict[str, Any]) -> None:
    for name in keys:
        if "." not in name:
            raise UserError(
                f"--model_args: expected {', '.join(_ARGUMENTS)} or a config key such as "
                f"controller.every, got {shown(name)}{nearest(name, _ARGUMENTS)}"
            )


def _text(name: Any) -> str | None:
    """Returns a name, which the argument parser makes a number where it looks like one."""
    return None if name is None else _unquoted(str(name))


def _unquoted(value: Any) -> Any:
    """Returns a text without the quotes that keep its commas together on the command line."""
    return value.strip("'\"") if isinstance(value, str) else value


def _positive(batch_size: int | str) -> int:
    if not str(batch_size).isdecimal() or int(batch_size) < 1:
        raise UserError(f"--batch_size: expected a number from 1, got {shown(batch_size)}")
    return int(batch_size)
