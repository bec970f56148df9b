"""What checkpoint files say of limits and normalisation, by the precedence of transformers."""

import json

import pytest
from patches_of_14 import WITHOUT_FILES, preprocessing

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.video.patches import CLIP_NORMALIZATION, Normalization
from vreason_jax.video.resize import PixelLimits

PUBLISHED = {"min_pixels": 3136, "max_pixels": 12845056}
IMAGE, VIDEO, NESTED = (
    f"{name}_config.json" for name in ("preprocessor", "video_preprocessor", "processor")
)


@pytest.fixture
def folder(tmp_path):
    """Writes files by name and returns what is read of the folder."""

    def read(files):
        for name, values in files.items():
            text = values if isinstance(values, str) else json.dumps(values)
            (tmp_path / name).write_text(text)
        return preprocessing(tmp_path)

    return read


def test_a_folder_without_files_has_the_published_settings(folder):
    found = folder({})
    assert found == WITHOUT_FILES
    assert found.video.limits == PixelLimits(100352, 200704)
    assert found.image.limits == PixelLimits(3136, 12845056)
    assert found.video.normalization == CLIP_NORMALIZATION


@pytest.mark.parametrize(
    "files",
    [
        {IMAGE: PUBLISHED},
        {IMAGE: PUBLISHED, VIDEO: PUBLISHED},
        {VIDEO: {"size": {"shortest_edge": 3136, "longest_edge": 12845056}}},
        {NESTED: {"video_processor": {"size": {"shortest_edge": 3136, "longest_edge": 12845056}}}},
    ],
)
def test_the_published_image_limits_never_count_for_video(folder, files):
    assert folder(files).video.limits == PixelLimits(100352, 200704)
    assert folder(files).image.limits == PixelLimits(3136, 12845056)


@pytest.mark.parametrize(
    "values",
    [
        {"min_pixels": 784, "max_pixels": 3136},
        {"size": {"shortest_edge": 784, "longest_edge": 3136}},
        {"size": {"min_pixels": 784, "max_pixels": 3136, "height": None}},
        {"size": {"shortest_edge": 1, "longest_edge": 2}, "min_pixels": 784, "max_pixels": 3136},
    ],
)
@pytest.mark.parametrize("name", [IMAGE, VIDEO, NESTED])
def test_every_form_of_limits_counts_in_every_file(folder, name, values):
    found = folder({name: {"video_processor": values} if name == NESTED else values})
    assert found.video.limits == PixelLimits(784, 3136)
    assert (found.image.limits == PixelLimits(784, 3136)) == (name == IMAGE)


def test_a_nested_section_goes_before_the_videos_file_and_that_before_the_images(folder):
    def limits(low):
        return {"min_pixels": low, "max_pixels": 10 * low}

    files = {IMAGE: limits(1), VIDEO: limits(2), NESTED: {"processor_class": "Processor"}}
    assert folder(files).video.limits == PixelLimits(2, 20)
    files[NESTED] = {"video_processor": limits(3), "image_processor": limits(4)}
    assert folder(files).video.limits == PixelLimits(3, 30)
    assert folder(files).image.limits == PixelLimits(4, 40)


def test_settings_of_two_files_are_never_mixed(folder):
    files = {IMAGE: {"image_mean": [0.1, 0.2, 0.3]}, VIDEO: {"min_pixels": 784}}
    assert folder(files).video.normalization == CLIP_NORMALIZATION
    assert folder(files).image.normalization.mean == (0.1, 0.2, 0.3)


def test_a_bound_that_is_left_out_gives_way_to_the_other(folder):
    assert folder({VIDEO: {"max_pixels": 50176}}).video.limits == PixelLimits(50176, 50176)
    assert folder({VIDEO: {"min_pixels": 300000}}).video.limits == PixelLimits(300000, 300000)
    assert folder({IMAGE: {"do_resize": True}}).image.limits == PixelLimits(3136, 1003520)


def test_the_config_overrides_each_bound(folder):
    found = folder({VIDEO: {"min_pixels": 784, "max_pixels": 3136}})
    assert found.video_sizing(VideoConfig()).limits == PixelLimits(784, 3136)
    assert found.video_sizing(VideoConfig(max_pixels=1000)).limits == PixelLimits(784, 1000)
    assert found.video_sizing(VideoConfig(min_pixels=5, max_pixels=7)).limits == PixelLimits(5, 7)
    with pytest.raises(UserError, match="expected min <= max, got 300000 > 3136"):
        found.video_sizing(VideoConfig(min_pixels=300_000))


def test_videos_and_images_have_their_own_normalisation(folder):
    halves = {"image_mean": [0.5, 0.5, 0.5], "image_std": 0.5}
    found = folder({NESTED: {"image_processor": halves, "video_processor": {}}, IMAGE: {}})
    assert found.image.normalization == Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert found.video.normalization == CLIP_NORMALIZATION


@pytest.mark.parametrize(
    "values",
    [
        "{", "[]", {"min_pixels": "a"}, {"max_pixels": 0}, {"max_pixels": 10**30},
        {"min_pixels": 9, "max_pixels": 8}, {"size": {"longest_edge": True}},
        {"size": {"height": 224, "width": 224}}, {"size": 224}, {"size": [224, 224]},
        {"image_std": [0.5]}, {"image_std": ["a", 1, 2]}, {"image_std": [1, 1, 0]},
        {"image_mean": "red"}, {"do_normalize": False}, {"do_rescale": False},
        {"do_resize": False}, {"rescale_factor": 1}, {"rescale_factor": "1/255"},
        {"resample": 2}, {"patch_size": 16}, {"merge_size": 4}, {"temporal_patch_size": 1},
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", [IMAGE, VIDEO])
def test_what_cannot_be_followed_is_one_line_that_names_the_file(folder, name, values):
    with pytest.raises(UserError, match=rf"{name}: expected") as caught:
        folder({name: values})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("section", [[1], "text", {"min_pixels": -1}])
def test_a_broken_section_is_an_error_that_names_it(folder, section):
    with pytest.raises(UserError, match=r"processor_config\.json: video_processor: expected"):
        folder({NESTED: {"video_processor": section}})
