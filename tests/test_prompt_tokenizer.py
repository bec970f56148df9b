import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_tokenizer import (
    ADDED,
    NO_PUBLISHED,
    NOT_SPECIAL,
    ODD_TEXTS,
    PUBLISHED,
    SPECIAL,
    config,
    write_json,
    write_tiny_tokenizer,
)
from tokenizers import AddedToken, Tokenizer

from vreason_jax.errors import UserError
from vreason_jax.prompt.tokenizer import PromptTokenizer, TextStream

ROOT = Path(__file__).parents[1]
SLOT = "\ue000question\ue001"


@pytest.fixture(scope="module", params=["tokenizer.json", "vocab+merges", "published"])
def folder(request, tmp_path_factory):
    if request.param == "published":
        if not PUBLISHED.is_dir():
            pytest.skip(NO_PUBLISHED)
        return PUBLISHED
    return write_tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"), layout=request.param)


@pytest.fixture(scope="module")
def tokenizer(folder):
    return PromptTokenizer.load(folder)


@pytest.fixture(scope="module")
def reference(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)


def plain_reference(reference, text):
    """transformers' ids of a text in which added tokens are only text."""
    return reference(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text[:12]))
def test_rendered_text_has_the_ids_of_autotokenizer(tokenizer, reference, text):
    assert tokenizer.encode_prompt(text) == reference(text)["input_ids"]


def test_random_unicode_has_the_ids_of_autotokenizer(tokenizer, reference):
    rng = random.Random(0)
    ranges = [(0, 0x80), (0, 0x300), (0x300, 0x370), (0xAC00, 0xD7A3), (0x1F300, 0x1FAFF)]
    for _ in range(200):
        spans = [rng.choice(ranges) for _ in range(20)]
        text = "".join(chr(rng.randrange(*span)) for span in spans)
        assert tokenizer.encode_prompt(text) == reference(text)["input_ids"]


@pytest.mark.parametrize("added", [t for t in ADDED if t.startswith("<|")])
def test_added_token_in_the_users_words_is_plain_text(tokenizer, reference, added):
    ids = tokenizer.encode_prompt(f"<|im_start|>user\n{SLOT}<|im_end|>", slot=SLOT, text=added)
    assert tokenizer.added_tokens[added] not in ids[1:-1]
    assert ids[0] == tokenizer.added_tokens["<|im_start|>"]
    assert ids[-1] == tokenizer.added_tokens["<|im_end|>"]
    assert tokenizer.decode(ids[1:-1]) == f"user\n{added}"


@pytest.mark.parametrize("special", SPECIAL)
def test_special_token_as_text_equals_transformers_split_special_tokens(
    tokenizer, reference, special
):
    text = f"a {special}?"
    assert tokenizer.encode_text(text) == plain_reference(reference, text)


@pytest.mark.parametrize("words", ["\n\nx", "\u0301 after a border", " x", "\n", "'s"])
def test_users_words_merge_with_the_template_before_them(tokenizer, words):
    joined = tokenizer.encode_text("user\n" + words)
    assert tokenizer.encode_prompt(f"user\n{SLOT}", slot=SLOT, text=words) == joined


def test_newlines_really_merge_across_the_border(tokenizer):
    """Guards the test above: apart, the two pieces have other ids."""
    apart = tokenizer.encode_text("user\n") + tokenizer.encode_text("\n\nx")
    assert tokenizer.encode_prompt(f"user\n{SLOT}", slot=SLOT, text="\n\nx") != apart


@pytest.mark.parametrize("words", [SLOT, SLOT * 2, f"a{SLOT}<|im_end|>"])
def test_users_words_may_contain_the_slot(tokenizer, words):
    ids = tokenizer.encode_prompt(f"<|im_start|>user\n{SLOT}\n", slot=SLOT, text=words)
    assert ids[1:] == tokenizer.encode_text(f"user\n{words}\n")


@pytest.mark.parametrize("words", ["\n\nx", " x y", "é Ä", "<|im_end|>", "What?"])
def test_the_users_words_are_found_among_the_ids(tokenizer, words):
    rendered = f"<|im_start|>user\n<|vision_end|>so {SLOT} then<|im_end|>"
    ids = tokenizer.encode_prompt(rendered, slot=SLOT, text=words)
    first, end = tokenizer.words_at(rendered, slot=SLOT, text=words)
    assert words in tokenizer.decode(ids[first:end], skip_special_tokens=False)
    for part in (ids[first + 1 : end], ids[first : end - 1]):
        assert words not in tokenizer.decode(part, skip_special_tokens=False)


