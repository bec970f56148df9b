"""The settings that can change an answer: their hash, and the check that a run may continue."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vreason_jax.config import RunConfig
from vreason_jax.errors import UserError
from vreason_jax.evaluation.results.run_file import differences

# Of these a line speaks itself, or they decide only what is checked and how long a reader may take.
_LEFT_OUT = ("sampling.seed", "video.timeout_seconds", "model.verify")
_LONG = 40  # characters that a message can show
# Of a checkpoint; beside these lie model cards, licences and what training has left.
_READ = (
    "config.json", "generation_config.json", "*processor_config.json", "*token*.json", "vocab.json",
    "merges.txt", "chat_template.*", "additional_chat_templates/*", "*.safetensors", "weights/**/*",
)  # fmt: skip
_SMALL_FILES = (".json", ".jinja", ".txt")
_PROBES, _PROBE_BYTES = 16, 1 << 16  # of each file of weights: reading all would take minutes


def fingerprint(folder: Path) -> str:
    """Returns a hash of what is read of a checkpoint: small files, sizes and samples of weights."""
    total = hashlib.sha256()
    files = {file for pattern in _READ for file in folder.glob(pattern) if file.is_file()}
    for file in sorted(files):
        name = file.relative_to(folder).as_posix()
        total.update(f"{name}\0{file.stat().st_size}\0".encode(errors="surrogateescape"))
        total.update(file.read_bytes() if file.suffix in _SMALL_FILES else _samples(file))
    return total.hexdigest()[:16]


def answer_values(run: RunConfig) -> dict[str, Any]:
    """Returns the keys of a run config that can change an answer; a template counts by its text."""
    values = {
        f"{section}.{key}": value
        for section, fields in run.to_dict().items()
        for key, value in fields.items()
    }
    if run.prompt.template is not None:
        values["prompt.template"] = _hash(Path(run.prompt.template).read_bytes())
    return {key: value for key, value in values.items() if key not in _LEFT_OUT}


def protocol_values(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a protocol's fields under keys of their own; long texts are given by their hash."""
    values = {f"protocol.{key}": value for key, value in fields.items()}
    for key, value in values.items():
        text = json.dumps(value, default=dict)
        if len(text) > _LONG:
            values[key] = _hash(text.encode())
    return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}


def config_hash(common: Mapping[str, Any], run: RunConfig) -> str:
    """Returns the hash of all settings that can change a method's answers.

    `common` holds the settings of all methods of a run: benchmark, protocol, model and dtype.
    """
    values = {**common, **answer_values(run)}
    return _hash(json.dumps(values, sort_keys=True, default=str).encode())


def check_same(
    old: Mapping[str, Any], common: Mapping[str, Any], methods: Mapping[str, Mapping[str, Any]]
) -> None:
    """Raises UserError with all differences if a folder holds answers under other settings.

    `old` has "common" and "methods" as a former run wrote them. A method on one side only adds
    lines; a method on both sides must have the same values.
    """
    found = differences(old.get("common", {}), common)
    known = old.get("methods", {})
    for name, values in methods.items():
        if name in known:
            found += differences(known[name], values, f"{name}: ")
    if found:
        raise UserError(
            f"--out: its answers were made otherwise: {'; '.join(found)}; give the same again, or "
            "another folder"
        )


def _samples(file: Path) -> bytes:
    size = file.stat().st_size
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        for probe in range(_PROBES):
            stream.seek(probe * max(0, size - _PROBE_BYTES) // (_PROBES - 1))
            digest.update(stream.read(_PROBE_BYTES))
    return digest.digest()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
