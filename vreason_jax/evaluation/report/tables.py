"""The tables of the report."""

from collections.abc import Iterable, Sequence
from typing import Any

from vreason_jax.evaluation.report.markup import (
    DASH,
    Child,
    Markup,
    decimal,
    interval,
    keep_units,
    p_value,
    percent,
    small,
    tag,
)
from vreason_jax.evaluation.report.story import Story
from vreason_jax.evaluation.report.svg import LABELS
from vreason_jax.evaluation.results.lines import STAGES, STATUS_WORDS


def table(
    head: Sequence[Child],
    rows: Iterable[Sequence[Child]],
    *,
    spans: Sequence[tuple[str, int]] = (),
    totals: int = 0,
) -> Markup:
    """Returns a table that scrolls inside its own box; the first column names the row.

    `spans` are headings above the head, each with its number of columns. The last `totals` rows are
    set apart.
    """
    above = [
        tag("th", words, colspan=size, scope="colgroup", class_="over" if words else None)
        for words, size in spans
    ]
    cells = [tag("th", keep_units(words), scope="col") for words in head]
    body = [
        tag("tr", tag("th", row[0], scope="row"), [tag("td", cell) for cell in row[1:]])
        for row in rows
    ]
    first = len(body) - totals
    parts = [tag("tbody", body[:first]), tag("tbody", body[first:]) if totals else None]
    heads = [tag("tr", above) if above else None, tag("tr", cells)]
    return tag("div", tag("table", tag("thead", heads), parts), class_="scroll", tabindex="0")


def key(story: Story) -> Markup:
    """Returns the names of all methods beside their colours."""
    return tag("p", [method(story, name, whole=True) for name in story.names], class_="methods")


def key_of_many(story: Story) -> Markup | None:
    """Returns the key for charts that have no room for labels, or None where they have them."""
    return key(story) if len(story.names) > LABELS else None


def method(story: Story, name: str, *, whole: bool = False) -> Markup:
    """Returns a method's label or whole name beside a swatch of its colour."""
    words = name if whole else story.label(name)
    dot = tag("i", class_=f"swatch {story.tone(name)}")
    return tag("span", dot, words, class_="method", title=None if words == name else name)


def value(estimate: dict[str, Any] | None) -> Child:
    """Returns "43.2 ± 1.7", in percent with the standard error."""
    if estimate is None:
        return DASH
    error = percent(estimate["standard_error"])
    return [percent(estimate["value"]), tag("span", f" ± {error}", class_="error")]


def difference(row: dict[str, Any] | None) -> Child:
    """Returns "+1.4 [−0.6 to 3.4]", in percentage points with the interval."""
    if row is None:
        return DASH
    words = f" [{interval(row['low'], row['high'])}]"
    return [decimal(100 * row["value"], sign=True), tag("span", words, class_="error")]


def results(story: Story) -> Markup:
    """Returns the main table: scores, differences, lengths, seconds and failures."""
    methods = list(story.methods.values())
    deltas = [story.difference(name) for name in story.names]
    columns = _score_columns(story) | {
        f"difference in {story.figure}, points [95 %]": [difference(delta) for delta in deltas],
        "p": [p_value(delta["p"] if delta else None) for delta in deltas],
    }
    if (family := max((d["family"] for d in deltas if d), default=0)) > 1:
        columns[f"p, Holm for {family}"] = [p_value(d["p_holm"] if d else None) for d in deltas]
    columns["tokens per answer"] = [decimal(m["tokens"]) for m in methods]
    before = len(columns) + 1
    for stage in (*STAGES, "total"):
        columns[stage] = [decimal(m["seconds"].get(stage), 2) for m in methods]
    columns["not in the form asked, %"] = [percent(m["no_answer_rate"]) for m in methods]
    columns["cut at limit, %"] = [percent(m["truncated_rate"]) for m in methods]
    rows = zip((method(story, name) for name in story.names), *columns.values(), strict=True)
    spans = (("", before), ("seconds per answer", len(STAGES) + 1), ("", 2))
    return table(["method", *columns], rows, spans=spans)


def power(story: Story) -> Markup:
    """Returns what each comparison could have told, and how far it shows two methods alike."""
    gain = 100 * story.summary["power"]["difference"]
    margin = 100 * story.summary["power"]["margin"]
    head = [
        "method", "questions", "clips", "smallest difference, points",
        f"questions needed for {gain:g} points", "no worse by, points",
        f"p of worse by {margin:g}", f"p of another by {margin:g}",
    ]  # fmt: skip
    rows = [
        [
            method(story, name), f"{row['questions']:,}", f"{row['clips']:,}",
            percent(row["smallest_difference"]), decimal(row["questions_needed"], 0),
            percent(row["no_worse_by"]), p_value(row["no_worse_p"]), p_value(row["equal_p"]),
        ]
        for name in story.compared if (row := story.difference(name))
    ]  # fmt: skip
    return table(head, rows)


