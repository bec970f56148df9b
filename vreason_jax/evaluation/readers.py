"""A benchmark by its name: the files of a folder, in Video-R1's or its own layout, to records."""

import collections
import dataclasses
import fnmatch
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from vreason_jax.errors import UserError, check_known, shown
from vreason_jax.evaluation.benchmarks import (
    mmvu,
    mvbench,
    shapes,
    tempcompass,
    text,
    video_r1,
    videoholmes,
    videomme,
    videommev2,
    videommmu,
    vsibench,
)
from vreason_jax.evaluation.benchmarks.layout import Layout
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.benchmarks.rows import SUFFIXES, BrokenRowError, Row, read_rows

_MODULES = (
    shapes, vsibench, videommmu, mmvu, mvbench, tempcompass, videomme, videommev2, videoholmes,
    text,
)  # fmt: skip
LAYOUTS = {module.LAYOUT.name: module.LAYOUT for module in _MODULES}
BENCHMARKS = tuple(LAYOUTS)
VIDEO_R1, OFFICIAL = "video_r1", "official"
_PEEK = 50  # rows that are looked at to tell the schema; some of them may be broken

Records = tuple[Record, ...]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What was read of a benchmark."""

    records: Records
    refused: tuple[str, ...] = ()  # "file:line: entry: reason", one per broken row
    files: tuple[Path, ...] = ()
    schema: str = ""  # VIDEO_R1 or OFFICIAL; "" for `shapes`
    notices: tuple[str, ...] = ()  # such as a task whose file is not there


def read_benchmark(
    name: str,
    data_dir: str | Path | None = None,
    *,
    strict: bool = False,
    limit: int | None = None,
    select: Callable[[Records], Records] | None = None,
    schema: str | None = None,
    split: str = shapes.TEST,
) -> Dataset:
    """Returns the records of a benchmark and the rows that were refused.

    Args:
      name: one of BENCHMARKS.
      data_dir: the folder of annotation and videos; `shapes` is drawn without one.
      strict: raise UserError at the first broken row.
      limit: how many records at most, the first ones, after `select` (`Protocol.select`).
      select: drops or changes records.
      schema: VIDEO_R1 or OFFICIAL; left out, the folder tells, Video-R1's first.
      split: of `shapes`, which alone has others than its test split.

    Raises UserError for an unknown name or split, no annotation, not one usable row, and ids that
    repeat.
    """
    check_known("--benchmark", name, BENCHMARKS)
    if limit is not None and limit < 1:
        raise UserError(f"--limit: expected at least 1, got {limit}")
    _check_split(name, split)
    if name == shapes.NAME and data_dir is None:
        return Dataset(shapes.read_shapes(limit, split))
    data = _read(LAYOUTS[name], _checked_folder(name, data_dir), strict, schema)
    records = data.records if select is None else select(data.records)
    return dataclasses.replace(data, records=records[:limit])


def _check_split(name: str, split: str) -> None:
    known = (shapes.TEST, shapes.VALIDATION)
    if split not in known:
        raise UserError(f"--split: expected {' or '.join(known)}, got {shown(split)}")
    if split != shapes.TEST and name != shapes.NAME:
        raise UserError(
            f"--split: expected {shapes.TEST} for {name}, got {shown(split)}; only {shapes.NAME} "
            "has a validation split"
        )


def _checked_folder(name: str, data_dir: str | Path | None) -> Path:
    if data_dir is None:
        raise UserError(f"--data: expected the folder of {name}'s annotation and videos, got none")
    if not Path(data_dir).is_dir():
        raise UserError(f"--data: expected a folder, got {data_dir}")
    return Path(data_dir)


def _read(layout: Layout, folder: Path, strict: bool, schema: str | None) -> Dataset:
    files = _annotation_files(folder)
    shared = _video_r1_file(layout.name, files) if schema != OFFICIAL else None
    if shared is not None:
        rows: Iterator = ((row, lambda row: video_r1.read_row(row, layout)) for row in shared[1])
        used, notices, found = [shared[0]], [], VIDEO_R1
    else:
        sources = [] if schema == VIDEO_R1 else _official_files(layout, files)
        if not sources:
            raise UserError(_nothing_found(layout, folder, schema))
        rows = _official_rows(layout, sources)
        used, found = [file for _, file in sources], OFFICIAL
        present = {label for label, _ in sources}
        missing = [s.label for s in layout.sources if s.label and s.label not in present]
        notices = [f"{folder}: no annotation of {label}; it is left out" for label in missing]
    records, refused = _collect(rows, strict)
    if not records:
        reason = refused[0] if refused else f"{used[0]}: expected rows, found none"
        raise UserError(f"not one usable row; the first: {reason}")
    if layout.name == videomme.LAYOUT.name:
        records = [_with_subtitles(record, folder) for record in records]
    records, notice = _without_repeats(records, used)
    notices += [notice] if notice else []
    return Dataset(tuple(records), tuple(refused), tuple(used), found, tuple(notices))


def _collect(rows: Iterable, strict: bool) -> tuple[list[Record], list[str]]:
    records: list[Record] = []
    refused: list[str] = []
    for row, read in rows:
        try:
            records += read(row)
        except BrokenRowError as error:
            refused.append(row.refusal(error))
            if strict:
                raise UserError(refused[-1]) from None
    return records, refused


def _annotation_files(folder: Path) -> dict[str, Path]:
    """Returns the annotation files of a folder and of those in it, by path in lower case."""
    found = sorted(
        file
        for pattern in ("*", "*/*")
        for file in folder.glob(pattern)
        if file.suffix.lower() in SUFFIXES and file.is_file()
    )
    return {file.relative_to(folder).as_posix().lower(): file for file in found}


def _video_r1_file(name: str, files: dict[str, Path]) -> tuple[Path, list[Row]] | None:
    for stem in (f"eval_{name}", f"*/eval_{name}", name, f"*/{name}"):
        for suffix in (".json", ".jsonl"):
            for file in _matching(files, stem + suffix):
                # Authors' own files may have the benchmark's bare name, too: their rows tell.
                if "eval_" in stem or _looks_like_video_r1(file):
                    return file, list(read_rows(file))
    return None


def _looks_like_video_r1(file: Path) -> bool:
    return any(video_r1.looks_like(row.value) for row in islice(read_rows(file), _PEEK))


def _official_files(layout: Layout, files: dict[str, Path]) -> list[tuple[str, Path]]:
    found = []
    for source in layout.sources:
        every = (_matching(files, pattern) for pattern in source.patterns)
        hits = next(filter(None, every), [])
        found += [(source.label or (file.stem if len(hits) > 1 else ""), file) for file in hits]
    return found


def _official_rows(layout: Layout, sources: list[tuple[str, Path]]) -> Iterator:
    for label, file in sources:
        for row in read_rows(file, layout.object_depth):
            yield row, lambda row, label=label: layout.read(row, label)


def _matching(files: dict[str, Path], pattern: str) -> list[Path]:
    # fnmatch lets a star cross folders.
    alike = [path for path in files if path.count("/") == pattern.count("/")]
    return [files[path] for path in alike if fnmatch.fnmatchcase(path, pattern)]


def _nothing_found(layout: Layout, folder: Path, schema: str | None) -> str:
    own = ", ".join(dict.fromkeys(source.patterns[0] for source in layout.sources))
    shared = f"eval_{layout.name}.json"
    both = f"{shared} or {own}" if own else shared
    wanted = {VIDEO_R1: shared, OFFICIAL: own}.get(schema or "", both)
    return f"--data: expected {wanted} in {folder}, found no annotation of {layout.name}"


def _with_subtitles(record: Record, folder: Path) -> Record:
    path = videomme.subtitles_of(record.video)
    return dataclasses.replace(record, subtitles=path) if (folder / path).is_file() else record


def _without_repeats(records: list[Record], files: list[Path]) -> tuple[list[Record], str]:
    """Returns the records without those that repeat another in all, and what is said of them.

    Raises UserError where two others have one id.
    """
    kept = list(dict.fromkeys(records))
    twice = [key for key, n in collections.Counter(r.id for r in kept).items() if n > 1]
    if twice:
        raise UserError(
            f"{files[0]}: expected ids that are unique, {shown(twice[0])} is there "
            f"{sum(r.id == twice[0] for r in kept)} times ({len(twice)} such ids)"
        )
    repeats = len(records) - len(kept)
    return kept, f"{files[0]}: {repeats} rows repeat another in all; left out" if repeats else ""