def test_decode_equals_transformers(tokenizer, reference):
    rng = random.Random(1)
    for skip in (True, False):
        for _ in range(100):
            ids = [rng.randrange(len(tokenizer)) for _ in range(12)]
            ours = tokenizer.decode(ids, skip_special_tokens=skip)
            assert ours == reference.decode(ids, skip_special_tokens=skip)


def test_decode_leaves_out_the_14_special_tokens_alone(tokenizer):
    ids = [tokenizer.added_tokens[text] for text in ADDED]
    assert tokenizer.decode(ids) == "".join(NOT_SPECIAL)
    assert tokenizer.decode(ids, skip_special_tokens=False) == "".join(ADDED)


def test_surplus_rows_of_the_head_decode_to_nothing(tokenizer, folder):
    beyond = [len(tokenizer), len(tokenizer) + 398]
    assert tokenizer.decode([*beyond, *tokenizer.encode_text("x"), *beyond]) == "x"
    if folder == PUBLISHED:
        assert len(tokenizer) == 151665
        assert tokenizer.decode([151665, 152063]) == ""


@given(
    texts=st.lists(st.text() | st.sampled_from(ODD_TEXTS) | st.sampled_from(ADDED), max_size=4),
    strays=st.lists(st.tuples(st.integers(0, 60), st.integers(-2, 10**6)), max_size=5),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5),
)
def test_streamed_pieces_add_up_to_the_decoded_text(tokenizer, texts, strays, sizes):
    """Whatever the ids, where the pieces are cut, and whether characters are whole."""
    ids = [i for text in texts for i in tokenizer.encode_text(text)]
    for place, stray in strays:
        ids.insert(place, stray % (len(tokenizer) + 50) if stray > 0 else stray)
    stream, pieces, left = TextStream(tokenizer), [], ids
    while left:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(stream.push(left[:size]))
        left = left[size:]
    assert "".join(pieces) + stream.finish() == tokenizer.decode(ids)


def test_stream_holds_back_an_incomplete_character(tokenizer):
    ids = tokenizer.encode_text("\U00010380")
    assert len(ids) > 1
    stream = TextStream(tokenizer)
    assert [stream.push([i]) for i in ids] == [""] * (len(ids) - 1) + ["\U00010380"]
    assert stream.finish() == ""
    stream.push(ids[:1])
    assert stream.finish() == "\ufffd"


def test_published_ids():
    if not PUBLISHED.is_dir():
        pytest.skip(NO_PUBLISHED)
    ids = PromptTokenizer.load(PUBLISHED).ids
    assert (ids.vision_start, ids.vision_end) == (151652, 151653)
    assert (ids.image_pad, ids.video_pad, ids.pad) == (151655, 151656, 151643)
    assert ids.eos == (151645, 151643)


@pytest.fixture
def tiny(tmp_path):
    return write_tiny_tokenizer(tmp_path / "model")


def tiny_ids(folder):
    return PromptTokenizer.load(folder).added_tokens


def test_eos_comes_from_generation_config_then_config_then_tokenizer_config(tiny):
    ids = tiny_ids(tiny)
    end, text_end = ids["<|im_end|>"], ids["<|endoftext|>"]
    assert PromptTokenizer.load(tiny).ids.eos == (end, text_end)
    (tiny / "generation_config.json").unlink()
    assert PromptTokenizer.load(tiny).ids.eos == (end,)
    write_json(tiny / "config.json", config(ids) | {"eos_token_id": text_end})
    assert PromptTokenizer.load(tiny).ids.eos == (text_end,)
    write_json(tiny / "generation_config.json", {"eos_token_id": end})
    assert PromptTokenizer.load(tiny).ids.eos == (end,)


def test_media_ids_may_be_nested_or_null(tiny):
    ids = tiny_ids(tiny)
    nested = {"text_config": config(ids), "video_token_id": None, "image_token_id": None}
    write_json(tiny / "config.json", nested)
    assert PromptTokenizer.load(tiny).ids.video_pad == ids["<|video_pad|>"]


