"""Methods by name, by path and by experiment; who overrides whom."""

import itertools

import pytest

from vreason_jax.errors import UserError
from vreason_jax.evaluation.running.methods import EXPERIMENT_FOLDER, load_methods, seeds_of

EXPERIMENTS = sorted(file.stem for file in EXPERIMENT_FOLDER.glob("*.toml"))


def load(*names, experiment=None, protocol=None, **overrides):
    keys = {name.replace("__", "."): value for name, value in overrides.items()}
    return load_methods(names, experiment, protocol=protocol or {}, overrides=keys)


def experiment_file(folder, text):
    (folder / "mine.toml").write_text(text)
    return str(folder / "mine.toml")


def test_methods_come_in_the_order_given_and_two_by_default():
    assert list(load()) == ["baseline", "vreason"]
    assert list(load("min", "baseline")) == ["min", "baseline"]
    assert load("baseline")["baseline"].controller.objective == "none"


def test_a_file_overrides_the_protocol_an_experiment_the_file_and_the_user_all(tmp_path):
    (tmp_path / "warm.toml").write_text("[sampling]\ntemperature = 0.5\ntop_p = 0.5\nmin_p = 0.5\n")
    text = f'[methods.hot]\nbase = "{tmp_path}/warm.toml"\n"sampling.top_p" = 0.6\n'
    text += '"sampling.min_p" = 0.6\n'
    protocol = {"sampling.temperature": 0.0, "sampling.max_new_tokens": 1024}
    run = load(experiment=experiment_file(tmp_path, text), protocol=protocol, sampling__min_p=0.7)[
        "hot"
    ]
    assert (run.sampling.temperature, run.sampling.top_p, run.sampling.min_p) == (0.5, 0.6, 0.7)
    assert run.sampling.max_new_tokens == 1024


def test_a_path_is_called_by_its_stem(tmp_path):
    (tmp_path / "mine.toml").write_text("[controller]\nevery = 9\n")
    assert load(str(tmp_path / "mine.toml"))["mine"].controller.every == 9


def test_at_temperature_0_one_seed_runs_unless_chance_is_in_the_method():
    methods = load("baseline", "vreason", "random", "random_direction")
    assert [list(seeds_of(run, [3, 4])) for run in methods.values()] == [[3], [3], [3, 4], [3, 4]]
    lite = {"prune__fraction": 0.5, "prune__policy": "random"}
    assert list(seeds_of(load("baseline")["baseline"], [3, 4], [7])) == [7]  # is the same answer
    assert seeds_of(load("baseline", **lite)["baseline"], [3, 4]) == [3, 4]
    assert seeds_of(load("baseline", sampling__temperature=1.0)["baseline"], [3, 4]) == [3, 4]


@pytest.mark.parametrize(
    ("names", "text", "expected"),
    [
        (["nope"], None, "no file 'nope'; expected a TOML path or one of: baseline, "),
        (["min", "min"], None, "expected every method once, 'min' comes twice"),
        ([], "[methods.a]\nbase = 3\n", "expected a config name as base, got 3"),
        ([], "[methods.a]\nevry = 3\n", "unknown config key 'evry'"),
        ([], "[methods]\na = 3\n", "expected a table for a, got 3"),
        ([], "[other]\n", "expected tables [methods.NAME], found none"),
        ([], "[methods", "is not valid TOML"),
        ([], '[methods.a]\n[methods.b]\n"video.num_frames" = 8\n', "agree in video.*"),
    ],
)
def test_what_is_refused(tmp_path, names, text, expected):
    with pytest.raises(UserError) as caught:
        load(*names, experiment=text and experiment_file(tmp_path, text))
    assert expected in str(caught.value)


def test_an_unknown_experiment_is_answered_with_those_there_are():
    with pytest.raises(UserError, match="one of: decoding, ema, learning_rates, lite, models, o"):
        load(experiment="nope")


def test_the_overview_crosses_step_size_period_and_the_token_drawn_after_the_update():
    methods = load(experiment="overview")
    crossed = [
        (run.controller.learning_rate, run.controller.every, run.controller.resample_after_update)
        for run in methods.values()
        if run.controller.objective == "switch" and not run.prune.fraction
    ]
    assert sorted(crossed) == sorted(itertools.product((3e-4, 1e-2, 0.1, 1.0), (1, 4), (0, 1)))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_papers_experiments_load(name):
    methods = load(experiment=name)
    assert len(methods) >= (2 if name == "models" else 6)  # there, runs of several models merge
    assert next(iter(methods.values())).controller.objective == "none"
