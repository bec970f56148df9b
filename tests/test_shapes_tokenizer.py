"""Replies have the promised length under the tokenizer of `shapes`, which is of the Qwen2 class."""

import json
import re

import numpy as np
import pytest

from vreason_jax.shapes import KINDS, sample_text
from vreason_jax.shapes.text import VIDEO_PAD, encode_example, prompt_text
from vreason_jax.shapes.tokenizer import (
    ADDED_TOKENS,
    VOCABULARY_SIZE,
    added_token_ids,
    build_tokenizer,
    load_tokenizer,
)

UNUSUAL = [
    "Où est l'été?",
    "a  b\n\n c\t",
    "<think>\n42</think>",
    "héllo e\u0301 日本 🙂",
    "I'm they've",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    build_tokenizer(folder, "Qwen2Tokenizer")
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def texts():
    return [
        sample_text("train", 5000 + index, kind, 1 + index % 3)
        for kind in KINDS
        for index in range(60)
    ]


def test_replies_are_120_to_300_tokens(tokenizer, texts):
    lengths = [len(tokenizer.encode(text.reply + "<|im_end|>").ids) for text in texts]
    assert min(lengths) >= 120
    assert max(lengths) <= 300
    assert 135 < np.mean(lengths) < 165  # training cost was planned for this


def test_prompts_are_short(tokenizer, texts):
    assert max(len(tokenizer.encode(prompt_text(t.question, 0)).ids) for t in texts) < 80


def test_replies_close_both_tags_and_end_in_the_answer(texts):
    for text in texts:
        match = re.fullmatch(r"<think>\n(.+)\n</think>\n<answer>(.+)</answer>", text.reply, re.S)
        assert match and match.group(2) == text.answer_words
        assert match.group(1).endswith(f"answer is {text.answer_words}.")


def test_replies_vary_and_correct_themselves(texts):
    slips = [re.search(r"[Ww]ait", text.reply) is not None for text in texts]
    assert 0.3 < np.mean(slips) < 0.9
    openings = {text.reply.split("\n")[1].split(".")[0][:12] for text in texts}
    assert len(openings) >= 4


def test_encoding_is_reversible(tokenizer, texts):
    for text in [*(text.reply for text in texts[::20]), "a b\n", "日本 🙂"]:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_ids_are_bytes_then_merges_then_added_tokens(folder, tokenizer):
    vocabulary = json.loads((folder / "vocab.json").read_text())
    assert tokenizer.get_vocab_size() == VOCABULARY_SIZE
    assert sorted(vocabulary.values()) == list(range(VOCABULARY_SIZE - len(ADDED_TOKENS)))
    assert [vocabulary[symbol] for symbol in ("!", "~", "Ā", "Ń")] == [0, 93, 188, 255]
    for token, number in added_token_ids().items():
        assert tokenizer.token_to_id(token) == number
    assert tokenizer.encode(VIDEO_PAD * 3).ids == [added_token_ids()[VIDEO_PAD]] * 3


def test_building_again_writes_the_same_bytes(folder, tmp_path):
    build_tokenizer(tmp_path, "Qwen2Tokenizer")
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_transformers_reads_it_as_qwen2_with_the_same_ids(folder, tokenizer, texts):
    transformers = pytest.importorskip("transformers", reason="needs transformers installed")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert "Qwen2Tokenizer" in type(theirs).__name__
    assert (theirs.eos_token, theirs.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert len(theirs) == VOCABULARY_SIZE
    prompts = [prompt_text(text.question, 4) + text.reply for text in texts[::20]]
    for text in [*prompts, *UNUSUAL]:
        assert theirs(text)["input_ids"] == tokenizer.encode(text).ids
    content = [{"type": "video"}, {"type": "text", "text": "Where?"}]
    rendered = theirs.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    assert rendered == prompt_text("Where?", 1)


def test_an_example_is_prompt_then_reply_with_its_end_marked(tokenizer, texts):
    text = next(text for text in texts if text.options)
    example = encode_example(tokenizer, text.question, text.reply, video_tokens=96)
    prompt, target = np.split(example.token_ids, [example.prompt_length])
    assert np.sum(prompt == added_token_ids()[VIDEO_PAD]) == 96
    assert tokenizer.decode(target.tolist(), skip_special_tokens=False) == text.reply + "<|im_end|>"
    assert not example.seen[: example.prompt_length].any()
    seen = tokenizer.decode(example.token_ids[example.seen].tolist())
    assert seen.startswith("<think>") and f"So the answer is {text.answer_words}." in seen


def test_a_guess_that_is_taken_back_is_not_seen_in_the_clip(tokenizer):
    reply = "<think>\nIt seems red at 5s. No, wait, blue at 5s.\nSo the answer is blue.\n</think>"
    example = encode_example(tokenizer, "Which?", reply, video_tokens=4)
    seen = tokenizer.decode(example.token_ids[example.seen].tolist())
    assert seen == "<think>\n, blue at 5s.\nSo the answer is blue.\n</think>"
