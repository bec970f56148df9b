import os
import shlex
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "tpu_vm.sh"


@pytest.fixture
def gcloud(tmp_path):
    """A gcloud that writes down its arguments, a line for each, calls ended by an empty one."""
    log = tmp_path / "calls"
    (tmp_path / "gcloud").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" "" >> {log}\n')
    (tmp_path / "gcloud").chmod(0o755)
    return log


def run(gcloud, *arguments):
    environment = {**os.environ, "PATH": f"{gcloud.parent}:{os.environ['PATH']}"}
    command = ["bash", str(SCRIPT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_run_starts_the_same_words_on_every_worker(gcloud):
    words = ["python", "-m", "x", "--prompt", 'Who\'s "there"; $HOME?']
    result = run(gcloud, "run", "slice", "zone-a", *words)
    assert result.returncode == 0, result.stderr
    call = gcloud.read_text()
    assert "--worker=all" in call and "--zone=zone-a" in call
    remote = call.split("--command=", 1)[1].strip()
    sent = remote.split("$PATH ", 1)[1]
    assert shlex.split(sent) == words


def test_install_copies_the_checkout_and_installs_it_on_every_worker(gcloud):
    result = run(gcloud, "install", "slice", "zone-a")
    assert result.returncode == 0, result.stderr
    call = gcloud.read_text()
    assert call.count("--worker=all") == 2
    assert "slice:vreason-jax.tar.gz" in call and "pip install --quiet ~/vreason-jax[tpu]" in call


def test_several_vms_get_the_same_command_each(gcloud):
    result = run(gcloud, "run", "a,b,c", "zone-a", "python", "-m", "x", "--claim")
    assert result.returncode == 0, result.stderr
    calls = gcloud.read_text().split("\n\n")[:-1]
    assert sorted(call.splitlines()[4] for call in calls) == ["a", "b", "c"]
    assert all("python -m x --claim" in call for call in calls)


def test_the_end_of_a_vm_that_fails_is_the_end_of_the_whole(gcloud):
    (gcloud.parent / "gcloud").write_text('#!/bin/sh\ncase "$*" in *" b "*) exit 75;; esac\n')
    assert run(gcloud, "run", "a,b,c", "zone-a", "true").returncode == 75


@pytest.mark.parametrize(
    "arguments", [[], ["go"], ["run", "slice"], ["run", "s", "z"], ["install", "s", "z", "more"]]
)
def test_wrong_usage_is_exit_code_2(gcloud, arguments):
    assert run(gcloud, *arguments).returncode == 2
    assert not gcloud.exists()
