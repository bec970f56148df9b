"""The methods of a run: config files by name, and experiments that vary one."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vreason_jax.config import CONFIG_FOLDER, RunConfig, config_values
from vreason_jax.errors import UserError, shown
from vreason_jax.settings import apply_overrides
from vreason_jax.toml_files import read_named_toml

EXPERIMENT_FOLDER = CONFIG_FOLDER / "experiments"
DEFAULT = ("baseline", "vreason")
# What decides how a clip is read and asked about: one clip is read once for all methods.
SHARED = ("video", "model", "prompt")


def load_methods(
    names: Sequence[str],
    experiment: str | None,
    *,
    protocol: Mapping[str, Any],
    overrides: Mapping[str, Any],
) -> dict[str, RunConfig]:
    """Returns the run config of every method, by name, in order.

    A method is a file of `configs/` or a path, named by its stem, or a table of the experiment. A
    config file overrides the protocol, a table the file it is based on, and `overrides` all.
    Raises UserError for methods that do not exist, come twice, or read clips differently.
    """
    methods = {
        name: apply_overrides(RunConfig(), {**protocol, **values, **overrides})
        for name, values in method_values(names, experiment).items()
    }
    _check_shared(methods)
    return methods


def method_values(names: Sequence[str], experiment: str | None) -> dict[str, dict[str, Any]]:
    """Returns what the files of every method set, by its name and dotted key, in order."""
    asked = [(Path(name).stem if name.endswith(".toml") else name, name, {}) for name in names]
    if experiment is not None:
        asked += _read_experiment(experiment)
    values: dict[str, dict[str, Any]] = {}
    for name, base, changes in asked or [(name, name, {}) for name in DEFAULT]:
        if name in values:
            raise UserError(f"--methods: expected every method once, {shown(name)} comes twice")
        values[name] = {**config_values(base, "--methods"), **changes}
    return values


def seeds_of(run: RunConfig, seeds: Sequence[int], former: Sequence[int] = ()) -> Sequence[int]:
    """Returns the seeds that a method runs with: without chance the first alone.

    That is the first one of all, also of the `former` runs that this one goes on with.
    """
    return seeds if run.is_random else [*former, *seeds][:1]


def with_seed(run: RunConfig, seed: int) -> RunConfig:
    """Returns the run config with another seed."""
    return dataclasses.replace(run, sampling=dataclasses.replace(run.sampling, seed=seed))


def _read_experiment(name: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Returns name, base and dotted overrides of every table under [methods]."""
    path, content = read_named_toml(name, EXPERIMENT_FOLDER, "--experiment")
    tables = content.get("methods", {})
    if not isinstance(tables, dict) or not tables:
        raise UserError(f"--experiment: {path}: expected tables [methods.NAME], found none")
    return [_method(path, method, table) for method, table in tables.items()]


def _method(path: Path, name: str, table: Any) -> tuple[str, str, dict[str, Any]]:
    if not isinstance(table, dict):
        raise UserError(f"--experiment: {path}: expected a table for {name}, got {shown(table)}")
    changes = dict(table)
    base = changes.pop("base", "vreason")
    if not isinstance(base, str):
        raise UserError(f"--experiment: {path}: expected a config name as base, got {shown(base)}")
    return name, base, changes


def _check_shared(methods: Mapping[str, RunConfig]) -> None:
    first, *others = methods
    expected = methods[first].to_dict()
    for name in others:
        values = methods[name].to_dict()
        for section in SHARED:
            if values[section] != expected[section]:
                raise UserError(
                    f"--methods: expected {first} and {name} to agree in {section}.*, since a clip "
                    "is read once for all; run them with an --out each and merge them with "
                    "python -m vreason_jax.report"
                )
