"""Builds and writes an answer's trace: numbers for each token, the config, the versions."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vreason_jax import __version__
from vreason_jax.output.answer import extract_answer
from vreason_jax.output.files import write_atomic

# One entry per generated token; the end-of-sequence token has its entry, but no text.
TOKEN_KEYS = (
    "token_ids", "logprob", "entropy", "ema", "peak", "alpha", "updated", "grad_norm",
    "delta_norm",
)  # fmt: skip
LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy", "tokenizers")


def build_trace(
    arrays: Mapping[str, Any],
    *,
    text: str,
    config: Mapping[str, Any],
    videos: Sequence[Mapping[str, Any]],
    seconds: Mapping[str, float],
    tokens: Mapping[str, int],
    programs: Mapping[str, int] | None = None,
    padding: Mapping[str, float] | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Returns the trace as plain JSON types, with `answer` and `versions` added.

    `arrays` has every key of TOKEN_KEYS, each [T] for T generated tokens, in nats (entropy, EMA,
    peak, log-probability) and L2 norms. Numbers that are not finite become null, as JSON cannot
    hold them. Raises ValueError if a key is missing or the lengths differ.
    """
    columns = {key: _column(key, arrays) for key in TOKEN_KEYS}
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"trace: expected one entry per token in every list, got {lengths}")
    trace = {
        "text": text,
        "answer": extract_answer(text),
        **columns,
        "config": config,
        "videos": videos,
        "seconds": seconds,
        "tokens": tokens,
        "programs": programs or {},
        "padding": padding or {},
        "versions": library_versions(),
        "warnings": warnings,
    }
    return {key: to_plain(value) for key, value in trace.items()}


def write_trace(path: str | Path, trace: Mapping[str, Any] | Sequence[Any]) -> None:
    """Writes a trace as one JSON object, several as a list; whole or not at all."""
    text = json.dumps(to_plain(trace), allow_nan=False, ensure_ascii=False)
    # Undecodable bytes of a path are lone surrogates: UTF-8 cannot hold them, JSON escapes can.
    data = (text + "\n").encode("utf-8", errors="backslashreplace")
    write_atomic(path, lambda file: file.write(data))


def to_plain(value: Any) -> Any:
    """Returns `value` with arrays, NumPy scalars, paths and tuples as plain JSON types.

    Numbers that are not finite become None. Raises TypeError for anything else.
    """
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__"):
        return to_plain(np.asarray(value).tolist())
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"trace: no JSON form for {type(value).__name__}")


def library_versions() -> dict[str, str | None]:
    """Returns the versions of Python and of the libraries that can change an answer."""
    versions: dict[str, str | None] = {
        "python": platform.python_version(),
        "vreason-jax": __version__,
    }
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _column(key: str, arrays: Mapping[str, Any]) -> list:
    if key not in arrays:
        raise ValueError(f"trace: no {key}")
    kind = {"token_ids": np.int64, "alpha": np.int64, "updated": np.bool_}.get(key, np.float64)
    return np.asarray(arrays[key]).astype(kind).reshape(-1).tolist()
