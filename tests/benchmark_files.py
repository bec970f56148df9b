"""Small benchmarks on disk, each in its authors' layout and in Video-R1's, with real clips."""

import json
import shutil

from PIL import Image
from video_files import encode

from vreason_jax.evaluation.benchmarks import mvbench, tempcompass, videommmu

YES, NO, LETTERS = "yes", "no", "ABCDEFGHIJ"


def put_clips(folder, *names):
    """Writes the same second of video under every name."""
    source = None
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if source is None:
            source = encode(path, count=10, rate=10)
        else:
            shutil.copyfile(source, path)
    return folder


def put_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
    return path


def put_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def video_r1_row(number, path, gold="B", *, options=("A. a cup", "B. a hat"), **changes):
    return {
        "problem_id": number,
        "problem": "What falls?",
        "data_type": "video",
        "problem_type": "multiple choice",
        "original_question_type": "",
        "options": None if options is None else list(options),
        "process": "",
        "solution": f"<answer>{gold}</answer>",
        "path": path,
        "data_source": "made up",
    } | changes


def vsibench_rows():
    room = {"dataset": "scannet", "scene_name": "scene0001_00"}
    numeric = {"question": "How many chairs are there?", "options": None, "ground_truth": "4"}
    lettered = {
        "question": "Where is the lamp?",
        "options": ["A. left", "B. right"],
        "ground_truth": "B",
    }
    types = [
        *[(name, numeric) for name in ("object_counting", "object_abs_distance")],
        *[(name, numeric) for name in ("object_size_estimation", "room_size_estimation")],
        *[(f"object_rel_direction_{level}", lettered) for level in ("easy", "medium", "hard")],
        *[(n, lettered) for n in ("object_rel_distance", "route_planning", "obj_appearance_order")],
    ]
    return [
        {"id": number, "question_type": name, **room, **rest}
        for number, (name, rest) in enumerate(types)
    ]


def vsibench(folder):
    put_lines(folder / "test.jsonl", vsibench_rows())
    return put_clips(folder, "scannet/scene0001_00.mp4")


def videommmu_(folder):
    for track in videommmu.TRACKS:
        entry = {
            "id": "validation_Music_9",
            "link_selected": "https://example.org/watch?v=1",
            "question": "Which chord is it? <image 1>",
            "options": ["the first", "the second", "the third"],
            "answer": "C",
        }
        rows = {"4": entry}
        if track == "Adaptation":
            entry["question_type"] = "multiple-choice"
            open_one = {"options": [], "question_type": "open"}
            rows["13"] = {**entry, **open_one, "id": "validation_Chemistry_13", "answer": "12.97"}
            rows["14"] = {**entry, **open_one, "id": "validation_Physics_21", "answer": "A"}
        put_json(folder / f"{track.lower()}_video.json", {track: rows})
    names = ("Art/validation_Music_9", "Science/validation_Chemistry_13")
    return put_clips(
        folder, *(f"{name}.mp4" for name in names), "Science/validation_Physics_21.mp4"
    )


def mmvu(folder):
    head = "https://huggingface.co/datasets/yale-nlp/MMVU/resolve/main/videos"
    entry = {
        "id": "validation_1",
        "video": f"{head}/Civil_Engineering/3.mp4",
        "youtube_url": "https://example.org/watch?v=1",
        "question_type": "multiple-choice",
        "metadata": {
            "subject": "Civil Engineering",
            "textbook": "",
            "rationale": "",
            "knowledge": [],
        },
        "question": "What is built?",
        "choices": {"A": "a dam", "B": "a road", "C": "a wall", "D": "a mast", "E": "a pit"},
        "answer": "E",
    }
    open_one = {
        "id": "validation_2",
        "question_type": "open-ended",
        "choices": dict.fromkeys("ABCDE", ""),
        "answer": "shoring",
    }
    put_json(folder / "validation.json", [entry, entry | open_one])
    return put_clips(folder, "videos/Civil_Engineering/3.mp4")


