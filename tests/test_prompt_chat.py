import json

import numpy as np
import pytest
from tiny_tokenizer import (
    ADDED,
    NO_PUBLISHED,
    PUBLISHED,
    TEMPLATE,
    write_json,
    write_tiny_tokenizer,
)

from vreason_jax.errors import UserError
from vreason_jax.prompt.chat import (
    IMAGE_TOKEN,
    VIDEO_TOKEN,
    Medium,
    build_prompt,
    check_question,
    read_wrapping,
)
from vreason_jax.prompt.template import SLOT, STANDARD_TEMPLATE, ChatTemplate
from vreason_jax.prompt.tokenizer import PromptTokenizer

VIDEO = Medium("video", (2, 2, 3), 1.0)
IMAGE = Medium("image", (1, 2, 2))
OPENING = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
CLOSING = "<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture
def folder(tmp_path):
    return write_tiny_tokenizer(tmp_path / "model")


@pytest.fixture
def tokenizer(folder):
    return PromptTokenizer.load(folder)


def build(tokenizer, media, text):
    return build_prompt(tokenizer, media, text, position_rule="max", tokens_per_second=2)


def shown(tokenizer, prompt):
    return tokenizer.decode(prompt.token_ids, skip_special_tokens=False)


def test_prompt_reads_as_the_qwen_form_with_expanded_pads(tokenizer):
    prompt = build(tokenizer, [VIDEO, IMAGE], " What?\n")
    video = "<|vision_start|>" + "<|video_pad|>" * 12 + "<|vision_end|>"
    image = "<|vision_start|>" + "<|image_pad|>" * 4 + "<|vision_end|>"
    assert shown(tokenizer, prompt) == f"{OPENING}{video}{image} What?\n{CLOSING}"
    assert prompt.media == (VIDEO, IMAGE)
    words = prompt.token_ids[slice(*prompt.words)]
    assert tokenizer.decode(words, skip_special_tokens=False) == " What?\n"


def test_media_keep_the_order_given_and_their_token_types(tokenizer):
    prompt = build(tokenizer, [IMAGE, VIDEO, IMAGE], "x")
    types = prompt.token_types[prompt.token_types > 0]
    assert types.tolist() == [IMAGE_TOKEN] * 4 + [VIDEO_TOKEN] * 12 + [IMAGE_TOKEN] * 4
    assert (prompt.token_ids[prompt.token_types == VIDEO_TOKEN] == tokenizer.ids.video_pad).all()
    assert (prompt.token_ids[prompt.token_types == IMAGE_TOKEN] == tokenizer.ids.image_pad).all()


def test_questions_share_what_comes_up_to_the_end_of_their_media(tokenizer):
    one, other = (build(tokenizer, [VIDEO, IMAGE], words) for words in ("Why?", "When, and why?"))
    length = one.shared_length
    assert length == other.shared_length == np.flatnonzero(one.token_types)[-1] + 1
    np.testing.assert_array_equal(one.token_ids[:length], other.token_ids[:length])
    np.testing.assert_array_equal(one.positions[:, :length], other.positions[:, :length])
    assert build(tokenizer, [], "Why?").shared_length == 0


def test_arrays_have_their_dtypes_and_text_alone_counts_up(tokenizer):
    prompt = build(tokenizer, [], "words alone")
    size = len(prompt.token_ids)
    assert {prompt.token_ids.dtype, prompt.positions.dtype, prompt.token_types.dtype} == {
        np.dtype(np.int32)
    }
    np.testing.assert_array_equal(prompt.positions, np.tile(np.arange(size), (3, 1)))
    assert prompt.next_position == size


@pytest.mark.parametrize("words", [*ADDED, SLOT, "<|video_pad|>" * 3, "{{ 7 * 6 }}"])
def test_users_words_are_never_markup(tokenizer, words):
    prompt = build(tokenizer, [VIDEO], words)
    plain = build(tokenizer, [VIDEO], "x")
    assert f"<|vision_end|>{words}<|im_end|>" in shown(tokenizer, prompt)
    added = set(tokenizer.added_tokens.values())
    assert [i for i in prompt.token_ids if i in added] == [i for i in plain.token_ids if i in added]