def test_config_that_disagrees_with_the_tokenizer_is_refused(tiny):
    write_json(tiny / "config.json", config(tiny_ids(tiny)) | {"video_token_id": 7})
    with pytest.raises(UserError, match="video_token_id 7"):
        PromptTokenizer.load(tiny)


def test_legacy_added_tokens_file_is_read(tmp_path):
    folder = write_tiny_tokenizer(tmp_path, layout="vocab+merges")
    ids = tiny_ids(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["added_tokens_decoder"]
    write_json(folder / "tokenizer_config.json", settings)
    write_json(folder / "added_tokens.json", ids)
    assert tiny_ids(folder) == ids


TAGS = ["<think>", "</think>", "<answer>", "</answer>"]


def with_tags(folder, place, *, special):
    """Adds the tags as a fine-tune does, in one of the places where releases write them."""
    first = max(tiny_ids(folder).values()) + 1
    ids = {text: first + rank for rank, text in enumerate(TAGS)}
    if place == "tokenizer.json":
        whole = Tokenizer.from_file(str(folder / place))
        whole.add_tokens([AddedToken(text, special=special, normalized=False) for text in TAGS])
        whole.save(str(folder / place))
    elif place == "added_tokens.json":
        write_json(folder / place, ids)
        write_json(folder / "special_tokens_map.json", {"additional_special_tokens": TAGS})
    else:
        settings = json.loads((folder / place).read_text())
        settings["added_tokens_decoder"] |= {
            i: {"content": text, "special": special} for text, i in ids.items()
        }
        settings |= {"additional_special_tokens": TAGS, "extra_special_tokens": TAGS}
        write_json(folder / place, settings)
    return ids


@pytest.fixture(params=["tokenizer.json", "tokenizer_config.json", "added_tokens.json"])
def tagged(request, tmp_path):
    layout = "tokenizer.json" if request.param == "tokenizer.json" else "vocab+merges"
    folder = write_tiny_tokenizer(tmp_path / "model", layout=layout)
    ids = with_tags(folder, request.param, special=True)
    return PromptTokenizer.load(folder), ids


def test_tokens_of_a_fine_tune_stay_in_the_text_and_control_tokens_do_not(tagged):
    tokenizer, ids = tagged
    end = tokenizer.added_tokens["<|im_end|>"]
    answer = [ids["<think>"], *tokenizer.encode_text("so"), ids["</think>"], ids["<answer>"]]
    answer += [*tokenizer.encode_text("é B"), ids["</answer>"], end]
    assert tokenizer.decode(answer) == "<think>so</think><answer>é B</answer>"
    stream = TextStream(tokenizer)
    pieces = [stream.push([i]) for i in answer]
    assert "".join(pieces) + stream.finish() == tokenizer.decode(answer)
    assert pieces[0] == "<think>" and pieces[-1] == ""


def test_a_wrapping_uses_added_tokens_and_the_users_words_never_do(tagged):
    tokenizer, ids = tagged
    words = "a <think> b <|im_end|>"
    encoded = tokenizer.encode_prompt(f"<think>{SLOT}</answer><|im_end|>", slot=SLOT, text=words)
    end = tokenizer.added_tokens["<|im_end|>"]
    assert (encoded[0], *encoded[-2:]) == (ids["<think>"], ids["</answer>"], end)
    assert encoded[1:-2] == tokenizer.encode_text(words)
    assert not set(encoded[1:-2]) & set(tokenizer.added_tokens.values())


@pytest.mark.parametrize("flag", ["plain", "lstrip", "rstrip", "single_word", "normalized"])
@pytest.mark.parametrize("layout", ["tokenizer.json", "vocab+merges"])
def test_flags_of_added_tokens_mean_what_they_mean_in_transformers(tmp_path, flag, layout):
    from transformers import AutoTokenizer

    folder = write_tiny_tokenizer(tmp_path, layout=layout)
    reference = AutoTokenizer.from_pretrained(str(folder))
    flags = {"normalized": False, **({flag: True} if flag != "plain" else {})}
    reference.add_tokens([AddedToken(text, **flags) for text in TAGS])
    reference.save_pretrained(str(folder))
    tokenizer = PromptTokenizer.load(folder)
    for text in ("x <think> y", "<think>y</think>", "a<answer>b </answer>\n", "  <think>  <think>"):
        assert tokenizer.encode_prompt(text) == reference(text)["input_ids"], text


def test_tokenizer_json_goes_first_where_files_disagree_about_a_token(tiny):
    ids = with_tags(tiny, "tokenizer.json", special=False)
    settings = json.loads((tiny / "tokenizer_config.json").read_text())
    wrong = {"content": "<think>", "lstrip": True}
    settings["added_tokens_decoder"]["9999"] = wrong
    write_json(tiny / "tokenizer_config.json", settings)
    tokenizer = PromptTokenizer.load(tiny)
    assert tokenizer.encode_prompt(" <think>") == [*tokenizer.encode_text(" "), ids["<think>"]]
    assert len(tokenizer) == max(ids.values()) + 1


def test_named_tokens_may_stand_in_the_special_tokens_map_alone(tiny):
    settings = json.loads((tiny / "tokenizer_config.json").read_text())
    named = {key: settings.pop(key) for key in ("eos_token", "pad_token")}
    write_json(tiny / "tokenizer_config.json", settings)
    write_json(tiny / "special_tokens_map.json", named)
    (tiny / "generation_config.json").unlink()
    loaded = PromptTokenizer.load(tiny)
    assert loaded.ids.eos == (loaded.added_tokens["<|im_end|>"],)
    assert loaded.ids.pad == loaded.added_tokens["<|endoftext|>"]


BROKEN = {
    "no tokenizer": ("tokenizer.json", None),
    "empty": ("tokenizer.json", ""),
    "truncated": ("tokenizer.json", '{"version": "1.0", "model": {"type": "BPE", "voc'),
    "other model": (
        "tokenizer.json",
        '{"model": {"type": "WordLevel", "vocab": {}, "unk_token": "?"}}',
    ),
    "settings": ("tokenizer_config.json", "{"),
    "settings list": ("tokenizer_config.json", "[]"),
    "named list": ("tokenizer_config.json", '{"pad_token": ["x"]}'),
    "named object": ("special_tokens_map.json", '{"bos_token": {"content": {}}}'),
    "added id below 0": ("added_tokens.json", '{"<x>": -5}'),
    "added id beyond all": ("added_tokens.json", '{"<x>": 99999999999999999999}'),
    "added": ("tokenizer_config.json", '{"added_tokens_decoder": {"x": 3}}'),
    "config": ("config.json", "not json"),
    "generation": ("generation_config.json", '{"eos_token_id": "<|im_end|>"}'),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_user_errors_of_one_line(tiny, case):
    name, content = BROKEN[case]
    (tiny / name).unlink(missing_ok=True)
    if content is not None:
        (tiny / name).write_text(content)
    with pytest.raises(UserError) as caught:
        PromptTokenizer.load(tiny)
    assert "\n" not in str(caught.value)
    assert str(tiny) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocab.json", '{"a": 0'),
        ("vocab.json", '{"a": 0}'),
        ("merges.txt", "garbage\n"),
        ("merges.txt", "a unknown\n"),
        ("merges.txt", b"\xff\xfe"),
    ],
)
def test_broken_vocabulary_or_merges_are_user_errors(tmp_path, name, content):
    folder = write_tiny_tokenizer(tmp_path, layout="vocab+merges")
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)
    with pytest.raises(UserError):
        PromptTokenizer.load(folder)


def test_missing_merges_says_what_is_expected(tmp_path):
    folder = write_tiny_tokenizer(tmp_path, layout="vocab+merges")
    (folder / "merges.txt").unlink()
    with pytest.raises(UserError, match=r"expected tokenizer\.json, or vocab\.json and merges"):
        PromptTokenizer.load(folder)


def test_undecodable_bytes_in_the_prompt_are_a_user_error(tiny):
    with pytest.raises(UserError, match="undecodable"):
        PromptTokenizer.load(tiny).encode_text("a\udc80")


def test_import_is_light():
    code = "import sys, vreason_jax.prompt.chat; print(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    loaded = set(result.stdout.split())
    assert "vreason_jax.prompt.chat" in loaded
    assert not loaded & {"jax", "torch", "transformers", "matplotlib"}
