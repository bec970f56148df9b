"""The package as pip sees it: it requires what it imports, and it says under which licence."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What a distribution is imported as, where that is not its name with underscores.
MODULES = {"orbax-checkpoint": "orbax", "pillow": "PIL"}
# A harness that calls the package brings itself and its libraries.
HARNESSES = {"lmms_eval", "tqdm"}


def modules_of(requirements: list[str]) -> set[str]:
    names = [re.match(r"[\w-]+", requirement)[0].lower() for requirement in requirements]
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def imported() -> set[str]:
    """Libraries that some file of the package imports, at its top or within a function."""
    found = set()
    for file in (ROOT / "vreason_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"vreason_jax"}


def test_what_is_required_is_imported_and_what_is_imported_is_required():
    extras = PROJECT["optional-dependencies"]
    optional = modules_of([*extras["plots"], *extras["parquet"]])
    required = modules_of(PROJECT["dependencies"])
    assert required <= imported()
    assert imported() <= required | optional | HARNESSES


def test_the_metadata_names_the_licence_and_the_file_is_that_licence():
    assert PROJECT["license"] == "Apache-2.0"
    (file,) = PROJECT["license-files"]
    text = (ROOT / file).read_text(encoding="utf-8")
    assert "Apache License" in text and "Version 2.0, January 2004" in text


def test_the_changelog_has_the_version():
    version = importlib.metadata.version("vreason-jax")
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
