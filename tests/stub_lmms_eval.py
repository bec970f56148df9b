"""The names of lmms-eval 0.7 that the plug-in uses; the package itself where it is installed."""

import abc
import dataclasses
import importlib.util
import sys
import types

import pytest


class CacheHook:
    def __init__(self):
        self.kept = []

    def add_partial(self, attribute, request, result):
        self.kept.append((attribute, request, result))


class lmms(abc.ABC):
    is_simple = True

    def __init__(self):
        self._rank, self._world_size = 0, 1
        self.cache_hook, self.task_dict = CacheHook(), {}

    rank = property(lambda self: self._rank)
    world_size = property(lambda self: self._world_size)

    @abc.abstractmethod
    def loglikelihood(self, requests): ...

    @abc.abstractmethod
    def generate_until(self, requests): ...

    @abc.abstractmethod
    def generate_until_multi_round(self, requests): ...


@dataclasses.dataclass
class TokenCounts:
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclasses.dataclass
class GenerationResult:
    text: str
    token_counts: TokenCounts | None = None


@dataclasses.dataclass(frozen=True)
class ModelManifest:
    model_id: str
    simple_class_path: str | None = None
    chat_class_path: str | None = None
    aliases: tuple[str, ...] = ()


MODULES = {
    "lmms_eval": {},
    "lmms_eval.api": {},
    "lmms_eval.api.model": {"lmms": lmms},
    "lmms_eval.api.instance": {"GenerationResult": GenerationResult, "TokenCounts": TokenCounts},
    "lmms_eval.models": {},
    "lmms_eval.models.registry_v2": {"ModelManifest": ModelManifest},
}


def install(patch: pytest.MonkeyPatch) -> None:
    """Lets `import lmms_eval` find these names, unless there is a real one."""
    if importlib.util.find_spec("lmms_eval") is None:
        for name, values in MODULES.items():
            module = types.ModuleType(name)
            module.__dict__.update(values)
            patch.setitem(sys.modules, name, module)
