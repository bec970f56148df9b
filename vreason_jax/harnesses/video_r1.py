"""Video-R1's protocol on the rows of its eval_*.json files, for tasks of lmms-eval.

The tasks are configs/lmms_eval/*.yaml. lmms-eval runs in the folder of the rows and videos.
"""

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, shown
from vreason_jax.evaluation.benchmarks import video_r1
from vreason_jax.evaluation.benchmarks.layout import Groups, Layout
from vreason_jax.evaluation.benchmarks.locate import locate
from vreason_jax.evaluation.benchmarks.record import FREE, REGRESSION, Record
from vreason_jax.evaluation.benchmarks.rows import BrokenRowError, Row
from vreason_jax.evaluation.scoring.protocol import load_protocol
from vreason_jax.evaluation.scoring.score import score

_LAYOUT = Layout("video_r1", (), lambda row, label: [], lambda fields, video: Groups(""))
_log = logging.getLogger(__name__)
_protocol = functools.cache(lambda: load_protocol("video_r1"))


def documents(rows: Any) -> Any:
    """Returns the rows (a `datasets.Dataset`) that the protocol asks, and says what is left out.

    Those are the free-form ones, and rows that are no question.
    """
    kept = rows.filter(lambda row: _refusal(row) is None)
    if out := len(rows) - len(kept):
        reason = next(filter(None, map(_refusal, rows)))
        _log.warning("%d of %d rows are left out, the first as %s", out, len(rows), reason)
    return kept


def visual(row: dict[str, Any]) -> list[str]:
    """Returns the path of a row's video, found below the working folder; raises UserError."""
    return [str(locate(_record(row), Path.cwd()))]


def text(row: dict[str, Any]) -> str:
    """Returns the user's turn."""
    return _protocol().question_text(_record(row))


def target(row: dict[str, Any]) -> str:
    """Returns the gold answer."""
    return _record(row).gold


def results(row: dict[str, Any], replies: Sequence[str]) -> dict[str, float]:
    """Returns a reply's score: as `mra` for a regression, else as `accuracy`."""
    record = _record(row)
    name = "mra" if record.kind == REGRESSION else "accuracy"
    return {name: score(record, replies[0], _protocol()).score}


def _refusal(row: Mapping[str, Any]) -> str | None:
    """Returns why a row is not asked, or None."""
    try:
        _record(row)
    except UserError as error:
        return str(error)
    return None


def _record(row: Mapping[str, Any]) -> Record:
    entry = Row(Path.cwd(), "row", (str(row.get("problem_id")),), dict(row))
    try:
        records = _protocol().select(tuple(video_r1.read_row(entry, _LAYOUT)))
        if not records:
            raise BrokenRowError(f"'problem_type': expected one with a rule, got {shown(FREE)}")
    except BrokenRowError as error:
        raise UserError(entry.refusal(error)) from None
    return records[0]
