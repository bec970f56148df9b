"""Writes tests/goldens/video_*: results of qwen-vl-utils and transformers on small videos.

    python scripts/make_video_goldens.py        needs the extra `parity` and decord

qwen-vl-utils chooses and resizes the frames, transformers' video processor turns them into patches.
Both import torchvision for three functions on tensors; where it is not installed, the same three
are taken from torch: the antialiased bicubic resize in float32 (rounded and clipped for 8-bit
frames, as torchvision.transforms.functional.resize does), the normalisation and RGB as it is.
"""

import importlib.machinery
import importlib.util
import json
import logging
import sys
import types
from pathlib import Path

import av
import numpy as np
import torch

GOLDENS = Path(__file__).parents[1] / "tests" / "goldens"
CLIP = GOLDENS / "video_clip.mp4"
CLIP_LIMITS = {"down": (3136, 6272), "up": (25088, 31360)}
RATES = (
    0.5,
    1.0,
    2.0,
    10.0,
    12.5,
    15.0,
    23.976,
    24.0,
    25.0,
    29.97,
    30000 / 1001,
    30.0,
    59.94,
    60.0,
)
TOTALS = (2, 3, 4, 5, 7, 30, 37, 90, 115, 149, 230, 300, 301, 2400, 21600, 215784)
SIZES = ((720, 1280), (1080, 1920), (480, 640), (360, 640), (240, 320), (42, 70), (56, 56))
SIZES += ((98, 1400), (14, 1000), (3000, 41), (119, 121), (2160, 3840), (28, 5600))


def main():
    if importlib.util.find_spec("torchvision") is None:
        install_stand_in()
    GOLDENS.mkdir(parents=True, exist_ok=True)
    write_sampling()
    write_resize()
    write_clip()
    write_patches()


def write_sampling():
    from qwen_vl_utils.vision_process import logger, smart_nframes, smart_resize

    logger.setLevel(logging.ERROR)  # it remarks on every clip shorter than the request
    rows = []
    for total in TOTALS:
        by_rate = [({"fps": 2.0, "max_frames": cap}, rate) for rate in RATES for cap in (16, 64)]
        by_count = [({"nframes": count}, 30.0) for count in (2, 5, 7, 16, 30) if count < total]
        for request, rate in by_rate + by_count:
            count = smart_nframes(request, total, rate)
            indices = torch.linspace(0, total - 1, count).round().long().tolist()
            asked = request.get("nframes"), request.get("max_frames")
            rows.append([total, rate, *asked, count if count > 16 else indices])
    sizes = []
    for height, width in SIZES:
        for low, high in ((100352, 200704), (100352, 602112), (3136, 12845056)):
            if max(height, width) <= 200 * min(height, width):
                size = smart_resize(height, width, 28, low, high)
                # It lets a side of a very long frame fall to 0, where transformers keeps 28.
                sizes.append([height, width, low, high, *(max(28, side) for side in size)])
    values = {
        "columns": ["total", "fps", "num_frames", "max_frames", "indices, or their count over 16"],
        "rows": rows,
        "sizes": sizes,
    }
    text = json.dumps(values, separators=(",", ":")).replace("],[", "],\n[")
    (GOLDENS / "video_sampling.json").write_text(text + "\n")