def mvbench_(folder):
    for task in ("action_sequence", "moving_count", "episodic_reasoning"):
        row = {
            "video": "clip.mp4" if task != "episodic_reasoning" else "s01e01",
            "question": "What happened?",
            "candidates": ["It fell.", "It rose.", "It stayed."],
            "answer": "It rose.",
        }
        if mvbench.TASKS[task].has_times:
            row |= {"start": 0.2, "end": 0.8}
        put_json(folder / "json" / f"{task}.json", [row, row])
    put_clips(
        folder, "video/star/Charades_v1_480/clip.mp4", "video/clevrer/video_validation/clip.mp4"
    )
    frames = folder / "video" / "tvqa" / "frames_fps3_hq" / "s01e01"
    frames.mkdir(parents=True)
    for number in range(1, 7):
        Image.new("RGB", (56, 28), (number * 9, 0, 0)).save(frames / f"{number:05}.jpg")
    return folder


def tempcompass_(folder):
    asked = {
        tempcompass.MULTI_CHOICE: ("Where to?\nA. up\nB. down\n C. away", "C. away"),
        tempcompass.YES_NO: ("Is it up?", "no"),
        tempcompass.MATCHING: (
            "Which fits?\nCaption A: It goes up.\nCaption B: It goes down.",
            "Caption B: It goes down.",
        ),
        tempcompass.CAPTIONING: (
            "Write a caption.\nInformation A: {'subject': 'ball', 'direction': 'up'}\n"
            "Information B: {'subject': 'ball', 'direction': 'down'}\nGenerated Caption:",
            "B. down",
        ),
    }
    for kind, (question, answer) in asked.items():
        rows = [{"question": question, "answer": answer}] * 2
        put_json(folder / "questions" / f"{kind}.json", {"77": {"direction": rows}})
    return put_clips(folder, "videos/77.mp4")


def videomme_rows():
    common = {
        "video_id": "001",
        "domain": "Knowledge",
        "sub_category": "Law",
        "url": "https://www.youtube.com/watch?v=aB-1",
        "videoID": "aB-1",
        "task_type": "OCR Problems",
        "question": "What is written?",
        "options": ["A. One.", "B. Two.", "C. Three.", "D. Four."],
        "answer": "D",
    }
    return [
        common | {"question_id": f"001-{number}", "duration": length}
        for number, length in enumerate(("short", "medium", "long"), 1)
    ]


def videommev2(folder):
    row = {
        "video_id": "001",
        "group_type": "logic",
        "group_structure": "[1, [2, 3], 4]",
        "second_head": "Order",
        "third_head": None,
        "question": "What comes next?",
        "options": "\n".join(f"{letter}. part {letter}" for letter in "ABCDEFGH"),
        "answer": "H",
    }
    levels = (1, "2", "None", None)
    rows = [row | {"question_id": f"001-{n}", "level": x} for n, x in enumerate(levels, 1)]
    put_lines(folder / "test.jsonl", rows)
    return put_clips(folder, "videos/001.mp4")


def videoholmes(folder):
    row = {
        "video ID": "aB-1",
        "Question Type": "TCI",
        "Question": "Why was the man trapped?",
        "Options": {letter: f"reason {letter}" for letter in "ABCDEF"},
        "Answer": "C",
        "Explanation": "",
    }
    rows = [row | {"Question ID": number} for number in (1, 2)]
    rows.append(row | {"Question ID": 1, "video ID": "x", "Question Type": "SR"})
    put_json(folder / "Benchmark" / "test_Video-Holmes.json", rows)
    return put_clips(folder, *(f"Benchmark/videos_cropped/{name}.mp4" for name in ("aB-1", "x")))


def text_(folder):
    rows = [
        {"id": "a", "question": "Which?", "options": ["red", "blue"], "answer": "B", "task": "k"},
        {"id": "b", "question": "How many?", "answer": "3", "task": "n"},
        {"id": "c", "question": "Who?", "options": ["A. he", "B. she"], "answer": "A", "task": "k"},
    ]
    put_lines(folder / "text.jsonl", rows)
    return folder


def videomme(folder):
    put_lines(folder / "test.jsonl", videomme_rows())
    subtitles = folder / "subtitle" / "aB-1.srt"
    subtitles.parent.mkdir()
    subtitles.write_text("1\n00:00:00,000 --> 00:00:00,400\nhere\n")
    return put_clips(folder, "data/aB-1.mp4")
