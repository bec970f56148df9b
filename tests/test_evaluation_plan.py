"""Which questions go where, and together: by rules that know nothing of devices and kills."""

import dataclasses
import random

import pytest

from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.running.plan import (
    WAITING_BATCHES,
    Buckets,
    clip_key,
    replica_of,
    share_of,
)


def record(number, video):
    return Record(f"q{number}", "mvbench", video, "What?", ("A. a", "B. b"), "A", CHOICE, "task")


RECORDS = [record(n, f"{n % 40}.mp4") for n in range(120)]


def test_the_hash_is_the_same_on_every_machine():
    assert [replica_of(f"{n}.mp4", 4) for n in range(8)] == [3, 2, 0, 0, 0, 3, 3, 1]


@pytest.mark.parametrize("replicas", [1, 2, 4, 7])
def test_every_question_goes_to_one_copy_and_those_of_a_clip_stay_together(replicas):
    shares = [share_of(RECORDS, replica, replicas) for replica in range(replicas)]
    found = [question.id for share in shares for group in share for question in group]
    assert sorted(found) == sorted(question.id for question in RECORDS)
    for share in shares:
        assert all(len({question.video for question in group}) == 1 for group in share)
    clips = [group[0].video for share in shares for group in share]
    assert len(clips) == len(set(clips)) == 40
    assert all(len(share) > 0 for share in shares)


def test_where_a_question_goes_does_not_depend_on_the_others():
    few = share_of(RECORDS[:10], 1, 4)
    assert [g[0].video for g in few] == [
        g[0].video for g in share_of(RECORDS, 1, 4) if int(g[0].video[:-4]) < 10
    ]


def test_parts_of_a_video_are_clips_of_their_own():
    whole = record(0, "a.mp4")
    part = dataclasses.replace(whole, start=1.0, end=2.5)
    assert len({clip_key(whole), clip_key(part), clip_key(dataclasses.replace(part, end=3))}) == 3


def test_batches_have_one_grid_and_lose_nobody():
    buckets, batches, rng = Buckets(4), [], random.Random(0)
    items = [(n, rng.choice([(2, 4, 4), (2, 4, 6), (4, 4, 4)])) for n in range(50)]
    for item in items:
        batches.append(buckets.add(item, item[1]))
    batches = [batch for batch in (*batches, *buckets.rest()) if batch]
    assert all(len({grid for _, grid in batch}) == 1 for batch in batches)
    assert all(len(batch) <= 4 for batch in batches)
    assert sorted(n for batch in batches for n, _ in batch) == list(range(50))
    assert sum(len(batch) == 4 for batch in batches) >= 10


def test_those_that_wait_are_few_however_many_grids_there_are():
    buckets, waiting = Buckets(4), 0
    for number in range(100):
        waiting += 1 - len(buckets.add(number, (number, 1, 1)))
        assert waiting < 4 * WAITING_BATCHES
    assert sum(map(len, buckets.rest())) == waiting


def test_questions_without_a_video_go_to_all_copies():
    texts = [record(n, "") for n in range(40)]
    shares = [share_of(texts, replica, 4) for replica in range(4)]
    assert all(len(group) == 1 for share in shares for group in share)
    assert sorted(len(share) for share in shares) > [4] * 4
