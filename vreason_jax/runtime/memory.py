"""An estimate of the video tokens that fit into a device's memory, for a warning before a crash."""

import os
from pathlib import Path
from typing import Any

from vreason_jax.model.config import ModelConfig

_METHOD_COPIES = 5  # value delta, its two moments, its shift, one gradient: all float32


def free_bytes(device: Any) -> int | None:
    """Returns the free memory of a device (of the host for a CPU), or None if it is unknown."""
    if device.platform == "cpu":
        return _free_host_bytes()
    try:
        stats = device.memory_stats() or {}
    except (RuntimeError, NotImplementedError):
        return None
    if "bytes_limit" not in stats:
        return None
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)


def bytes_per_video_token(config: ModelConfig, itemsize: int, model_axis: int = 1) -> int:
    """Returns the bytes of one more video token on each of `model_axis` devices.

    What stays: the cache and the method's float32 copies of the last layer's values, the tower's
    embedding. Tower and prompt are read in pieces of fixed size, whose passing memory does not grow
    with the clip. An estimate, some tens of percent wide.
    """
    text = config.text
    shared = text.kv_heads * text.head_width
    cache = 2 * text.layers * shared * itemsize
    method = _METHOD_COPIES * shared * 4
    return (cache + method) // model_axis + text.width * itemsize


def fitting_tokens(free: int, per_token: int, other_tokens: int = 0) -> int:
    """Returns the number of video tokens that fit beside `other_tokens` of text and answer."""
    return max(0, free // per_token - other_tokens)


def memory_warning(
    video_tokens: int, free: int | None, per_token: int, other_tokens: int = 0
) -> str | None:
    """Returns a line that says how many tokens fit and what to lower, or None if all fit."""
    if free is None:
        return None
    fitting = fitting_tokens(free, per_token, other_tokens)
    if video_tokens <= fitting:
        return None
    return (
        f"{video_tokens} video tokens, about {fitting} fit in the {free / 1e9:.1f} GB of free "
        "memory; lower video.max_pixels, video.num_frames or sampling.max_new_tokens"
    )


def _free_host_bytes() -> int:
    """Returns the free memory of the machine or of the container, whichever is less."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    limit, used = (_lines(Path(f"/sys/fs/cgroup/memory.{what}")) for what in ("max", "current"))
    if limit and used and limit[0].isdigit():
        available = min(available, int(limit[0]) - int(used[0]))
    return max(0, available)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
