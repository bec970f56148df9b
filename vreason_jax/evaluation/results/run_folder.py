"""The folder of a run: the one owner of its files, and of what is done."""

import contextlib
import enum
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.results import frames, questions, run_file
from vreason_jax.evaluation.results.line_file import LineFile
from vreason_jax.evaluation.results.lines import (
    BAD_VIDEO,
    PREDICTIONS,
    Line,
    check_unique,
    fields_of,
    parse_line,
)
from vreason_jax.evaluation.results.run_file import TRACES
from vreason_jax.output.files import check_writable, make_folder

CLIPS = "clips.jsonl"  # the patch grid of every clip read: a later run plans without reading them
_LEFTOVERS = ".vreason-*.tmp"  # of files that were being written as a process was killed
_WRITING = 60.0  # seconds that writing one may take

Grid = tuple[int, ...]
Largest = Callable[[np.ndarray], np.ndarray]
Facts = Mapping[str, Any]  # of `run.json`


class Key(NamedTuple):
    """The identity of an answer: it has one line."""

    id: str
    method: str
    seed: int
    config_hash: str


class State(enum.IntEnum):
    """Of an answer; the larger one holds where two processes know different ones."""

    TO_DO = 0
    MISSING = 1  # the video, so that the question was not put
    UNDECODABLE = 2
    DONE = 3

    @property
    def status(self) -> str:
        """The status of a line about a video that failed."""
        return BAD_VIDEO[self - State.MISSING]

    @classmethod
    def of(cls, status: str | None) -> "State":
        """Returns what a line's status says."""
        failures = {name: cls(n) for n, name in enumerate(BAD_VIDEO, cls.MISSING)}
        return failures.get(status or "", cls.DONE)