def _score_columns(story: Story) -> dict[str, Sequence[Child]]:
    """Returns columns for the sample and the kinds of score that occur."""
    methods = story.methods.values()
    columns: dict[str, Sequence[Child]] = {
        "questions": [f"{m['questions']:,}" for m in methods],
        "clips": [f"{m['score']['clips']:,}" for m in methods],
    }
    for words, kind in (("accuracy", "accuracy"), ("MRA", "mra")):
        if any(m[kind] for m in methods):
            columns[f"{words}, %"] = [value(m[kind]) for m in methods]
            columns[f"{words} lenient, %"] = [value(m["lenient"][kind]) for m in methods]
    if story.mixed:
        columns["score of all rows, %"] = [value(m["score"]) for m in methods]
    for name in dict.fromkeys(name for m in methods for name in m["official"]):
        if name != "accuracy":
            columns[f"{name}, %"] = [value(m["official"].get(name)) for m in methods]
    if any(len(m["seeds"]) > 1 for m in methods):
        columns["over seeds: std (lowest to highest), points"] = [
            _over_seeds(m["score"]) for m in methods
        ]
    return columns


def _over_seeds(score: dict[str, Any]) -> str:
    ends = interval(min(score["seed_means"]), max(score["seed_means"]))
    return f"{percent(score['seed_std'])} ({ends})" if score["seeds"] > 1 else DASH


def changes(story: Story) -> Markup:
    """Returns the distance of each method from the first: in its answers and on the first's."""
    head = [
        "method", "mean entropy, nats", "answers changed, %", "mean |Δlogit|", "KL to it, nats",
    ]  # fmt: skip
    rows = [
        [
            method(story, name), decimal(m["entropy"], 3), percent(m["changed"]),
            small(m["delta_logit"]), small(m["kl"]),
        ]
        for name, m in story.methods.items()
    ]  # fmt: skip
    return table(head, rows)


def equal_budget(story: Story) -> Markup:
    """Returns scores as run beside scores with all answers cut at the same numbers of tokens."""
    budgets = story.summary["equal_tokens"]["budgets"]
    pair = ["score, %", "difference, points [95 %]"]
    spans = [("", 2), ("as run", 2), *((f"within {at['tokens']} tokens", 2) for at in budgets)]
    rows = []
    for name, m in story.methods.items():
        row = [method(story, name), decimal(m["tokens"])]
        row += [value(m["score"]), difference(m.get("difference"))]
        for at in budgets:
            cut = at["methods"][name]
            row += [value(cut["score"]), difference(cut.get("difference"))]
        rows.append(row)
    head = ["method", "tokens per answer", *pair * (len(budgets) + 1)]
    return table(head, rows, spans=spans)


def groups(story: Story, key: str, heading: str, macro: str) -> Markup:
    """Returns scores by task, level or subset, one column per method, with their means below.

    `macro` is the key of the mean over groups; None if the groups are not parts of a whole.
    """
    names = dict.fromkeys(group for m in story.methods.values() for group in m[key])
    rows: list[list[Child]] = []
    for group in names:
        found = [m[key].get(group) for m in story.methods.values()]
        size = max(scores["score"]["questions"] for scores in found if scores)
        rows.append([group, f"{size:,}", *(value(s["score"] if s else None) for s in found)])
    totals = _totals(story, macro) if macro else []
    head = [heading, "questions", *(method(story, name) for name in story.names)]
    return table(head, [*rows, *totals], totals=len(totals))


def _totals(story: Story, macro: str) -> list[list[Child]]:
    size, methods = f"{story.summary['questions']:,}", list(story.methods.values())
    rows: list[list[Child]] = [
        ["micro: all questions alike", size, *(value(m["score"]) for m in methods)],
        ["macro: all groups alike", size, *(value(m[macro]) for m in methods)],
    ]
    if macro == "macro_tasks":
        for name in dict.fromkeys(name for m in methods for name in m["official"]):
            found = [value(m["official"].get(name)) for m in methods]
            rows.append([f"as its authors report: {name}", size, *found])
    return rows


def peaks(story: Story) -> Markup:
    """Returns the token at which each method's EMA peaks."""
    head = [
        "method", "traces", "peak of the mean EMA, token", "bias-corrected, token",
        "median over answers, token", "bias-corrected, token",
    ]  # fmt: skip
    rows = []
    for name, m in story.curves.items():
        found = m.peaks
        row = [found.raw, found.corrected, found.median_raw, found.median_corrected]
        count = f"{m.answers:,}" + (f" (+ {m.unread:,} unread)" if m.unread else "")
        rows.append([method(story, name), count, *(decimal(v, 0) for v in row)])
    return table(head, rows)


def statuses(story: Story) -> Markup:
    """Returns answers by status, and accuracy with and without unreadable videos."""
    head = ["method", "answers", *STATUS_WORDS.values()]
    head += ["score, bad videos wrong, %", "score without them, %"]
    rows = [
        [
            method(story, name), f"{m['answers']:,}",
            *(f"{m['statuses'][status]:,}" for status in STATUS_WORDS),
            value(m["score"]), value(m["without_bad_videos"]["score"]),
        ]
        for name, m in story.methods.items()
    ]  # fmt: skip
    return table(head, rows)
