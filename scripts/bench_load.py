"""Times the loading of a checkpoint in shards, beside the disk it lies on.

`bench.py` measures with it; run by itself it loads a folder and prints what that took, as JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_shapes
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from vreason_jax.runtime import tensor_files
from vreason_jax.runtime.names import expected_tensors

_SHARD_BYTES = 2e9
_AT_ONCE = 2**24  # bytes that the disk is asked for


def measure_load(shape: str, dtype: str) -> dict[str, float]:
    """Returns seconds and rate of loading random weights, and the host memory that it takes.

    Loading runs in a process of its own. `peak_of_bytes` is what that process holds at most beyond
    what it held before, over the bytes of the weights (on a CPU they stay in host memory, so 1 is
    the least); `read_of_bytes` is what it reads of the files, over the same. Before both the disk
    and the loader are timed, memory is taken and given back: the host of a virtual machine may
    give it for the first time more slowly than a disk reads, which `memory_gb_per_s` shows.
    """
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", ".")) as name:
        folder = Path(name)
        total = write_shards(folder, shape, dtype)
        disk = max(_read_rate(folder) for _ in range(2))
        forget(folder)
        command = [sys.executable, __file__, str(folder), dtype]
        loaded = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    rate = total / loaded["seconds"] / 1e9
    return {
        "load_gb": total / 1e9,
        "load_s": loaded["seconds"],
        "load_gb_per_s": rate,
        "disk_gb_per_s": disk,
        "memory_gb_per_s": loaded["memory_rate"],
        "load_share_of_disk": rate / disk,
        "load_peak_of_bytes": loaded["peak"] / total,
        "load_read_of_bytes": loaded["read"] / total,
    }


def write_shards(folder: Path, shape: str, dtype: str) -> int:
    """Writes a checkpoint of random bytes; returns the bytes of its tensors."""
    rng, total, shard, weight_map = np.random.default_rng(0), 0, {}, {}
    noise = (0.02 * rng.standard_normal(2**24)).astype(jnp.dtype(dtype))

    def write() -> None:
        file = f"model-{len(set(weight_map.values())) + 1:05d}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(shard, file))
        shard.clear()

    for tensor in expected_tensors(bench_shapes.model_config(shape)).values():
        shard[tensor.name] = np.resize(noise, tensor.stored_shape)
        total += shard[tensor.name].nbytes
        if sum(array.nbytes for array in shard.values()) > _SHARD_BYTES:
            write()
    if shard:
        write()
    (folder / tensor_files.INDEX).write_text(json.dumps({"weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(bench_shapes.hf_config(shape)))
    return total


def forget(folder: Path) -> None:
    """Drops the files from the memory in which the system keeps what was read and written."""
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read_rate(folder: Path) -> float:
    """The disk's GB a second, of one reader from beginning to end into one buffer."""
    forget(folder)
    _take_memory(folder)
    buffer, total = np.empty(_AT_ONCE, np.uint8), 0
    begin = time.perf_counter()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb", buffering=0) as opened:
            while count := opened.readinto(buffer.data):
                total += count
    return total / (time.perf_counter() - begin) / 1e9


def _take_memory(folder: Path) -> float:
    """Takes what loading does, weights and the system's copy of the files, and gives it back.

    Returns the GB a second at which it came.
    """
    wanted = 2 * sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    begin = time.perf_counter()
    taken = np.empty(min(wanted, int(0.9 * _available())), np.uint8)
    taken[:: os.sysconf("SC_PAGE_SIZE")] = 1
    return taken.nbytes / (time.perf_counter() - begin) / 1e9


def _load(folder: Path, dtype: str) -> None:
    """Loads the weights and prints what that took, as JSON."""
    import jax

    from vreason_jax.families.registry import read_model_config
    from vreason_jax.runtime.checkpoint import load_model

    config = read_model_config(folder)
    jax.block_until_ready(jnp.zeros(8))
    memory_rate = _take_memory(folder)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    held, read = _resident("VmRSS"), _bytes_read()
    begin = time.perf_counter()
    model = load_model(folder, config, dtype)
    seconds = time.perf_counter() - begin
    figures = {
        "seconds": seconds,
        "peak": _resident("VmHWM") - held,
        "read": _bytes_read() - read,
        "memory_rate": memory_rate,
    }
    print(json.dumps(figures))
    del model


def _resident(which: str) -> int:
    """Bytes of this process in memory, now (VmRSS) or at most (VmHWM)."""
    return _bytes_of("/proc/self/status", which)


def _available() -> int:
    """Bytes that the system has for new processes."""
    return _bytes_of("/proc/meminfo", "MemAvailable")


def _bytes_of(file: str, which: str) -> int:
    lines = Path(file).read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


def _bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])  # rchar


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkpoint in HF layout")
    parser.add_argument("dtype", choices=("float32", "bfloat16", "float16"))
    options = parser.parse_args()
    _load(options.folder, options.dtype)
