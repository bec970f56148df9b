"""What the tests of `generate` and of the Python interface share: a place with media, and runs."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import write_tiny_checkpoint
from video_files import encode
from xla_flags import quick

from vreason_jax import generate
from vreason_jax.config import RunConfig
from vreason_jax.errors import UserError

ROOT = Path(__file__).parent.parent
QUESTION = "Which thing moves?"


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run left on its two streams; `trace` where it was asked for."""

    code: int
    out: str
    err: str
    trace: dict | None = None

    @property
    def warnings(self) -> list[str]:
        lines = self.err.splitlines()
        return [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]

    @property
    def progress(self) -> list[str]:
        """What stderr says beside the warnings."""
        return [line for line in self.err.splitlines() if not line.startswith("warning: ")]


class Program:
    """Calls a program's main() in this process, with the files of a place."""

    def __init__(self, main, command, place: Path, capsys):
        """`command(place, *flags)` are the arguments that the flags amount to."""
        self._main, self._command, self._place, self._capsys = main, command, place, capsys

    def __call__(self, *flags) -> Run:
        """Runs to the end, whatever it is."""
        self._capsys.readouterr()
        code = self._main(self._command(self._place, *flags))
        return Run(code, *self._capsys.readouterr())


class Runner(Program):
    """`generate` with the tiny checkpoint, its clip and a question, which later flags replace."""

    def __init__(self, place: Path, capsys):
        super().__init__(generate.main, command, place, capsys)

    def config(self, *flags) -> RunConfig:
        """Goes no further than to the run config that the flags amount to."""
        configs = []

        def stop(checkpoint, question, config):
            configs.append(config)
            raise UserError("stopped here")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("vreason_jax.checkpoint.Checkpoint.prepare", stop)
            run = self(*flags)
        assert configs, run.err
        return configs[0]

    def traced(self, *flags) -> Run:
        """Runs to an answer and reads its trace."""
        file = self._place / "trace.json"
        run = self(*flags, "--trace", file)
        assert run.code == 0, run.err
        return dataclasses.replace(run, trace=json.loads(file.read_text(encoding="utf-8")))

    def inputs(self, *flags) -> dict[str, np.ndarray]:
        """Runs to an answer and reads what went into the model."""
        file = self._place / "inputs.npz"
        run = self(*flags, "--max-new-tokens", 1, "--dump-inputs", file)
        assert run.code == 0, run.err
        with np.load(file) as arrays:
            return dict(arrays)


def command(place: Path, *flags) -> list[str]:
    """Returns the arguments of a run; without media of its own it asks about the clip."""
    flags = [str(flag) for flag in flags]
    defaults = ["--model", str(place / "model"), "--prompt", QUESTION, "--max-new-tokens", "12"]
    if not {"--video", "--image", "--no-video"} & set(flags):
        defaults += ["--video", str(place / "clip.mp4")]
    return [*defaults, *flags]


def start_process(arguments: list[str], **variables) -> subprocess.Popen:
    """Starts `python -m vreason_jax.generate` (or, given -c, a script) on one CPU device."""
    head = [sys.executable]
    if arguments[0] != "-c":
        head += ["-m", "vreason_jax.generate"]
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": quick(),
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    return subprocess.Popen(
        [*head, *arguments],
        env={**environment, **{key: str(value) for key, value in variables.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def end_of(process: subprocess.Popen, seconds: float = 120) -> Run:
    """Waits for a process; one that hangs is ended and fails the test."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return Run(process.returncode, out, err)


def make_place(folder: Path) -> Path:
    """Writes model/, clip.mp4, other.mp4, frames/ and picture.png into `folder`; returns it."""
    model = write_tiny_checkpoint(
        folder / "model",
        text={"num_hidden_layers": 2},
        vision={"depth": 2, "fullatt_block_indexes": [1]},
    )
    # Few pixels, so that a clip has some ten tokens.
    limits = {"min_pixels": 784, "max_pixels": 4 * 784}
    (model / "video_preprocessor_config.json").write_text(json.dumps(limits))
    encode(folder / "clip.mp4", count=30)
    encode(folder / "other.mp4", count=60, size=(64, 64), rate=15)
    (folder / "frames").mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels = rng.integers(0, 256, (56, 84, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "frames" / f"{number}.png")
    Image.fromarray(rng.integers(0, 256, (60, 90, 3), np.uint8)).save(folder / "picture.png")
    return folder


def changed_model(place: Path, folder: Path, change=lambda folder: None) -> Path:
    """Returns a copy of the tiny checkpoint in `folder`, changed."""
    shutil.copytree(place / "model", folder)
    change(folder)
    return folder


def rewrite_json(file: Path, **values) -> None:
    """Replaces values of a JSON object in a file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
