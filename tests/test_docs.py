"""The documents keep up with the programs: their commands parse, their keys and files are there."""

import re
import shlex
from pathlib import Path

import pytest

from vreason_jax import evaluate, generate, plan, report, status
from vreason_jax.config import CONFIG_FOLDER, load_config
from vreason_jax.convert import __main__ as convert
from vreason_jax.embedded import CHECKPOINTS
from vreason_jax.settings import parse_set
from vreason_jax.shapes import __main__ as shapes

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
CARDS = [folder / "README.md" for folder in CHECKPOINTS.values()]
PARSERS = {
    "vreason_jax.generate": generate, "vreason_jax.evaluate": evaluate,
    "vreason_jax.report": report, "vreason_jax.shapes": shapes, "vreason_jax.status": status,
    "vreason_jax.convert": convert, "convert": convert, "vreason_jax.plan": plan,
}  # fmt: skip


def commands() -> list[tuple[str, str]]:
    """Module and arguments of every command of the documents and of the config files."""
    files = [*PAGES, *CARDS, *sorted(CONFIG_FOLDER.rglob("*.toml"))]
    texts = [file.read_text(encoding="utf-8").replace("\\\n", " ") for file in files]
    found = (re.findall(r"python -m ([\w.]+) +([^`#\n]*-[^`#\n]*)", text) for text in texts)
    return sorted({pair for pairs in found for pair in pairs if pair[0] in PARSERS})


@pytest.mark.parametrize(("module", "arguments"), commands())
def test_a_command_parses_and_what_it_names_is_there(module, arguments):
    words = shlex.split(re.sub(r'(?<!")\.\.\.', "", arguments))  # what a text leaves out
    options = PARSERS[module]._parser().parse_args(words)
    overrides = dict(parse_set(text) for text in getattr(options, "set", []))
    load_config(getattr(options, "config", "vreason"), overrides)
    experiment = getattr(options, "experiment", None)
    assert experiment is None or (CONFIG_FOLDER / "experiments" / f"{experiment}.toml").is_file()


def test_there_are_commands_of_every_program():
    assert {module for module, _ in commands()} >= set(PARSERS) - {"vreason_jax.convert"}


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=lambda page: "/".join(page.parts[-2:]))
def test_links_lead_to_files_and_headings(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            path, _, heading = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), target
            assert not heading or heading in anchors(linked.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """The names under which GitHub links to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_keys_that_are_named_are_there(page):
    text = page.read_text(encoding="utf-8")
    for script in re.findall(r"scripts/[\w.]+\w", text):
        assert (ROOT / script).is_file(), script
    for key, value in re.findall(r"--set ([\w.]+)=([\w.+-]+)", text):
        load_config("vreason", dict([parse_set(f"{key}={0.5 if value == 'R' else value}")]))
    for module, names in re.findall(r"`((?:controller|decoding)/\w+\.py): ([\w, ]+)`", text):
        code = (ROOT / "vreason_jax" / module).read_text(encoding="utf-8")
        assert all(f"def {name}(" in code for name in names.split(", ")), module