def test_wrapping_of_the_asker_has_added_tokens_and_the_words_in_it_do_not(tokenizer):
    words = "<tool_call>{question}</tool_call>"
    wrapping = "Use <tool_call>{question}</tool_call>"
    prompt = build_prompt(tokenizer, [VIDEO], words, wrapping=wrapping, tokens_per_second=2)
    assert f"<|vision_end|>Use <tool_call>{words}</tool_call><|im_end|>" in shown(tokenizer, prompt)
    for tag in ("<tool_call>", "</tool_call>"):
        assert (prompt.token_ids == tokenizer.added_tokens[tag]).sum() == 1


@pytest.mark.parametrize("words", ["", " ", "\n\t\u3000"])
def test_empty_question_is_a_user_error(tokenizer, words):
    with pytest.raises(UserError, match="--prompt"):
        build(tokenizer, [VIDEO], words)
    with pytest.raises(UserError, match="--prompt"):
        check_question(words)


@pytest.mark.parametrize("kinds", [[], ["video"], ["image"], ["video", "image", "video"]])
def test_published_template_renders_as_transformers_does(kinds):
    if not PUBLISHED.is_dir():
        pytest.skip(NO_PUBLISHED)
    from transformers import AutoTokenizer

    reference = AutoTokenizer.from_pretrained(str(PUBLISHED))
    template = json.loads((PUBLISHED / "chat_template.json").read_text())["chat_template"]
    words = "\n\nHow many  e\u0301? "
    content = [{"type": kind} for kind in kinds] + [{"type": "text", "text": words}]
    rendered = reference.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=template,
        tokenize=False,
        add_generation_prompt=True,
    )
    assert ChatTemplate.load(PUBLISHED).render(kinds).replace(SLOT, words) == rendered
    assert ChatTemplate(STANDARD_TEMPLATE, "own").render(kinds).replace(SLOT, words) == rendered

    media = [VIDEO if kind == "video" else IMAGE for kind in kinds]
    for medium in (VIDEO, IMAGE):
        pad = f"<|{medium.kind}_pad|>"
        rendered = rendered.replace(pad, pad * medium.token_count)
    prompt = build(PromptTokenizer.load(PUBLISHED), media, words)
    assert prompt.token_ids.tolist() == reference(rendered)["input_ids"]


def test_tiny_template_and_built_in_one_agree():
    for kinds in ([], ["video"], ["image", "video", "video"]):
        ours = ChatTemplate(STANDARD_TEMPLATE, "own").render(kinds)
        assert ours == ChatTemplate(TEMPLATE, "tiny").render(kinds)


def test_template_files_are_taken_in_order(folder):
    marked = {name: f"{name}{TEMPLATE}" for name in ("json", "jinja", "settings")}
    write_json(folder / "chat_template.json", {"chat_template": marked["json"]})
    (folder / "chat_template.jinja").write_text(marked["jinja"])
    settings = {"chat_template": marked["settings"]}
    assert ChatTemplate.load(folder, settings).render([]).startswith("json")
    (folder / "chat_template.json").unlink()
    assert ChatTemplate.load(folder, settings).render([]).startswith("jinja")
    (folder / "chat_template.jinja").unlink()
    assert ChatTemplate.load(folder, settings).render([]).startswith("settings")
    extra = folder / "additional_chat_templates"
    extra.mkdir()
    (extra / "default.jinja").write_text(f"extra{TEMPLATE}")
    assert ChatTemplate.load(folder, settings).render([]).startswith("extra")
    (extra / "default.jinja").rename(extra / "tool_use.jinja")
    named = [{"name": "tool", "template": "x"}, {"name": "default", "template": marked["json"]}]
    assert ChatTemplate.load(folder, {"chat_template": named}).render([]).startswith("json")
    standard = ChatTemplate.load(folder, {})
    assert standard.render([]).startswith(OPENING) and standard.notice is None
    by_name = {"tool": "x", "default": f"processor{TEMPLATE}"}
    write_json(folder / "processor_config.json", {"chat_template": by_name})
    write_json(folder / "chat_template.json", {"chat_template": marked["json"]})
    assert ChatTemplate.load(folder, settings).render([]).startswith("processor")


