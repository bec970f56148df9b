"""What fits into the memory at hand, found out before a crash."""

import contextlib
import ctypes
import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from vreason_jax.decoding import ladder
from vreason_jax.errors import UserError
from vreason_jax.model.config import ModelConfig
from vreason_jax.runtime.mesh import device_weights, shown_sizes

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


def is_lack(error: BaseException) -> bool:
    """Returns whether an error says that memory is too small: the host's, or a device's."""
    exhausted = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    return exhausted or isinstance(error, MemoryError)


def weights_advice(config: ModelConfig, dtype: str, mesh: Mesh) -> str:
    """Returns a line for weights that the devices of a mesh do not hold, and what to do."""
    needed = device_weights(dataclasses.replace(config, dtype=dtype), mesh.shape["model"])
    room = (mesh.local_devices[0].memory_stats() or {}).get("bytes_limit")
    held = f", which has {room / 1e9:.3g} GB" if room else ", which is too small"
    return (
        f"the weights take {needed / 1e9:.3g} GB of each device's memory{held}, under --mesh "
        f"{shown_sizes(mesh.shape)}; share them among more devices (--mesh), or make them int8 "
        "(--set model.weights=int8): `python -m vreason_jax.plan` says what fits"
    )


def check_cache(config: ModelConfig, itemsize: int, *, prompt: int, tokens: int, rows: int) -> None:
    """Raises UserError where not even the cache that answers begin with fits into all memory.

    Args:
      itemsize: bytes of one of the cache's numbers.
      prompt: tokens of the prompt, or 0 where it is not known yet.
      tokens: the answer's budget, of which the cache holds a half or the whole at first.
      rows: answers that are written at once.
    """
    count = ladder.power_of_two(rows)
    slots = ladder.first_capacity(prompt, tokens, count)
    needed = count * slots * _cache_bytes(config, itemsize)
    free = _free_bytes_of_all()
    if free is not None and needed > free:
        raise UserError(
            f"the cache of {rows} x {slots} tokens takes {needed / 1e9:.3g} GB, and "
            f"{free / 1e9:.1f} GB of memory are free; lower sampling.max_new_tokens, or the number "
            "of answers at once (--samples, --batch-size)"
        )


def bytes_per_video_token(
    config: ModelConfig, itemsize: int, model_axis: int = 1, *, caches: int = 1
) -> int:
    """Returns the bytes of one more video token on each of `model_axis` devices.

    What stays: the cache, or several copies of it, the method's float32 copies of the last layer's
    values, the tower's embedding. Tower and prompt are read in pieces of fixed size, whose passing
    memory does not grow with the clip. An estimate, some tens of percent wide.
    """
    text = config.text
    method = _METHOD_COPIES * text.kv_heads * text.head_width * 4
    cache = caches * _cache_bytes(config, itemsize)
    return (cache + method) // model_axis + (1 + text.stacked) * text.width * itemsize


def give_back(*, programs: bool = False) -> None:
    """Returns to the system what the C library keeps of freed memory, where it is glibc.

    With `programs` those that were compiled are freed before.
    """
    if programs:
        jax.clear_caches()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


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


def _cache_bytes(config: ModelConfig, itemsize: int) -> int:
    """Bytes of one token's keys and values in all layers."""
    return 2 * config.text.layers * config.text.kv_heads * config.text.head_width * itemsize


def _free_bytes_of_all() -> int | None:
    """Free memory of all devices of all processes, taken to be alike; the host's for a CPU."""
    local = jax.local_devices()
    if local[0].platform == "cpu":
        local = local[:1]  # they share it
    free = [free_bytes(device) for device in local]
    known = [number for number in free if number is not None]
    return sum(known) * jax.process_count() if len(known) == len(local) else None


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
