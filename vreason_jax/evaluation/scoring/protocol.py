"""How a benchmark is asked and scored: files of configs/protocols, and templates users bring."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from vreason_jax.config import CONFIG_FOLDER, load_config
from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks import shapes, videommmu
from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, Record
from vreason_jax.evaluation.scoring import protocol_notes
from vreason_jax.evaluation.scoring.template import PromptFile, read_template
from vreason_jax.prompt.chat import QUESTION
from vreason_jax.settings import apply_overrides, one_of, table_values
from vreason_jax.toml_files import read_named_toml

FOLDER = CONFIG_FOLDER / "protocols"
OPTION_FORMS = ("video_r1", "lines")
RULES = ("video_r1", "official", "tags")
_PICTURE_MARK = re.compile(r"<image \d+>")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A way to ask and to score; every field can change an answer or its score."""

    name: str
    template: str  # with {question}
    suffixes: Mapping[str, str]  # by a record's task, else by its kind; added to the template
    options: str  # "video_r1": "Options:" right after the problem; "lines": one below the other
    rule: str  # one of RULES: how a reply is scored
    origin: str = "own"  # of the wording: "own", "video_r1" (by its SHA-256) or "file"
    unlisted: tuple[str, ...] = ()  # tasks whose options are not shown
    picture: str = ""  # said where the question's picture is the last frame
    lecture: str = ""  # said where the last frame holds another question's picture
    subtitle_words: str = ""  # said before subtitles
    max_frames: int = 16
    min_pixels: int | None = None  # per frame; none: the checkpoint's
    max_pixels: int | None = None
    max_new_tokens: int = 1024
    temperature: float = 0.0
    clip_to_times: bool = False  # show only the part that a record names
    mc_subset_only: bool = False  # leave free-form questions out
    subtitles: bool = False

    def question_text(self, record: Record, subtitles: str = "") -> str:
        """Returns the user's turn for a record: question, template, and what its kind adds."""
        return self.wrapping(record).replace(QUESTION, self.words(record, subtitles))

    def wrapping(self, record: Record) -> str:
        """Returns what stands around the question: the template, and what its kind adds.

        Only here may a tag be an added token of the tokenizer; in the question it is text.
        """
        suffix = self.suffixes.get(record.task, self.suffixes.get(record.kind, ""))
        return self.template + suffix

    def words(self, record: Record, subtitles: str = "") -> str:
        """Returns the question itself: hints, the record's problem and its options."""
        question = self._with_options(record)
        parts = [f"{self.subtitle_words}\n{subtitles}".strip()] if subtitles else []
        if record.benchmark == videommmu.LAYOUT.name:
            question, hint = self._with_picture(record, question)
            parts += [hint] if hint else []
        return "\n".join([*parts, question])

    def select(self, records: tuple[Record, ...]) -> tuple[Record, ...]:
        """Returns the records that this protocol asks, without the parts that it does not use."""
        return tuple(
            self._trimmed(record)
            for record in records
            if not (self.mc_subset_only and record.kind == FREE)
        )

    def run_overrides(self) -> dict[str, Any]:
        """Returns the keys of RunConfig that the protocol sets."""
        values = {
            "video.max_frames": self.max_frames,
            "video.min_pixels": self.min_pixels,
            "video.max_pixels": self.max_pixels,
            "sampling.max_new_tokens": self.max_new_tokens,
            "sampling.temperature": self.temperature,
        }
        return {key: value for key, value in values.items() if value is not None}

    def notes(self, benchmark: str) -> list[str]:
        """Returns what a reader of the numbers should know, one sentence each."""
        return protocol_notes.notes(self.rule, self.origin, self.subtitles, benchmark)

    def to_dict(self) -> dict[str, Any]:
        """Returns the plain values, for a run's identity."""
        return dataclasses.asdict(self)

    def _with_options(self, record: Record) -> str:
        if record.kind != CHOICE or record.task in self.unlisted:
            return record.problem
        if self.options == "video_r1":
            return record.problem + "Options:\n" + "".join(f"{o}\n" for o in record.options)
        return "\n".join([record.problem, *record.options])

    def _with_picture(self, record: Record, question: str) -> tuple[str, str]:
        if record.picture_in_last_frame:
            # Video-R1's rows lack the mark; without a hint it would point at nothing.
            return (question if self.picture else _PICTURE_MARK.sub("", question)), self.picture
        return question, self.lecture if record.task in videommmu.TRACKS else ""

    def _trimmed(self, record: Record) -> Record:
        times = {} if self.clip_to_times else {"start": None, "end": None}
        words = {} if self.subtitles else {"subtitles": None}
        return dataclasses.replace(record, **times, **words)


def default_protocol(benchmark: str) -> str:
    """Returns the name of the protocol that a benchmark is asked with unless told otherwise."""
    return "shapes" if benchmark == shapes.NAME else "video_r1"


def load_protocol(
    name_or_file: str, template: str | Path | None = None, flag: str = "--protocol"
) -> Protocol:
    """Returns the protocol of a name in configs/protocols, or of a TOML path.

    `template` is a .json or .toml file whose wording is used instead (template.read_template).
    Raises UserError for an unknown file, key, type or value.
    """
    path, tables = read_named_toml(name_or_file, FOLDER, flag)
    try:
        protocol = _from_tables(path.stem, tables)
        _check(protocol)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return protocol if template is None else _with_wording(protocol, read_template(Path(template)))


def _with_wording(protocol: Protocol, wording: PromptFile) -> Protocol:
    return dataclasses.replace(
        protocol,
        template=wording.template,
        suffixes=wording.suffixes,
        origin="video_r1" if wording.is_video_r1 else "file",
    )


# Where each field of Protocol stands in the file.
_FIELDS = {
    "prompt.template": "template",
    "prompt.suffixes": "suffixes",
    "prompt.options": "options",
    "prompt.unlisted": "unlisted",
    "prompt.picture": "picture",
    "prompt.lecture": "lecture",
    "prompt.subtitles": "subtitle_words",
    "video.max_frames": "max_frames",
    "video.min_pixels": "min_pixels",
    "video.max_pixels": "max_pixels",
    "sampling.max_new_tokens": "max_new_tokens",
    "sampling.temperature": "temperature",
    "records.clip_to_times": "clip_to_times",
    "records.mc_subset_only": "mc_subset_only",
    "records.subtitles": "subtitles",
    "scoring.rule": "rule",
}
_REQUIRED = ("prompt.template", "prompt.options", "scoring.rule")


def _from_tables(name: str, tables: Mapping[str, Any]) -> Protocol:
    types = get_type_hints(Protocol)
    values = table_values(tables, {key: types[field] for key, field in _FIELDS.items()})
    for key in _REQUIRED:
        if key not in values:
            raise UserError(f"expected the key {key}, which is missing")
    fields = {_FIELDS[key]: value for key, value in values.items()}
    return Protocol(**{"name": name, "suffixes": {}, **fields})


def _check(protocol: Protocol) -> None:
    one_of("prompt.options", protocol.options, OPTION_FORMS)
    one_of("scoring.rule", protocol.rule, RULES)
    if QUESTION not in protocol.template:
        raise UserError("prompt.template lacks {question}; say where it goes")
    apply_overrides(load_config(), protocol.run_overrides())  # raises for values out of range