@pytest.mark.parametrize(
    "text_only",
    [
        "{% for m in messages %}{{ m.role + m.content }}{% endfor %}",
        "{% for m in messages %}{{ m.content[-1].text }}{% endfor %}",
        "{% broken",
    ],
)
@pytest.mark.parametrize("name", ["tokenizer_config.json", "chat_template.jinja"])
def test_template_of_a_tokenizer_that_shows_no_media_is_passed_over(folder, text_only, name):
    (folder / "chat_template.json").unlink()
    settings = {"chat_template": text_only} if name == "tokenizer_config.json" else {}
    if not settings:
        (folder / name).write_text(text_only)
    if text_only.startswith("{% broken"):
        with pytest.raises(UserError, match=rf"{name} is broken"):
            ChatTemplate.load(folder, settings)
        return
    template = ChatTemplate.load(folder, settings)
    assert template.render(["video"]).startswith(OPENING)
    assert template.notice and name in template.notice


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% if %}", "broken"),
        ("{{ messages.nothing.more }}", "broken"),
        ("{{ raise_exception('no thanks') }}", "no thanks"),
        ("{{ ''.__class__.__mro__ }}{{ messages.append(1) }}", "broken"),
        ("no words of the user", "0 times"),
        ("{% for c in messages[0].content %}{{ c.text }}{% endfor %}", "shows no media"),
        ("{{ messages[0].content[-1].text }}" + "<|image_pad|>", "it shows image"),
    ],
)
def test_broken_template_is_a_user_error(folder, template, message):
    write_json(folder / "chat_template.json", {"chat_template": template})
    with pytest.raises(UserError, match=message) as caught:
        build(PromptTokenizer.load(folder), [VIDEO], "x")
    assert "\n" not in str(caught.value)


def test_template_that_is_no_text_is_a_user_error(folder):
    write_json(folder / "chat_template.json", {"chat_template": 3})
    with pytest.raises(UserError, match="to be text"):
        PromptTokenizer.load(folder)


def test_blocks_are_trimmed_as_transformers_trims_them():
    lines = "  {% for m in messages %}\n{{ m.content[0].text }}\n  {% endfor %}\nend\n"
    assert ChatTemplate(lines, "lines").render([]) == f"{SLOT}\nend"


def test_template_knows_named_tokens(tmp_path):
    text = "{{ messages[0].content[0].text }}{{ eos_token }}{{ image_token }}{{ bos_token }}"
    settings = {"eos_token": {"content": "<|im_end|>"}, "bos_token": None}
    settings["extra_special_tokens"] = {"image_token": "<|image_pad|>"}
    template = ChatTemplate(text, "own", settings)
    assert template.render([]) == f"{SLOT}<|im_end|><|image_pad|>"


def test_generation_tags_pass_their_content_through_and_keep_what_is_set_inside():
    text = (
        "{% set a = 1 %}{%- for m in messages %}{%- generation -%} {{ m.content[0].text }} "
        "{% set a = 2 %}{{ a }}{%- endgeneration -%} {% endfor %}{{ a }}"
    )
    assert ChatTemplate(text, "own").render([]) == f"{SLOT} 21"


def test_unclosed_generation_tag_is_a_user_error():
    with pytest.raises(UserError, match="broken"):
        ChatTemplate("{% generation %}{{ messages[0].content[0].text }}", "own")


def test_wrapping_puts_the_words_where_the_file_says(tmp_path):
    path = tmp_path / "think.txt"
    path.write_text("Think.\n{question}\nAnswer in tags.\n")
    assert read_wrapping(path) == "Think.\n{question}\nAnswer in tags."
    assert read_wrapping(None) == "{question}"


@pytest.mark.parametrize("content", [None, "no place for it", b"\xff{question}"])
def test_unusable_wrapping_is_a_user_error(tmp_path, content):
    path = tmp_path / "think.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"prompt\.template.*think\.txt"):
        read_wrapping(path)
