"""MVBench (OpenGVLab/MVBench): twenty tasks of 200 questions, each with its own file and videos.

`json/<task>.json`, videos below `video/`. Five tasks name the part of the video that is meant, in
seconds; Episodic Reasoning has folders of frames, three a second.
"""

import dataclasses

from vreason_jax.errors import shown
from vreason_jax.evaluation.benchmarks import fields as fields_lib
from vreason_jax.evaluation.benchmarks.layout import Layout, Source, groups_by_type
from vreason_jax.evaluation.benchmarks.options import LETTERS, by_place, texts_of
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.benchmarks.rows import BrokenRowError, Row

FRAMES_FPS = 3.0


@dataclasses.dataclass(frozen=True)
class _Task:
    folder: str  # below video/
    has_times: bool = False


TASKS = {
    "action_sequence": _Task("star/Charades_v1_480", has_times=True),
    "action_prediction": _Task("star/Charades_v1_480", has_times=True),
    "action_antonym": _Task("ssv2_video"),
    "fine_grained_action": _Task("Moments_in_Time_Raw/videos"),
    "unexpected_action": _Task("FunQA_test/test"),
    "object_existence": _Task("clevrer/video_validation"),
    "object_interaction": _Task("star/Charades_v1_480", has_times=True),
    "object_shuffle": _Task("perception/videos"),
    "moving_direction": _Task("clevrer/video_validation"),
    "action_localization": _Task("sta/sta_video", has_times=True),
    "scene_transition": _Task("scene_qa/video"),
    "action_count": _Task("perception/videos"),
    "moving_count": _Task("clevrer/video_validation"),
    "moving_attribute": _Task("clevrer/video_validation"),
    "state_change": _Task("perception/videos"),
    "fine_grained_pose": _Task("nturgbd"),
    "character_order": _Task("perception/videos"),
    "egocentric_navigation": _Task("vlnqa"),
    "episodic_reasoning": _Task("tvqa/frames_fps3_hq", has_times=True),
    "counterfactual_inference": _Task("clevrer/video_validation"),
}


def read(row: Row, label: str) -> list[Record]:
    """Returns the record of a row of the task `label`; raises BrokenRowError.

    The rows have no ids: theirs is the task and the number in the file.
    """
    fields = row.fields()
    task = TASKS[label]
    candidates = texts_of(fields.get("candidates"), "candidates")
    options = by_place(candidates, "candidates")
    answer = fields_lib.text(fields, "answer")
    if candidates.count(answer) != 1:
        raise BrokenRowError(f"'answer': expected one of the candidates, got {shown(answer)}")
    video = f"{task.folder}/{fields_lib.text(fields, 'video')}"
    start, end = fields_lib.times(fields, needed=True) if task.has_times else (None, None)
    return [
        Record(
            id=f"{label}/{row.keys[-1]}",
            benchmark="mvbench",
            video=fields_lib.below_the_folder(video, "video"),
            problem=fields_lib.text(fields, "question"),
            options=options,
            gold=LETTERS[candidates.index(answer)],
            kind=CHOICE,
            task=label,
            start=start,
            end=end,
            folder_fps=FRAMES_FPS,
        )
    ]


def _patterns(task: str) -> tuple[str, ...]:
    return f"json/{task}.json*", f"{task}.json*", f"*/{task}.json*"


LAYOUT = Layout(
    "mvbench",
    tuple(Source(task, _patterns(task)) for task in TASKS),
    read,
    groups_by_type,
    folder_fps=FRAMES_FPS,
)
