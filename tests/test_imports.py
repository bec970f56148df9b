"""Imports go one way: a folder may import only what lies before it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vreason_jax"
# What a folder must not import, directly: other folders of the package, or libraries.
FORBIDDEN = {
    "": {"torch", "torchvision"},
    "video": {"jax", "flax", "model", "controller", "decoding", "prompt", "families"},
    "prompt": {"jax", "flax", "model", "controller", "decoding", "video", "families"},
    "model": {"controller", "decoding", "prompt", "video", "families"},
    "controller": {"model", "decoding", "prompt", "video", "families"},
    "decoding": {"prompt", "video", "families"},
}
# Every folder and module of the package: each may import only what stands before it. A program that
# is not named here comes last.
ORDER = (
    "__version__", "arrays", "errors", "regular_files", "json_files", "toml_files", "settings",
    "config", "geometry", "video", "prompt", "questions", "controller", "model", "families",
    "decoding", "embedded", "runtime", "command_line", "output", "shapes", "checkpoint", "engine",
    "planning", "api", "convert", "evaluation", "harnesses", "training",
)  # fmt: skip


def imported(path: Path) -> set[str]:
    """Libraries, and folders or modules of the package, that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = (name.split(".") for name in names)
    return {p[1] if p[0] == "vreason_jax" and len(p) > 1 else p[0] for p in parts}


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_folder_imports_nothing_that_comes_after_it(folder):
    files = sorted((PACKAGE / folder).rglob("*.py"))
    wrong = {str(f.relative_to(PACKAGE)): imported(f) & FORBIDDEN[folder] for f in files}
    assert not {name: names for name, names in wrong.items() if names}


def test_every_folder_and_module_imports_only_what_comes_before_it():
    ranks = {name: rank for rank, name in enumerate(ORDER)}
    names = {path.stem for path in PACKAGE.iterdir()}
    wrong = set()
    for file in sorted(PACKAGE.rglob("*.py")):
        own = Path(file.relative_to(PACKAGE).parts[0]).stem
        if own != "__init__":
            earlier = ORDER[: ranks.get(own, len(ORDER))]
            later = imported(file) & names - {own, *earlier}
            wrong |= {f"{file.relative_to(PACKAGE)} imports {name}" for name in later}
    assert not wrong


def test_the_walk_sees_the_imports_that_are_there():
    assert {"jax", "model", "controller", "functools"} <= imported(PACKAGE / "decoding" / "loop.py")


def test_only_its_own_folder_and_the_registry_name_a_family():
    folders = {path.name for path in (PACKAGE / "families").iterdir() if path.is_dir()}
    families = {folder for folder in folders if not folder.startswith("_")}
    assert families
    for file in sorted(PACKAGE.rglob("*.py")):
        inside = families & set(file.relative_to(PACKAGE).parts)
        if inside or file == PACKAGE / "families" / "registry.py":
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        documents = {id(node.body[0].value) for node in ast.walk(tree) if is_documented(node)}
        for node in ast.walk(tree):
            text = getattr(node, "id", None) or getattr(node, "attr", None) or ""
            if isinstance(node, ast.Constant) and id(node) not in documents:
                text = str(node.value)
            elif isinstance(node, ast.ImportFrom):
                text = node.module or ""
            assert "qwen" not in text.lower(), f"{file.relative_to(PACKAGE)}: {text}"


def is_documented(node: ast.AST) -> bool:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None
