"""Controls, splits and comparisons are part of what a folder holds, and come through a kill."""

import json
import logging

import pytest
from evaluate_runs import Runner, answers, lines

STRONG = "--set", "controller.learning_rate=0.3", "--set", "controller.every=1"


@pytest.fixture
def run(capsys, monkeypatch, place):
    monkeypatch.setattr(logging.root.manager, "disable", logging.root.manager.disable)
    return Runner(place, capsys)


def test_a_control_is_named_and_is_part_of_the_hash(run, tmp_path):
    given = "--limit", 1, "--methods", "baseline"
    for control in ("none", "blank", "no_last_values"):
        ended = run("--out", tmp_path / control, *given, "--control", control)
        assert ended.code == 0, ended.err
        for file in ("run.json", "summary.json"):
            assert json.loads((tmp_path / control / file).read_text())["control"] == control
        assert f"<dd>{control}</dd>" in (tmp_path / control / "report.html").read_text()
    found = [lines(tmp_path / name)[0] for name in ("none", "blank", "no_last_values")]
    assert len({line["config_hash"] for line in found}) == 3
    assert len({line["entropy"] for line in found}) == 3
    ended = run("--out", tmp_path / "blank", *given)
    assert ended.code == 2
    assert "control: 'blank' there, None here" in ended.err


def test_the_validation_split_is_asked_in_a_folder_of_its_own(run, tmp_path):
    given = "--out", tmp_path, "--limit", 1, "--methods", "baseline"
    assert run(*given, "--split", "validation").code == 0
    assert lines(tmp_path)[0]["id"].startswith("validation-000000-")
    assert "split: 'validation' there, None here" in run(*given).err


def test_compared_logits_come_with_every_line_also_after_a_kill(run, tmp_path):
    given = "--out", tmp_path, "--limit", 2, "--compare-logits", *STRONG
    ended = run(*given)
    assert ended.code == 0, ended.err
    whole = answers(tmp_path)
    for (_, method, _), line in whole.items():
        compared = {"changed", "delta_logit", "kl"} & line.keys()
        assert compared == ({"changed", "delta_logit", "kl"} if method == "vreason" else set())
        assert method == "baseline" or (line["delta_logit"] > 1e-4 and line["kl"] > 0)
    method = json.loads((tmp_path / "summary.json").read_text())["methods"]["vreason"]
    assert method["delta_logit"] > 1e-4 and 0 <= method["changed"] <= 1
    file = tmp_path / "predictions.jsonl"
    # The first method's answers are done, none of the other's.
    file.write_text("".join(f"{json.dumps(li)}\n" for li in lines(tmp_path)[:2]))
    assert {line["method"] for line in lines(tmp_path)} == {"baseline"}
    assert run(*given).code == 0
    assert answers(tmp_path) == whole


def test_changed_says_whether_the_tokens_are_the_first_methods(run, tmp_path):
    ended = run("--out", tmp_path, "--limit", 1, "--methods", "baseline,vreason,lite")
    assert ended.code == 0, ended.err
    found = {line["method"]: line for line in lines(tmp_path)}
    for name in ("vreason", "lite"):
        same = found[name]["text"] == found["baseline"]["text"]
        assert found[name]["changed"] is not same
    assert "changed" not in found["baseline"]
    given = "--out", tmp_path / "twice", "--limit", 1, "--methods"
    for methods in ("baseline", "baseline,vreason,lite"):  # the first one's in a session before
        assert run(*given, methods).code == 0
    again = {line["method"]: line.get("changed") for line in lines(tmp_path / "twice")}
    assert again == {name: line.get("changed") for name, line in found.items()}


def test_comparing_is_all_or_nothing_and_needs_the_folders_first_method(run, tmp_path):
    given = "--out", tmp_path, "--limit", 1, "--compare-logits", "--methods"
    assert run(*given, "baseline").code == 0
    assert (
        "compare_logits: True there, None here"
        in run("--out", tmp_path, "--limit", 1, "--methods", "baseline").err
    )
    ended = run(*given, "vreason,baseline")
    assert ended.code == 2
    assert "--compare-logits: expected baseline in front of --methods" in ended.err
