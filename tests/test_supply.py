"""No file that a user gives can run as a program: nothing unpickles, nothing evaluates text."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    file for name in ("vreason_jax", "convert") for file in (ROOT / name).rglob("*.py")
)

# Libraries whose use loads objects that run code.
MODULES = {
    "pickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "torch",
    "yaml",
}
BUILTINS = {"eval", "exec", "compile", "__import__"}
# Arguments that allow it, and what they must be where they are given.
FLAGS = {"trust_remote_code": False, "allow_pickle": False, "shell": False, "weights_only": True}
UNSAID = {"np.load", "numpy.load", "jnp.load"}  # whose allow_pickle must be given


def findings(source: str) -> list[str]:
    """Everything in a source that could run what a file says."""
    nodes = list(ast.walk(ast.parse(source)))
    found = [name for node in nodes for name in _imports(node) if name in MODULES]
    return found + [f for node in nodes if isinstance(node, ast.Call) for f in _of_call(node)]


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return [(node.module or "").split(".")[0]] if isinstance(node, ast.ImportFrom) else []


def _of_call(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func).removeprefix("builtins.")
    flags = {word.arg: word.value for word in call.keywords if word.arg in FLAGS}
    found = [f"{name}({flag})" for flag, value in flags.items() if not _is(value, FLAGS[flag])]
    if name in UNSAID and "allow_pickle" not in flags:
        found.append(f"{name} without allow_pickle=False")
    return found + ([name] if name in BUILTINS or name.endswith(".read_pickle") else [])


def _is(node: ast.expr, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_source_runs_nothing_that_a_file_says(file):
    assert findings(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import load",
        "import torch",
        "import yaml.loader",
        "np.load(file)",
        "np.load(file, allow_pickle=True)",
        "np.load(file, allow_pickle=flag)",
        "jnp.load(file)",
        "eval(text)",
        "builtins.exec(text)",
        "__import__(name)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "subprocess.run(text, shell=True)",
        "pandas.read_pickle(file)",
    ],
)
def test_what_could_run_a_file_is_seen(source):
    assert findings(source)


@pytest.mark.parametrize(
    "source",
    [
        "json.loads(text)",
        "np.load(file, allow_pickle=False)",
        "re.compile(text)",
        "program.lower(x).compile()",
        "ast.literal_eval(text)",
        "Checkpoint.load(folder)",
        "subprocess.run(words)",
    ],
)
def test_what_could_not_is_let_through(source):
    assert findings(source) == []
