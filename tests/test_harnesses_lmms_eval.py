"""The model that lmms-eval gets, on the names of lmms-eval that it uses."""

import importlib
import logging
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest
import stub_lmms_eval

import vreason_jax
from vreason_jax.config import RunConfig
from vreason_jax.decoding.state import TokenTrace
from vreason_jax.engine.answer import END, Answer
from vreason_jax.errors import UserError

GROUP = "lmms_eval.models"
GREEDY = {"max_new_tokens": 4, "temperature": 0, "until": ["\n\n"]}


@pytest.fixture
def plugin(monkeypatch):
    stub_lmms_eval.install(monkeypatch)
    monkeypatch.delitem(sys.modules, "vreason_jax.harnesses.lmms_eval", raising=False)
    return importlib.import_module("vreason_jax.harnesses.lmms_eval")


class Reasoner:
    """Answers with the question's words; keeps what it was asked."""

    def __init__(self, warnings=()):
        self.run, self.batches, self.warnings = RunConfig(), [], list(warnings)

    def generate_batch(self, questions, **overrides):
        self.batches.append((questions, overrides))
        return [self._answer(text) for _, text in questions]

    def _answer(self, text):
        tokens = TokenTrace(*(np.zeros(3, np.float32) for _ in TokenTrace._fields))
        facts = {"warnings": self.warnings, "tokens": {"prompt": len(text), "generated": 3}}
        return Answer(f"{text}! END more", tokens, END, None, facts)


@pytest.fixture
def made(plugin, monkeypatch):
    """Makes the model, without weights; `loaded` is what `vreason_jax.load` was given."""

    def make(warnings=(), **arguments):
        def load(*names, **keys):
            make.loaded = (names, keys)
            return Reasoner(warnings)

        monkeypatch.setattr(vreason_jax, "load", load, raising=False)
        return plugin.VReason(**arguments)

    return make


def asked_of(model, *questions):
    """Requests about (clip, words, generation_kwargs), as lmms-eval builds them."""
    docs = [{"clip": clip, "words": words} for clip, words, _ in questions]
    model.task_dict["task"] = {"test": docs}

    def messages(doc):
        media = [{"type": "video", "url": doc["clip"]}] if doc["clip"] else []
        text = {"type": "text", "text": doc["words"]}
        return [{"role": "user", "content": [*media, text]}]

    return [
        types.SimpleNamespace(args=(words, messages, gen_kwargs, number, "task", "test"))
        for number, (_, words, gen_kwargs) in enumerate(questions)
    ]


def test_the_entry_point_names_a_chat_model(plugin):
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"][GROUP]["vreason_jax"].partition(":")
    manifest = getattr(importlib.import_module(module), name)()
    assert (manifest.model_id, manifest.simple_class_path) == ("vreason_jax", None)
    module, _, name = manifest.chat_class_path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert issubclass(found, sys.modules["lmms_eval.api.model"].lmms) and found.is_simple is False


def test_answers_keep_the_order_of_requests_that_are_batched_by_settings_and_clip(made):
    model = made(batch_size="2")
    longer = GREEDY | {"max_new_tokens": 9, "until": ["END"]}
    requests = asked_of(
        model, ("a", "one", GREEDY), ("b", "two", GREEDY), ("a", "three", GREEDY),
        ("a", "four", longer), ("b", "five", GREEDY), (None, "six", GREEDY),
    )  # fmt: skip
    results = model.generate_until(requests)
    texts = [result.text for result in results]
    assert texts == [
        "one! END more", "two! END more", "three! END more", "four! ", "five! END more",
        "six! END more",
    ]  # fmt: skip
    counts = [(r.token_counts.input_tokens, r.token_counts.output_tokens) for r in results]
    assert counts[2] == (5, 3)
    asked = [([words for _, words in questions], keys) for questions, keys in
             model.reasoner.batches]  # fmt: skip
    assert [words for words, _ in asked] == [["one", "three"], ["two", "five"], ["six"], ["four"]]
    assert {keys["sampling.max_new_tokens"] for _, keys in asked[:3]} == {4}
    assert asked[3][1]["sampling.max_new_tokens"] == 9


def test_every_answer_is_handed_to_the_cache(made):
    model = made()
    model.cache_hook = stub_lmms_eval.CacheHook()
    model.generate_until(asked_of(model, ("a", "one", GREEDY)))
    assert model.cache_hook.kept == [("generate_until", ("one", GREEDY), "one! END more")]


def test_equal_requests_have_seeds_of_their_own(made):
    model = made(batch_size=8)
    first, second = asked_of(model, ("a", "one", {"temperature": 1.0}), ("a", "two", {"seed": 7}))
    model.generate_until([first, first, second, first, second])
    seeds = [keys["sampling.seed"] for _, keys in model.reasoner.batches]
    assert sorted(seeds) == [0, 1, 2, 7, 8]


def test_no_requests_have_no_answers(made):
    assert made().generate_until([]) == []


def test_arguments_go_to_load(made):
    made(
        pretrained="folder", config="lite", mesh="'data=1,model=2'", max_num_frames=32,
        batch_size=4, max_batch_size=None, device="cuda:0",
        **{"controller.learning_rate": 0.001, "video__reader": '"pyav"'},
    )  # fmt: skip
    assert made.loaded == (
        ("folder", "lite", "data=1,model=2"),
        {"controller.learning_rate": 0.001, "video.reader": "pyav", "video.max_frames": 32},
    )


def test_names_that_look_like_numbers_are_names(made):
    made(pretrained=5500, config=7)
    assert made.loaded == (("5500", "7", None), {})


def test_unknown_arguments_are_refused_in_one_line(made):
    with pytest.raises(UserError, match=r"got 'model'.*nearest known one is") as caught:
        made(model="folder")
    assert "\n" not in str(caught.value)
    for size in ("auto", 0, "-1"):
        with pytest.raises(UserError, match=r"^--batch_size: expected a number from 1"):
            made(batch_size=size)


def test_scoring_given_answers_and_several_rounds_are_refused_in_one_line(made):
    for name in ("loglikelihood", "generate_until_multi_round"):
        with pytest.raises(NotImplementedError, match=r"^vreason_jax .*generate_until, got"):
            getattr(made(), name)([])


def test_a_warning_is_said_once_whatever_its_figures(made, caplog):
    model = made(warnings=["it does not fit: 3", "it does not fit: 4"])
    with caplog.at_level(logging.WARNING):
        model.generate_until(asked_of(model, ("a", "one", GREEDY), ("a", "two", GREEDY)))
    assert caplog.messages == ["it does not fit: 3"]


def test_what_a_task_asks_for_in_vain_is_said_once(made, caplog):
    model = made()
    odd = GREEDY | {"temprature": 1}
    with caplog.at_level(logging.WARNING):
        model.generate_until(asked_of(model, ("a", "one", odd), ("a", "two", odd)))
    assert len(caplog.messages) == 1 and "'temprature' is passed over" in caplog.messages[0]


def test_of_several_processes_the_first_shows_progress(made, capsys):
    for rank in (0, 1):
        model = made()
        model._rank, model._world_size = rank, 2
        model.generate_until(asked_of(model, ("a", "one", GREEDY)))
        assert bool(capsys.readouterr().err) == (rank == 0)
