"""What can happen to a folder, any two after each other: every answer asked for has one line."""

import pytest
from evaluate_runs import answers
from stub_engine import Stub

from vreason_jax.evaluation.results.status import status_of

CHANCE = "--set", "sampling.temperature=1.0"


class Folder:
    """A folder, the answers that were asked for so far, and those of videos that failed."""

    def __init__(self, stub, path):
        self._stub, self.path = stub, path
        self.methods, self.seeds, self.limit = ["baseline"], [0], 3
        self.asked: set[tuple] = set()
        self.failed: set[tuple] = set()

    def run(self, *more, code=0, shard=None):
        given = "--methods", ",".join(self.methods), "--seeds", ",".join(map(str, self.seeds))
        if shard is not None:
            more = (*more, "--shard", f"{shard}/2")
        assert self._stub("--limit", self.limit, "--out", self.path, *given, *CHANCE, *more) == code
        if code:
            return
        retried = "--retry-failed" in more
        self.failed -= self.failed if retried else set()
        known = {key[0] for key in self.failed}
        numbers = [n for n in range(self.limit) if shard is None or n % 2 == shard]
        keys = {
            (f"test-{number:06d}", method, seed)
            for number in numbers
            for method in self.methods
            for seed in self.seeds
        }
        new = keys - (self.asked if not retried else self.done())
        self.failed |= {key for key in new if key[0] in self._stub.broken | known}
        self.asked |= keys

    def done(self):
        return self.asked - self.failed

    def check(self):
        status = status_of(self.path)
        assert (status.done, status.failed, status.to_do) == (len(self.done()), len(self.failed), 0)
        found = {}
        for (name, method, seed), line in answers(self.path).items():  # none comes twice
            found[name[: len("test-000000")], method, seed] = line
        assert found.keys() == self.asked
        for key, line in found.items():
            assert (line["status"] == "missing_video") == (key in self.failed), key
            assert line["text"].endswith(f" {key[2]}") or key in self.failed


@pytest.mark.parametrize(("more", "each"), [((), 1), (("--time-controller",), 2)])
def test_a_batch_is_decoded_once_a_method_and_once_more_plainly_on_demand(
    place, tmp_path, monkeypatch, more, each
):
    stub, decoded = Stub(monkeypatch, place / "model"), []
    stub.before_answer = decoded.append
    assert stub("--limit", 2, "--out", tmp_path, "--methods", "vreason", *more) == 0
    assert len(decoded) == each and len(answers(tmp_path)) == 2


def resume(folder, stub):
    folder.run()


def method(folder, stub):
    folder.methods = [*folder.methods, "max" if "vreason" in folder.methods else "vreason"]
    folder.run()


def seed(folder, stub):
    folder.seeds = [*folder.seeds, len(folder.seeds)]
    folder.run()


def limit(folder, stub):
    folder.limit += 2
    folder.run()


def fail(folder, stub):
    """Two more clips are gone, of which one is not asked about yet."""
    stub.broken |= {"test-000001", "test-000004"}
    folder.run()


def retry(folder, stub):
    stub.broken.clear()
    folder.run("--retry-failed")


def shards(folder, stub):
    folder.limit += 2
    for number in (1, 0):
        folder.run(shard=number)


def claim(folder, stub):
    folder.limit += 1
    folder.run("--claim")


def crash(folder, stub):
    """A run that would answer more ends in the middle of it."""
    folder.limit += 3
    last = f"test-{folder.limit - 1:06d}"

    def end(names):
        if any(name.startswith(last) for name in names):
            raise MemoryError

    stub.before_answer = end
    folder.run(code=2)
    stub.before_answer = lambda names: None
    folder.run()


EVENTS = [resume, method, seed, limit, fail, retry, shards, claim, crash]


@pytest.mark.parametrize("first", EVENTS, ids=lambda event: event.__name__)
def test_every_answer_has_one_line_after_any_two_events(first, place, tmp_path, monkeypatch):
    for number, second in enumerate(EVENTS):
        with monkeypatch.context() as patch:
            stub = Stub(patch, place / "model")
            stub.broken = {"test-000002"}  # from the start
            folder = Folder(stub, tmp_path / str(number))
            folder.run()
            for event in (first, second):
                event(folder, stub)
                folder.check()
