"""Makes clips whose pixels carry their frame's number, in over 60 combinations, and reads them.

    python scripts/make_video_matrix.py FOLDER            writes the clips and truth.json
    python scripts/make_video_matrix.py FOLDER --check    reads each, prints a table

A clip passes where every frame asked for is the frame that came, to the last one, and its time is
the container's within half a frame: whole, sampled sparsely, and the last frame alone, by jumps to
key frames and by decoding throughout. The exit code is 1 where one does not.
"""

import argparse
import json
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from clip_checks import faults  # noqa: E402
from numbered_clips import Case, Shown, make  # noqa: E402

MP4_OPTIONS = (
    ("movflags", "frag_keyframe+empty_moov"),
    ("movflags", "negative_cts_offsets"),
    ("use_editlist", "0"),
)
WRAP = ("output_ts_offset", "95441")  # seconds; the clock of 33 bits starts anew two seconds later


def _over(codec: str, structures: str, containers: str, rates: str = "constant", cut: str = ""):
    return [
        Case(codec, structure, container, rate, cut)
        for structure in structures.split()
        for container in containers.split()
        for rate in rates.split()
    ]


CASES = [
    *_over("libx264", "closed", "mp4 mov mkv avi ts mts flv 3gp"),
    *_over("libx264", "reordered", "mp4 mov mkv avi ts", "constant skips"),
    *_over("libx264", "open", "mp4 mov mkv ts mts", "constant jitter"),
    *_over("libx264", "refresh interlaced", "mp4 mts"),
    *_over("libx264", "reordered open", "mp4 mov", cut="trimmed"),
    *_over("libx264", "closed", "mp4 mkv avi ts mts", cut="midway"),
    *_over("libx264", "reordered open", "mkv ts", cut="midway"),
    *_over("libx264", "reordered", "mp4 mkv ts", cut="late"),
    *_over("libx264", "reordered open", "ts", cut="joined"),
    *_over("libx264", "closed", "mts", cut="leap"),
    *(Case("libx264", "reordered", "mp4", "jitter", options=(option,)) for option in MP4_OPTIONS),
    Case("libx264", "reordered", "ts", options=(WRAP,)),
    *_over("libx265", "closed reordered open", "mp4 mkv ts"),
    *_over("libx265", "open", "mov mts mkv", "jitter"),
    *_over("libx265", "open", "mp4", cut="trimmed"),
    *_over("libx265", "open", "mkv ts", cut="midway"),
    *_over("libvpx", "closed hidden", "webm mkv avi"),
    *_over("libvpx", "hidden", "webm", "jitter"),
    *_over("libvpx-vp9", "closed hidden", "webm mp4"),
    *_over("libvpx-vp9", "hidden", "webm mkv", "jitter"),
    *_over("libvpx-vp9", "closed", "webm", cut="late"),
    *_over("libsvtav1", "reordered", "mp4 webm mkv", "constant jitter"),
    *_over("mpeg1video", "reordered", "mpg"),
    # Program streams stamp packs of 2048 bytes, not the small frames here.
    *_over("mpeg2video", "closed open", "mpg"),
    *_over("mpeg2video", "closed open", "ts mkv", "constant skips"),
    *_over("mpeg2video", "open", "mts avi mp4"),
    *_over("mpeg2video", "closed open", "mpg ts", cut="midway"),
    *_over("mpeg2video", "open", "mpg ts", cut="joined"),
    *_over("mpeg2video", "open", "mpg ts", cut="leap"),
    *_over("mpeg4", "closed reordered", "avi mp4", "constant skips"),
    *_over("mpeg4", "reordered", "mkv mov ts"),
    *_over("mpeg4", "reordered", "avi", cut="midway"),
    *_over("mpeg4", "pairs", "avi", cut="packed"),
    *_over("mjpeg", "closed", "avi mov mkv mp4", "constant skips"),
    *_over("wmv1", "closed", "wmv"),
    *_over("wmv2", "closed", "wmv avi", "constant skips"),
    *_over("prores_ks", "closed", "mov mkv", "constant jitter"),
    *_over("gif", "closed", "gif", "constant skips"),
    *_over("libwebp_anim", "closed", "webp", "constant skips"),
    *_over("apng", "closed", "apng"),
    *_over("qtrle", "closed", "mov"),
]


def main() -> int:
    options = _options()
    truth = options.folder / "truth.json"
    if not options.check:
        options.folder.mkdir(parents=True, exist_ok=True)
        truth.write_text(json.dumps(_write(options.folder), indent=1) + "\n")
        return 0
    clips = {name: Shown(**shown) for name, shown in json.loads(truth.read_text()).items()}
    wrong = sum(_report(options.folder / name, shown) for name, shown in clips.items())
    print(f"{len(clips)} clips, {wrong} of them read wrongly")
    return 1 if wrong else 0


def _write(folder: Path) -> dict[str, dict]:
    """Writes the clips whose encoders this PyAV has; returns what is shown of each."""
    written = {}
    for case in CASES:
        if case.lacking():
            print(f"{case.name}: left out, this PyAV has no encoder {', '.join(case.lacking())}")
            continue
        path, shown = make(case, folder)
        written[path.name] = vars(shown)
    print(f"{len(written)} of {len(CASES)} clips in {folder}")
    return written


def _report(path: Path, shown: Shown) -> bool:
    """Prints how a clip was read; returns whether anything was wrong."""
    found = faults(path, shown)
    wrong = {way: fault for way, fault in found.items() if fault}
    print(f"{path.name:48} {len(shown.numbers):3} frames  {'WRONG' if wrong else 'right'}")
    for way, fault in wrong.items():
        print(f"    {way}: {fault}")
    return bool(wrong)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="read the clips of the folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
