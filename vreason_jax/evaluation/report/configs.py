"""Configurations of the methods, and versions of the software."""

import json
from typing import Any

from vreason_jax.evaluation.report.markup import DASH, Child, Markup, tag
from vreason_jax.evaluation.report.story import Story, figure, section
from vreason_jax.evaluation.report.tables import method, table


def setup(story: Story) -> Markup | None:
    """Returns configurations and versions, or None if the run recorded none."""
    if not story.run.facts:
        return None
    note = "Keys as in configs/; all others are alike."
    return section(
        "configs",
        "Configurations",
        figure("Where the methods differ", note, differing(story)),
        whole(story),
        versions(story),
    )


def differing(story: Story) -> Markup | None:
    """Returns the config keys in which methods differ, one column per method, or None."""
    flat = {name: _flatten(config) for name, config in _configs(story).items()}
    keys = dict.fromkeys(key for config in flat.values() for key in config)
    rows: list[list[Child]] = [
        [key, *values]
        for key in keys
        if len(set(values := [_plain(config.get(key, DASH)) for config in flat.values()])) > 1
    ]
    return table(["key", *(method(story, name) for name in flat)], rows) if rows else None


def whole(story: Story) -> list[Markup]:
    """Returns each method's whole config, folded."""
    return [
        tag(
            "details", tag("summary", method(story, name)), tag("pre", json.dumps(config, indent=1))
        )
        for name, config in _configs(story).items()
    ]


def versions(story: Story) -> Markup | None:
    """Returns the versions of everything that can change an answer, in one line."""
    found = story.run.facts.get("versions") or {}
    words = " · ".join(f"{name} {version}" for name, version in found.items() if version)
    return tag("p", words, class_="small") if words else None


def _configs(story: Story) -> dict[str, Any]:
    known = story.run.facts.get("methods", {})
    return {name: known[name] for name in story.names if name in known}


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat = {}
    for key, item in value.items():
        flat |= _flatten(item, f"{prefix}.{key}" if prefix else key)
    return flat


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)
