"""A wording that a user brings, and whether it is Video-R1's: told by hashes, never by its text."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, reason_of, shown
from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, KINDS, NUMBER, REGRESSION
from vreason_jax.json_files import parse_json
from vreason_jax.regular_files import read_text
from vreason_jax.toml_files import parse_toml

# SHA-256 of the strings in Video-R1's src/eval_bench.py @59d65c3.
VIDEO_R1_TEMPLATE = "bbbe96bd45c75a76ef66f8a0355dad92cbc40e68f27b7df6fd6a8b047b110fd3"
_NUMBER_SUFFIX = "853b6e89a667381330ba3a9a4d5cb7a0087c74743e503224f5673dad336a4810"
VIDEO_R1_SUFFIXES = {
    CHOICE: "7ec249c501e13949c36a7a9a0a61ddd5068af64e7950dd88bdf540804a40bfbc",
    NUMBER: _NUMBER_SUFFIX,
    REGRESSION: _NUMBER_SUFFIX,
    FREE: "b5da6fec9591f9dcd931c4eee8f10af4cedb401c30e7b2f614525b43da1af63b",
}
# What Video-R1's script calls them: its two constants, written to a file as JSON, do as they are.
_TEMPLATE_KEYS = ("template", "QUESTION_TEMPLATE")
_SUFFIX_KEYS = ("suffixes", "TYPE_TEMPLATE")
_OTHER_KINDS = ("OCR",)  # in Video-R1's table, and in none of the benchmarks


@dataclasses.dataclass(frozen=True)
class PromptFile:
    """A wording: the template with {question}, and what each kind of question adds to it."""

    template: str
    suffixes: dict[str, str]
    is_video_r1: bool


def read_template(file: Path) -> PromptFile:
    """Returns the wording of a .json or .toml file: `template` and, if wanted, `suffixes` by kind.

    The template holds {question} or {Question}. Raises UserError for a file that cannot be read, a
    template without that, and a suffix for an unknown kind.
    """
    values = _load(file)
    template = _first(values, _TEMPLATE_KEYS)
    suffixes = _first(values, _SUFFIX_KEYS) or {}
    if not isinstance(template, str) or not isinstance(suffixes, dict):
        raise UserError(
            f"--template: expected {file} to hold `template`, a text, and `suffixes`, texts by "
            f"kind, got {', '.join(values) or 'nothing'}"
        )
    wording = template.replace("{Question}", "{question}")
    if "{question}" not in wording:
        raise UserError(f"--template: {file} lacks {{question}}; say where it goes")
    for kind, suffix in suffixes.items():
        if kind not in KINDS + _OTHER_KINDS or not isinstance(suffix, str):
            raise UserError(
                f"--template: {file}: expected suffixes as texts for {', '.join(KINDS)}, "
                f"got {shown(kind)}: {shown(suffix)}"
            )
    kept = {kind: suffixes[kind] for kind in KINDS if kind in suffixes}
    return PromptFile(wording, kept, _is_video_r1(wording, kept))


def _is_video_r1(template: str, suffixes: dict[str, str]) -> bool:
    return _hash(template.replace("{question}", "{Question}")) == VIDEO_R1_TEMPLATE and (
        {kind: _hash(suffix) for kind, suffix in suffixes.items()} == VIDEO_R1_SUFFIXES
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _first(values: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((values[key] for key in keys if key in values), None)


def _load(file: Path) -> dict[str, Any]:
    parse = parse_toml if file.suffix.lower() == ".toml" else parse_json
    try:
        values = parse(read_text(file))
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise UserError(f"--template: expected a JSON or TOML file, {file}: {reason}") from None
    if not isinstance(values, dict):
        raise UserError(f"--template: expected an object in {file}, got {type(values).__name__}")
    return values
