"""Files of a checkpoint that loop, swell or crash the library that reads them end in one line."""

import json
import os
import shutil

import pytest
from tiny import write_tiny_checkpoint

from vreason_jax.errors import UserError
from vreason_jax.prompt import isolation, tokenizer_files
from vreason_jax.prompt.isolation import IsolationError
from vreason_jax.prompt.template import SLOT, ChatTemplate

TEXT = "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
LOOP = "{% for i in range(99999) %}"
BAD_TEMPLATES = {
    "endless": (LOOP * 4 + "{% endfor %}" * 4, "no end after"),
    "long": (LOOP * 2 + "xxxxxxxxxxxxxxx" + "{% endfor %}" * 2, "more than 1000000 characters"),
    "a constant of much memory": ("{{ 'x' * 10**11 }}", "memory"),
    "a doubled text": (
        "{% set n = namespace(x='x') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}"
        "{% endfor %}{{ n.x | length }}",
        "memory|no end",
    ),
    "a long error": ("{{ raise_exception('no\\n' * 500000) }}", "is broken: no no no"),
    "a look into Python": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
    "deep syntax": ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "is broken"),
}


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_checkpoint(tmp_path / "tiny")


@pytest.mark.parametrize("case", BAD_TEMPLATES)
def test_a_template_out_of_bounds_is_one_short_line(case, monkeypatch):
    monkeypatch.setattr(isolation, "SECONDS", 5)
    text, expected = BAD_TEMPLATES[case]
    before = os.listdir("/proc/self/fd")
    with pytest.raises(UserError, match=expected) as refusal:
        ChatTemplate(text + TEXT, f"the template {case}").render(["video"])
    assert str(refusal.value).isprintable() and len(str(refusal.value)) < 500
    assert os.listdir("/proc/self/fd") == before


def test_a_template_is_rendered_once_for_the_same_question(monkeypatch):
    template = ChatTemplate(TEXT, "here")
    assert template.render(["video"]) == SLOT
    monkeypatch.setattr("vreason_jax.prompt.template.ask", None)
    assert template.render(["video"]) == SLOT


def test_a_tokenizer_that_crashes_the_library_is_one_line(tiny, monkeypatch):
    def crash(*_):
        raise IsolationError("a crash by signal 6")

    path = tiny / "tokenizer.json"
    path.write_text(path.read_text() + " ")
    monkeypatch.setattr(tokenizer_files, "ask", crash)
    with pytest.raises(UserError, match=r"the tokenizer cannot be read: a crash by signal 6$"):
        tokenizer_files.read_tokenizer_files(tiny)


def test_the_same_tokenizer_is_tried_out_once(tiny, monkeypatch):
    tokenizer_files.read_tokenizer_files(tiny)
    monkeypatch.setattr(tokenizer_files, "ask", None)
    tokenizer_files.read_tokenizer_files(tiny)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "vocab.json"])
def test_a_tokenizer_file_that_is_a_pipe_is_refused(tiny, name):
    (tiny / name).unlink()
    os.mkfifo(tiny / name)
    with pytest.raises(UserError, match="is a pipe"):
        tokenizer_files.read_tokenizer_files(tiny)


def test_what_a_child_says_reaches_the_parent_whole(tiny):
    shutil.rmtree(tiny)
    with pytest.raises(UserError, match=r"no tokenizer; expected tokenizer\.json"):
        tokenizer_files.read_tokenizer_files(tiny)


@pytest.mark.parametrize("ids", [-1, 2**31, 2**64, 1e300, float("inf")])
def test_ids_that_no_row_can_have_are_refused(tiny, ids):
    (tiny / "added_tokens.json").write_text(json.dumps({"<x>": ids}))
    with pytest.raises(UserError, match="broken list of added tokens"):
        tokenizer_files.read_tokenizer_files(tiny)


def test_a_process_that_stands_ready_is_asked_first_and_none_is_left_behind():
    text = TEXT + "{# ready #}"
    before = os.listdir("/proc/self/fd")
    with isolation.ready():
        waiting = dict(isolation._ready)
        assert ChatTemplate(text, "here").render(["video"]) == SLOT
        assert waiting[isolation.TEMPLATE].returncode == 0
        assert waiting[isolation.TOKENIZER].poll() is None
    assert all(process.returncode is not None for process in waiting.values())
    assert os.listdir("/proc/self/fd") == before