class RunFolder:
    """The files of a run: its lines, clips and questions, `run.json`, `traces/` and `frames/`.

    Processes that share it, on one machine or on several, see each other's lines, and write none
    twice. `writes` says whether this process writes at all, or follows one that does; the one that
    `owned` the folder first writes what is said of the whole.
    """

    def __init__(self, path: Path):
        """Makes the folder; `facts` is what its `run.json` says."""
        self.path, self.writes, self.owned = path, True, False
        make_folder(path / TRACES, "--out")
        make_folder(path / frames.FOLDER, "--out")
        check_writable(path / TRACES / "trace.npz", "--out")
        self.facts = run_file.read_facts(path)
        self._lines = LineFile(path / PREDICTIONS, parse_line)
        self._clips = LineFile(path / CLIPS, lambda value, *_: value)
        self._states: dict[Key, State] = {}
        self._failures: dict[str, State] = {}  # questions whose video failed
        self._grids: dict[str, Grid] = {}

    @contextlib.contextmanager
    def held(self, run: str, part: str | None, *, alone: bool) -> Iterator[None]:
        """Locks the folder for one run, and removes what a killed one has left half written.

        `run` is what its processes, of which one holds the lock, have in common. Runs of parts
        have the folder together, but where `alone` each part once.
        """
        with run_file.sole_run(self.path, run, part, alone=alone) as self.owned:
            for place in (self.path, self.path / TRACES, self.path / frames.FOLDER):
                for file in place.glob(_LEFTOVERS):
                    with contextlib.suppress(FileNotFoundError):
                        if time.time() - file.stat().st_mtime > _WRITING:
                            file.unlink()
            yield

    def read(self, *, retry: Sequence[Key] = (), hashes: Mapping[str, str] | None = None) -> None:
        """Reads what is done. Of the answers to `retry`, removes the lines of video failures.

        Raises UserError for lines that no report could tell apart: two of one answer, or one of a
        method under another config than `hashes` has for it.
        """
        again = set(retry)
        if again:
            self._lines.keep(lambda line: not (line.bad_video and _key(line) in again))
        lines = self._lines.new()
        check_unique(lines)
        for line in lines:
            if (hashes or {}).get(line.method, line.config_hash) != line.config_hash:
                raise UserError(
                    f"--out: {self.path / PREDICTIONS} has answers of {line.method} under other "
                    "settings; give the same again, or another folder"
                )
        self._see(lines)
        for key in again:
            self._failures.pop(key.id, None)
        for line in self._clips.new():
            if _is_grid(line):
                self._grids[line["clip"]] = tuple(line["grid"])

    def begin(
        self,
        facts: Callable[[Facts], Facts],
        records: Sequence[Record],
        prompt: Callable[[Record], str],
        part: str,
        keys: Sequence[Key],
    ) -> None:
        """Notes what is about to run: `facts`, given those of former runs, checks and joins them.

        `prompt` is what a question is asked with, `keys` are the answers that a `part` is to give.
        Raises UserError as that does, and where a question with answers has changed.
        """
        if self.writes:
            answered = {key.id for key in self._states}
            asked: dict[str, dict[str, list[int]]] = {}
            for key in keys:
                asked.setdefault(key.id, {}).setdefault(key.method, []).append(key.seed)
            run_file.begin(
                self.path,
                lambda former: {**facts(former), "parts": [part]},
                lambda: questions.keep_words(self.path, records, answered, prompt, asked),
            )

    def note(self, session: Facts) -> None:
        """Notes what a session of the run has taken so far."""
        if self.writes:
            run_file.note(self.path, session)

    def refresh(self) -> None:
        """Reads the lines that others have written."""
        if self.writes:
            self._see(self._lines.new())

    def share(self, keys: Sequence[Key], clips: Sequence[str], largest: Largest) -> None:
        """Gives processes one view of some answers and clips, which they must plan alike.

        `largest` returns the elementwise maximum over the processes.
        """
        ids = list(dict.fromkeys(key.id for key in keys))
        mine = [*map(self.state, keys), *map(self.failure, ids)]
        states = list(map(State, largest(np.array(mine, np.uint8))))
        self._states |= _known(zip(keys, states, strict=False))
        self._failures |= _known(zip(ids, states[len(keys) :], strict=True))
        known = np.array([self._grids.get(clip, (0, 0, 0)) for clip in clips], np.int32)
        grids = largest(known.reshape(-1)).reshape(-1, 3)
        pairs = zip(clips, (tuple(map(int, grid)) for grid in grids), strict=True)
        self._grids |= {clip: grid for clip, grid in pairs if any(grid)}

    def has_lines(self) -> bool:
        """Returns whether there is a line in it to make a summary of."""
        self.refresh()
        return not self._lines.empty

    def state(self, key: Key) -> State:
        """Returns the state of an answer."""
        return self._states.get(key, State.TO_DO)

    def failure(self, question: str) -> State:
        """Returns how a question's video failed, for whichever method; TO_DO where it did not."""
        return self._failures.get(question, State.TO_DO)

    def answered(self, keys: Iterable[Key]) -> int:
        """Returns how many answers have a line."""
        return sum(key in self._states for key in keys)

    def add(self, lines: Sequence[Line]) -> None:
        """Appends the lines of answers that nobody else has given."""

        def choose(new: Sequence[Line]) -> list[Mapping[str, Any]]:
            self._see(new)
            return [fields_of(line) for line in lines if _key(line) not in self._states]

        if self.writes:
            self._lines.append(choose)
        self._see(lines)

    def grid(self, clip: str) -> Grid | None:
        """Returns the patch grid of a clip, if it is known."""
        return self._grids.get(clip)

    def note_grid(self, clip: str, grid: Grid) -> None:
        """Keeps the patch grid of a clip."""
        if self._grids.get(clip) != grid:
            self._grids[clip] = grid
            if self.writes and any(grid):  # questions without a clip have none
                self._clips.append(lambda _: [{"clip": clip, "grid": list(grid)}])

    def keep_frames(self, clip: str, pixels: np.ndarray, times: np.ndarray) -> None:
        """Keeps a clip's frames uint8 [F, h, w, 3] small, for the report."""
        path = frames.frames_path(self.path, clip)
        if self.writes and not path.exists():
            frames.write_frames(path, pixels, times)

    def _see(self, lines: Iterable[Line]) -> None:
        for line in lines:
            state = State.of(line.status)
            self._states[_key(line)] = state
            if line.bad_video:
                self._failures[line.id] = state


def _key(line: Line) -> Key:
    return Key(line.id, line.method, line.seed, line.config_hash)


def _known(states: Iterable[tuple[Any, State]]) -> dict[Any, State]:
    return {name: state for name, state in states if state is not State.TO_DO}


def _is_grid(line: Mapping[str, Any]) -> bool:
    """Whether a line is one of this program's; without it the clip is read to know its grid."""
    clip, grid = line.get("clip"), line.get("grid")
    return (
        isinstance(clip, str)
        and isinstance(grid, list)
        and len(grid) == 3
        and all(type(n) is int and 0 < n < 2**31 for n in grid)
    )
