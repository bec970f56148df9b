"""Prints the results of evaluations as the Markdown tables of this repository's documents.

    python scripts/markdown_table.py runs/overview [runs/compared]
    python scripts/markdown_table.py --kinds runs/test runs/blank runs/shuffled

The first form has one row per method; the second run, of the same methods with --compare-logits,
adds mean |Δlogit| and KL. The second form has one row per kind of question and a column for the
first method of each run.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

Cells = list[str]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="DIR", help="folders of evaluations")
    parser.add_argument("--kinds", action="store_true", help="a row a kind, a column a run")
    options = parser.parse_args(arguments)
    try:
        summaries = [json.loads((Path(run) / "summary.json").read_text()) for run in options.runs]
        print(_table(by_kind(summaries) if options.kinds else by_method(*summaries[:2])))
    except (OSError, KeyError, ValueError) as error:
        print(f"error: expected folders of finished evaluations: {error!r}", file=sys.stderr)
        return 2
    return 0


def by_method(summary: dict[str, Any], compared: dict[str, Any] | None = None) -> list[Cells]:
    """Returns the cells of a summary, one row per method, with the distances of `compared`."""
    head = ["method", "right, %", "difference, points [95 %]", "p", "p, Holm"]
    rows = [[*head, "tokens", "entropy, nats", "replies changed, %"]]
    for name, method in summary["methods"].items():
        known = f"{method['tokens']:.0f}", f"{method['entropy']:.4f}", _percent(method["changed"])
        rows.append([name, _score(method["score"]), *_difference(method.get("difference")), *known])
    if compared is not None:
        rows[0] += ["mean \\|Δlogit\\|", "KL, nats"]
        for row in rows[1:]:
            row += [_short(compared["methods"][row[0]][key]) for key in ("delta_logit", "kl")]
    return rows


def by_kind(summaries: list[dict[str, Any]]) -> list[Cells]:
    """Returns the cells of the first method of each summary, one row per task and subset."""
    firsts = [next(iter(summary["methods"].values())) for summary in summaries]
    runs = [summary["control"] for summary in summaries]
    rows = [["", "best constant answer, %", *runs]]
    rows.append(["all", "", *[_score(first["score"]) for first in firsts]])
    for key in ("tasks", "subsets"):
        for name, group in firsts[0][key].items():
            scores = [_score(first[key][name]["score"]) for first in firsts]
            rows.append([name, _percent(group.get("constant")), *scores])
    return rows


def _score(score: dict[str, Any]) -> str:
    return f"{_percent(score['value'])} ± {_percent(score['standard_error'])}"


def _difference(difference: dict[str, Any] | None) -> Cells:
    if difference is None:
        return ["", "", ""]
    value, low, high = (
        f"{100 * difference[key]:+.1f}".replace("-", "−") for key in ("value", "low", "high")
    )
    return [f"{value} [{low}, {high}]", _p(difference["p"]), _p(difference["p_holm"])]


def _p(p: float) -> str:
    return "1" if p > 0.995 else f"{p:.2f}" if p >= 0.01 else _short(p)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}".replace("e-0", "e-").replace("e+00", "")


def _table(rows: list[Cells]) -> str:
    lines = [rows[0], ["---" for _ in rows[0]], *rows[1:]]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
