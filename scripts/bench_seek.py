"""Times 16 frames of a two-hour video: the product against a plain reader that seeks by PyAV.

    python scripts/bench_seek.py FOLDER [--hours 2] [--repeats 5]

The video is H.264 of 128 x 96 pixels with B-frames and a key frame every ten seconds, as MP4, MKV
and TS; FOLDER keeps the files. The plain reader believes the rate, seeks to the key frame before
each time and decodes on; it checks nothing. Each reads in a process of its own, whose peak memory
is printed. Frames carry their numbers (tests/numbered_clips.py), so wrong ones are counted.
"""

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from clip_checks import LIMITS  # noqa: E402
from numbered_clips import HEIGHT, RATE, WIDTH, number_of, paint  # noqa: E402

from vreason_jax.config import VideoConfig  # noqa: E402
from vreason_jax.video import worker  # noqa: E402
from vreason_jax.video.resize import resize_frames  # noqa: E402
from vreason_jax.video.sampling import WHOLE, spread_indices  # noqa: E402

FRAMES = 16
CONTAINERS = ("mp4", "mkv", "ts")


def main() -> int:
    options = _options()
    if options.read:
        print(json.dumps(_read(options.read, str(options.folder))))
        return 0
    options.folder.mkdir(parents=True, exist_ok=True)
    for container in CONTAINERS:
        _compare(_video(options.folder, container, options.hours), options.repeats)
    return 0


def _compare(path: Path, repeats: int) -> None:
    """Prints what both readers take, in turns, each the median of its repeats."""
    found = {reader: [_in_a_process(reader, path) for _ in range(repeats)] for reader in READERS}
    medians = {r: statistics.median(one["seconds"] for one in runs) for r, runs in found.items()}
    print(f"{path.name}, {path.stat().st_size / 1e6:.0f} MB")
    for reader, runs in found.items():
        print(
            f"  {reader:8} {medians[reader]:.2f} s, {medians[reader] / medians['plain']:.2f} of "
            f"plain; {runs[0]['wrong']} of {FRAMES} frames wrong; "
            f"peak {max(one['bytes'] for one in runs) / 2**20:.0f} MiB"
        )


def _in_a_process(reader: str, path: Path) -> dict:
    command = [sys.executable, __file__, str(path), "--read", reader]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def _read(reader: str, path: str) -> dict:
    start = time.perf_counter()
    indices, frames = READERS[reader](path)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "wrong": sum(number_of(f) != i for f, i in zip(frames, indices, strict=True)),
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def product(path: str) -> tuple[list[int], np.ndarray]:
    """Returns the numbers of the frames and the frames, as the decoding process reads them."""
    header, frames = worker.read_file(path, "pyav", VideoConfig(num_frames=FRAMES), LIMITS, WHOLE)
    return header["frame_indices"], frames


def plain(path: str) -> tuple[list[int], np.ndarray]:
    """Returns the same by seeking to the key frame before each time."""
    height, width = LIMITS.sides(HEIGHT, WIDTH)
    frames = np.empty((FRAMES, height, width, 3), np.uint8)
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate, start = float(stream.average_rate), (container.start_time or 0) / av.time_base
        indices = spread_indices(round(container.duration / av.time_base * rate), FRAMES)
        for number, index in enumerate(indices):
            frame = _frame_at(container, stream, start + (index - 0.5) / rate)
            pixels = frame.to_ndarray(format="rgb24")[None]
            frames[number] = resize_frames(pixels, height, width)[0]
    return indices.tolist(), frames


def _frame_at(container, stream, seconds: float) -> av.VideoFrame:
    for back in (0, 12):  # transport streams have no index: seeking lands behind the key frame
        container.seek(max(0, int((seconds - back) * av.time_base)))
        frames = container.decode(stream)
        frame = next(frames, None)
        if (frame is not None and frame.time <= seconds) or seconds < back:
            break
    return next(f for f in itertools.chain([frame], frames) if f.time >= seconds)


READERS = {"plain": plain, "product": product}


def _video(folder: Path, container: str, hours: float) -> Path:
    path = folder / f"{hours:g}-hours.{container}"
    if not path.exists():
        part = path.with_stem("part")
        if container == "mp4":
            _encode(part, round(hours * 3600 * RATE))
        else:
            _remux(_video(folder, "mp4", hours), part)
        part.rename(path)
    return path


def _encode(path: Path, count: int) -> None:
    grain = np.random.default_rng(0).integers(0, 20, (HEIGHT, WIDTH), np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "superfast", "x264-params": "keyint=250:bframes=3"}
        for number in range(count):
            picture = paint(number) + np.roll(grain, number, 1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "gray")))
        out.mux(stream.encode())


def _remux(source: Path, path: Path) -> None:
    with av.open(str(source)) as whole, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--read", choices=READERS, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
