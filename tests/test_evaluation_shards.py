"""Parts of a run hold every clip once, and are named by a flag or by an array of jobs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.running.shards import WHOLE, Shard, find_shard

SLURM = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "16"}


def record(number, clip):
    return Record(str(number), "mmvu", f"{clip}.mp4", "?", (), "A", CHOICE, "t")


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 6))
def test_parts_hold_every_question_once_and_those_of_a_clip_together(clips, count):
    records = [record(number, clip) for number, clip in enumerate(clips)]
    parts = [Shard(index, count).cut(records) for index in range(count)]
    assert sorted(r.id for part in parts for r in part) == sorted(r.id for r in records)
    videos = [{r.video for r in part} for part in parts]
    assert sum(map(len, videos)) == len({r.video for r in records})
    assert max(map(len, videos)) - min(map(len, videos)) <= 1


def test_more_questions_leave_each_clip_in_its_part():
    records = [record(number, number // 2) for number in range(20)]
    for limit in range(20):
        assert set(Shard(1, 3).cut(records[:limit])) <= set(Shard(1, 3).cut(records))


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        (None, {}, WHOLE),
        ("2/4", {}, (2, 4)),
        ("0/1", SLURM, (0, 1)),
        (None, SLURM, (2, 16)),
        (None, {"JOB_COMPLETION_INDEX": "3", "JOB_COMPLETIONS": "4"}, (3, 4)),
        (None, {"JOB_COMPLETION_INDEX": "3"}, WHOLE),  # of how many nobody says
        ("8", {"JOB_COMPLETION_INDEX": "3"}, (3, 8)),
    ],
)
def test_a_flag_goes_before_an_array_of_jobs(text, environment, expected):
    found = find_shard(text, environment)
    assert (found.index, found.count) == tuple(expected)[:2]


@pytest.mark.parametrize(
    ("text", "environment", "reason"),
    [
        ("4/4", {}, "expected a part from 0 to 3 of 4, got 4/4"),
        ("0/0", {}, "expected at least 1 part"),
        ("-1/4", {}, "expected I/N, I from 0"),
        ("a/b", {}, "expected I/N"),
        ("4", {}, "no array of jobs says which of 4"),
        (None, SLURM | {"SLURM_ARRAY_TASK_ID": "20"}, "got SLURM_ARRAY_TASK_ID=20; name it with"),
        (None, SLURM | {"SLURM_ARRAY_TASK_COUNT": "x"}, "expected a whole number, got 'x'"),
    ],
)
def test_what_names_no_part_is_refused(text, environment, reason):
    with pytest.raises(UserError, match=reason):
        find_shard(text, environment)


def test_a_job_submitted_again_by_itself_does_not_answer_another_part():
    alone = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_COUNT": "1"}
    with pytest.raises(UserError, match="its lines are of parts 2/16, and SLURM_ARRAY_TASK_ID"):
        find_shard(None, alone).check_goes_on(["2/16"])
    find_shard("2/16", alone).check_goes_on(["2/16"])
    find_shard(None, SLURM).check_goes_on(["5/16"])  # of one folder for all
    find_shard("0/1", {}).check_goes_on(["2/16"])
