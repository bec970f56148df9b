"""What `generate` hands to the model: media, prompt and positions."""

import numpy as np
from generate_runs import QUESTION
from patches_of_14 import GEOMETRY
from tiny_vocabulary import ADDED_TOKENS

from vreason_jax.video.patches import patchify


def test_the_dumped_inputs_of_a_video(run, place):
    arrays = run.inputs()
    trace = run.traced().trace
    size = arrays["input_ids"].shape[1]
    forms = {name: (str(array.dtype), array.ndim) for name, array in arrays.items()}
    assert forms == {
        "input_ids": ("int32", 2), "position_ids": ("int32", 3), "next_position": ("int32", 0),
        "pixel_values_videos": ("float32", 2), "video_grid_thw": ("int32", 2),
        "second_per_grid_ts": ("float32", 1), "frame_indices": ("int32", 1), "frames": ("uint8", 4),
    }  # fmt: skip
    assert arrays["input_ids"].shape == (1, size) and arrays["position_ids"].shape == (3, 1, size)
    assert arrays["next_position"] == arrays["position_ids"].max() + 1
    (grid,) = arrays["video_grid_thw"].tolist()
    video = trace["videos"][0]
    assert (grid, video["path"]) == (video["grid_thw"], str(place / "clip.mp4"))
    assert arrays["frame_indices"].tolist() == video["frame_indices"]
    assert arrays["pixel_values_videos"].shape == (np.prod(grid), 1176)
    assert arrays["frames"].shape == (2 * grid[0], 14 * grid[1], 14 * grid[2], 3)
    np.testing.assert_array_equal(arrays["second_per_grid_ts"], np.float32([2 / video["fps"]]))
    np.testing.assert_allclose(
        patchify(arrays["frames"], GEOMETRY).normalised(), arrays["pixel_values_videos"], atol=1e-6
    )


def test_media_come_in_the_order_given(run, place, tokenizer):
    video, image = tokenizer.ids.video_pad, tokenizer.ids.image_pad
    flags = {video: ("--video", place / "clip.mp4"), image: ("--image", place / "picture.png")}
    for order in ([image, video], [video, image], [image, video, image]):
        arrays = run.inputs(*[part for kind in order for part in flags[kind]])
        ids = arrays["input_ids"][0]
        starts = np.flatnonzero(ids == tokenizer.ids.vision_start)
        assert ids[starts + 1].tolist() == order
        images = arrays["image_grid_thw"]
        assert len(images) == order.count(image)
        assert arrays["pixel_values"].shape == (np.prod(images, axis=1).sum(), 1176)
        assert (ids == image).sum() == np.prod(images, axis=1).sum() // 4


def test_several_videos_keep_their_own_frames(run, place):
    arrays = run.inputs("--video", place / "other.mp4", "--video", place / "clip.mp4")
    alone = run.inputs()
    assert arrays["video_grid_thw"].shape == (2, 3) and arrays["second_per_grid_ts"].shape == (2,)
    np.testing.assert_array_equal(arrays["frames_1"], alone["frames"])
    assert arrays["frames"].shape != alone["frames"].shape
    trace = run.traced("--video", place / "other.mp4", "--video", place / "clip.mp4").trace
    assert [video["path"][-9:] for video in trace["videos"]] == ["other.mp4", "/clip.mp4"]


def test_no_video_means_none_and_an_image_stands_beside_the_embedded_clip(run, place):
    assert set(run.inputs("--no-video")) == {"input_ids", "position_ids", "next_position"}
    assert "video_grid_thw" not in run.inputs("--no-video", "--image", place / "picture.png")
    assert "video_grid_thw" in run.inputs("--image", place / "picture.png")


def test_fps_is_the_rate_of_a_folder_of_frames(run, place):
    for flags, fps in (((), 2.0), (("--fps", 3), 3.0)):
        arrays = run.inputs("--video", place / "frames", *flags)
        seconds = 2 / (len(arrays["frames"]) / 6 * fps)
        np.testing.assert_allclose(arrays["second_per_grid_ts"], [seconds], rtol=1e-6)


def test_the_prompt_goes_in_verbatim(run, tokenizer):
    text = "  two\n\nlines, Ünïcode \t{question} %s "
    ids = run.inputs("--no-video", "--prompt", text)["input_ids"][0]
    shown = tokenizer.decode(ids, skip_special_tokens=False)
    assert f"<|im_start|>user\n{text}<|im_end|>" in shown


def test_the_text_of_added_tokens_is_taken_as_text(run, tokenizer):
    plain = run.inputs("--no-video")["input_ids"][0]
    added = list(tokenizer.added_tokens.values())
    ids = run.inputs("--no-video", "--prompt", "".join(ADDED_TOKENS))["input_ids"][0]
    assert np.isin(ids, added).sum() == np.isin(plain, added).sum()
    assert "".join(ADDED_TOKENS) in tokenizer.decode(ids, skip_special_tokens=False)


def test_a_template_wraps_the_question(run, tmp_path, tokenizer):
    (tmp_path / "wrap.txt").write_text("Think.\n{question}\nSay <answer>.\n")
    flags = "--no-video", "--set", f"prompt.template={tmp_path / 'wrap.txt'}"
    shown = tokenizer.decode(run.inputs(*flags)["input_ids"][0], skip_special_tokens=False)
    assert f"user\nThink.\n{QUESTION}\nSay <answer>.<|im_end|>" in shown


def test_the_position_rule_moves_what_follows_the_video(run, place):
    # Frames so far apart that the video is longer in time than wide.
    flags = "--video", place / "frames", "--fps", 0.2
    by_rule = {
        rule: run.inputs(*flags, "--set", f"model.position_rule={rule}") for rule in ("max", "hf5")
    }
    np.testing.assert_array_equal(by_rule["max"]["input_ids"], by_rule["hf5"]["input_ids"])
    last = {rule: arrays["position_ids"][:, 0, -1] for rule, arrays in by_rule.items()}
    assert (last["max"] != last["hf5"]).all()
