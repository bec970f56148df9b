"""The whole page: one file without references to others."""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path

from vreason_jax import __version__
from vreason_jax.evaluation.report import configs, cost, score_sections, trace_sections
from vreason_jax.evaluation.report.answers import packed
from vreason_jax.evaluation.report.markup import Markup, tag
from vreason_jax.evaluation.report.story import Story
from vreason_jax.evaluation.report.tables import key

_STYLE = Path(__file__).with_name("style.css")
_SCRIPTS = [Path(__file__).with_name(name) for name in ("exports.js", "questions.js", "dialog.js")]
_DATA = Markup("<!--data-->")  # where they go; what is shown has no such brackets
_WHAT = (
    "Scores are shares of questions answered as the benchmark's rule demands, in percent; "
    "differences are in percentage points, over the questions that both methods answered. An "
    "interval or p speaks of other questions like these, for this model and these settings; it "
    "says nothing of other models, prompts or frame counts, and several comparisons at once find "
    "something by chance more often than one. Seconds are those of this machine, with whatever "
    "else ran on it."
)


def build(story: Story, place: Path = Path(), chosen: Sequence[str] = ()) -> tuple[str, str, str]:
    """Returns the report as the parts of one HTML document, to be put into the folder `place`.

    It opens with the methods `chosen` side by side. The data are a part of their own: joined to the
    words, whose signs make a text twice as large, they would be copied in memory again and again.
    """
    parts = [
        score_sections.results(story),
        score_sections.budget(story),
        score_sections.tasks(story),
        trace_sections.entropy(story),
        trace_sections.confidence(story),
        cost.costs(story),
        score_sections.failures(story),
        trace_sections.answers(story),
        configs.setup(story),
    ]
    title = f"{story.summary['benchmark']}: {', '.join(story.names)}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(_STYLE.read_text(encoding="utf-8"))),
    )
    main = tag("main", parts)
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in _SCRIPTS)
    body = tag(
        "body",
        _header(story),
        _contents(main),
        main,
        _footer(),
        _DATA,
        tag("script", Markup(scripts)),
    )
    page = "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"
    before, _, behind = page.partition(_DATA)
    return before, packed(story, place, chosen), behind


def _contents(main: str) -> Markup:
    """Returns links to the sections."""
    found = re.findall(r'<section id="(\w+)"><h2>(.*?)</h2>', main)
    return tag("nav", [tag("a", Markup(title), href=f"#{name}") for name, title in found])


def _header(story: Story) -> Markup:
    facts = story.run.facts
    seeds = sorted({seed for m in story.methods.values() for seed in m["seeds"]})
    started = sorted(str(s.get("started", ""))[:10] for s in facts.get("sessions", []))
    rows = {
        "split": facts.get("split"),
        "control": story.summary["control"],
        "protocol": facts.get("protocol"),
        "model": ", ".join(story.summary["models"]),
        "questions": f"{story.summary['questions']:,}",
        "answers": f"{len(story.run.lines):,}",
        "seeds": ", ".join(map(str, seeds)),
        "run": " to ".join(dict.fromkeys((started[0], started[-1]))) if started else None,
        "report made": datetime.date.today().isoformat(),
    }
    items = [tag("div", tag("dt", key), tag("dd", words)) for key, words in rows.items() if words]
    notes = [tag("li", str(note)) for note in facts.get("notes", [])]
    return tag(
        "header",
        tag("p", "vreason-jax · evaluation", class_="kicker"),
        tag("h1", str(story.summary["benchmark"])),
        tag("dl", items),
        key(story),
        tag("p", _WHAT, class_="what-it-is"),
        tag("ul", notes, class_="notes") if notes else None,
    )


def _footer() -> Markup:
    words = f"Made by vreason-jax {__version__} from predictions.jsonl, the traces and run.json."
    return tag("footer", tag("p", words))
