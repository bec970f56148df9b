"""Folders that transformers 4.49 to 5.24 saved are read as those releases read them themselves.

The files and what is expected of them were written by scripts/make_release_goldens.py; nothing of
transformers or torch runs here.
"""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest
from patches_of_14 import GEOMETRY, IMAGE_LIMITS, VIDEO_LIMITS, preprocessing
from release_cases import CASES, COLOUR, FRAMES, KINDS, SIZES, TAGGED_TEXT, WORDS

from vreason_jax.config import VideoConfig
from vreason_jax.families.registry import read_model_config
from vreason_jax.prompt.template import SLOT, ChatTemplate
from vreason_jax.prompt.tokenizer import PromptTokenizer
from vreason_jax.video.patches import patchify
from vreason_jax.video.resize import smart_resize

GOLDEN = Path(__file__).parent / "goldens" / "releases.json.xz"
RELEASES = json.loads(lzma.decompress(GOLDEN.read_bytes()))


@pytest.fixture(scope="module", params=[(r, c) for r in RELEASES for c in CASES], ids="-".join)
def saved(request, tmp_path_factory):
    """The case, the folder as the release saved it, and what the release reads there."""
    release, case = request.param
    folder = tmp_path_factory.mktemp("saved")
    for name, text in RELEASES[release][case]["files"].items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return case, folder, RELEASES[release][case]["expected"]


def test_the_goldens_hold_the_releases_that_differ():
    assert set(RELEASES) >= {"4.49.0", "4.50.0", "4.52.0", "4.57.0", "5.0.0", "5.24.0"}


def test_the_model_has_the_same_facts(saved):
    _, folder, expected = saved
    config, facts = read_model_config(folder), expected["config"]
    text, vision = config.text, config.vision
    assert facts["text"] == {
        "num_hidden_layers": text.layers,
        "hidden_size": text.width,
        "intermediate_size": text.mlp_width,
        "num_attention_heads": text.heads,
        "num_key_value_heads": text.kv_heads,
        "vocab_size": text.vocabulary,
        "rms_norm_eps": text.norm_eps,
        "max_position_embeddings": text.max_positions,
    }
    assert facts["vision"] == {
        "depth": vision.depth,
        "hidden_size": vision.width,
        "intermediate_size": vision.mlp_width,
        "num_heads": vision.heads,
        "out_hidden_size": vision.out_width,
        "window_size": vision.window_pixels,
        "fullatt_block_indexes": list(vision.full_attention_blocks),
        "tokens_per_second": config.tokens_per_second,
    }
    section = [text.rope_axes.count(axis) for axis in range(3)]
    assert (facts["rope_theta"], facts["mrope_section"]) == (text.rope_theta, section)
    assert (facts["tie_word_embeddings"], facts["dtype"]) == (text.tied, config.dtype)


def test_images_and_frames_become_as_large_and_have_the_same_colours(saved):
    case, folder, expected = saved
    found = preprocessing(folder)
    limits = found.video.limits
    if case == "published":
        # The library takes the limits of images for video, this package its own.
        assert limits == VIDEO_LIMITS
        pair = VideoConfig(min_pixels=IMAGE_LIMITS.min_pixels, max_pixels=IMAGE_LIMITS.max_pixels)
        limits = found.video_sizing(pair).limits
        assert list(grid(FRAMES, SIZES[-1], VIDEO_LIMITS)) == expected["video_grids"][-1]
    images = [list(grid(1, size, found.image.limits)) for size in SIZES]
    videos = [list(grid(FRAMES, size, limits)) for size in SIZES]
    assert (images, videos) == (expected["image_grids"], expected["video_grids"])
    for kind, name in ((found.image, "image_colour"), (found.video, "video_colour")):
        patches = patchify(np.full((1, 28, 28, 3), COLOUR, np.uint8), GEOMETRY, kind.normalization)
        colours = patches.normalised()[0].reshape(3, -1)[:, 0]
        np.testing.assert_allclose(colours, expected[name], rtol=1e-6)


def test_prompts_read_the_same_and_have_the_same_ids(saved):
    case, folder, expected = saved
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    template = ChatTemplate.load(folder, settings)
    assert template.notice is None
    rendered = [template.render(kinds) for kinds in KINDS]
    assert [text.replace(SLOT, WORDS) for text in rendered] == expected["prompts"]
    if case == "published":
        return  # its vocabulary is not among the goldens
    tokenizer = PromptTokenizer.load(folder)
    ids = [tokenizer.encode_prompt(text, slot=SLOT, text=WORDS) for text in rendered]
    assert ids == expected["prompt_ids"]
    assert tokenizer.encode_prompt(TAGGED_TEXT) == expected["tagged_ids"]
    shown = TAGGED_TEXT.replace("<|im_start|>", "").replace("<|im_end|>", "")
    assert tokenizer.decode(expected["tagged_ids"]) == shown
    assert (list(tokenizer.ids.eos), tokenizer.ids.pad) == (expected["eos"], expected["pad"])


def grid(frames, size, limits):
    """The patches of frames of a size along time, height and width."""
    height, width = smart_resize(*size, limits, GEOMETRY.token_pixels)
    return (frames + 1) // 2, height // 14, width // 14