def write_resize():
    """Frames before and after: [F,h,w,3], smooth and noisy, larger and smaller."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import resize

    arrays = {}
    for name, frames, size in resize_cases():
        tensor = torch.from_numpy(frames).permute(0, 3, 1, 2)
        resized = resize(tensor, list(size), InterpolationMode.BICUBIC, antialias=True)
        arrays[f"{name}_in"] = frames
        arrays[f"{name}_out"] = resized.permute(0, 2, 3, 1).numpy()
    np.savez_compressed(GOLDENS / "video_resize.npz", **arrays)


def resize_cases():
    noise = np.random.default_rng(0)
    yield "smooth_down", smooth_frames(2, 90, 161), (56, 84)
    yield "smooth_up", smooth_frames(2, 37, 50), (84, 112)
    yield "noisy_down", noise.integers(0, 256, (2, 75, 133, 3), np.uint8), (56, 84)
    yield "noisy_up", noise.integers(0, 256, (1, 41, 60, 3), np.uint8), (84, 140)
    yield "noisy_mixed", noise.integers(0, 256, (1, 120, 40, 3), np.uint8), (56, 84)


def write_clip():
    from qwen_vl_utils.vision_process import fetch_video

    encode(CLIP, smooth_frames(75, 98, 166), rate=25)  # 3 seconds
    arrays = {}
    for name, (low, high) in CLIP_LIMITS.items():
        request = {"video": str(CLIP), "min_pixels": low, "max_pixels": high}
        (video, metadata), fps = fetch_video(
            request, return_video_sample_fps=True, return_video_metadata=True
        )
        frames = video.permute(0, 2, 3, 1).numpy().astype(np.uint8)
        arrays[f"{name}_frames"] = frames[[0, -1]]  # two, to keep the file small
    arrays |= {"frame_indices": np.array(metadata["frames_indices"], np.int32), "fps": fps}
    np.savez_compressed(GOLDENS / "video_clip.npz", **arrays)


def write_patches():
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    frames = np.random.default_rng(1).integers(0, 256, (3, 56, 84, 3), np.uint8)
    processor = Qwen2VLVideoProcessor(min_pixels=3136, max_pixels=12845056)
    values = processor(
        videos=[torch.from_numpy(frames).permute(0, 3, 1, 2)],
        do_sample_frames=False,
        cap_pixels_per_frame=False,
        return_tensors="np",
    )
    np.savez_compressed(
        GOLDENS / "video_patches.npz",
        frames=frames,
        values=np.asarray(values["pixel_values_videos"]),
        grid=np.asarray(values["video_grid_thw"])[0],
    )


def smooth_frames(count, height, width):
    """Moving gradients and a moving disc, uint8 [F,h,w,3]."""
    y, x = np.mgrid[:height, :width]
    frames = []
    for step in range(count):
        disc = (y - height / 2) ** 2 + (x - (step * 3) % width) ** 2 < (height / 4) ** 2
        waves = [np.sin(x / (9 + c) + step / 7) * 60 + np.cos(y / 11 + c) * 60 for c in range(3)]
        frames.append(np.stack(waves, -1) + 128 + 60 * disc[..., None])
    return np.clip(np.array(frames), 0, 255).astype(np.uint8)


def encode(path, frames, rate):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "28"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def install_stand_in():
    """Puts a module `torchvision` in place with what the two libraries call."""
    from enum import Enum

    modes = ("NEAREST", "NEAREST_EXACT", "BILINEAR", "BICUBIC", "BOX", "HAMMING", "LANCZOS")
    mode = Enum("InterpolationMode", {name: name.lower() for name in modes})

    def resize(image, size, interpolation=mode.BICUBIC, antialias=True):
        if list(image.shape[-2:]) == list(size):
            return image
        resized = torch.nn.functional.interpolate(
            image.float(), tuple(size), mode=interpolation.value, antialias=antialias
        )
        return resized.clamp(0, 255).round().to(image.dtype)

    def normalize(image, mean, std, inplace=False):
        mean, std = (torch.as_tensor(value).view(-1, 1, 1) for value in (mean, std))
        return image.sub(mean).div_(std)

    functions = {
        "resize": resize,
        "normalize": normalize,
        "grayscale_to_rgb": lambda video: video,
        "pil_to_tensor": None,
        "InterpolationMode": mode,
    }
    names = ("", ".io", ".transforms", ".transforms.functional", ".transforms.v2")
    for name in (*names, ".transforms.v2.functional"):
        module = types.ModuleType("torchvision" + name)
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None, is_package=True)
        module.__dict__.update(functions, __version__="0.28.0", __path__=[])
        parent, _, child = module.__name__.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
        sys.modules[module.__name__] = module


if __name__ == "__main__":
    main()
