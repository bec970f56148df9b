"""Embedded checkpoints: small; the first is right about its clip and the same to transformers."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import vreason_jax
from vreason_jax import embedded
from vreason_jax.convert.conversion import convert
from vreason_jax.embedded import ASSETS, CHECKPOINT, CLIP, embedded_question
from vreason_jax.families.registry import read_model_config
from vreason_jax.model.windows import frame_plan
from vreason_jax.runtime.checkpoint import load_arrays, load_model
from vreason_jax.shapes import KINDS
from vreason_jax.shapes.sample import sample_text
from vreason_jax.training.batches import BatchMaker
from vreason_jax.training.config import TrainConfig
from vreason_jax.training.loss import Batch, reply_logits
from vreason_jax.video.patches import Patches

FILES = {
    *("config.json", "model.safetensors", "generation_config.json", "README.md"),
    *("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"),
    *("chat_template.json", "preprocessor_config.json", "video_preprocessor_config.json"),
}


@pytest.fixture(params=embedded.CHECKPOINTS)
def folder(request):
    return embedded.CHECKPOINTS[request.param]


def test_a_folder_is_small_and_has_what_transformers_reads(folder):
    names = {file.name for file in folder.iterdir()}
    assert names >= FILES, FILES - names
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 3 * 2**20


def test_it_answers_the_question_about_its_clip():
    reasoner = vreason_jax.load()
    answer = reasoner.generate(str(CLIP), embedded_question())
    record = json.loads((ASSETS / "clip.json").read_text())
    right = next(o[3:] for o in record["options"] if o.startswith(record["answer"]))
    assert answer.answer == right
    assert len(answer.trace["entropy"]) >= 120 and any(answer.trace["updated"])


def test_hf_to_orbax_to_hf_is_byte_identical_in_every_tensor(folder, tmp_path):
    convert(folder, tmp_path / "orbax", None, warn=pytest.fail)
    convert(tmp_path / "orbax", tmp_path / "hf", None, warn=pytest.fail)
    config = read_model_config(folder)
    first, second = (load_arrays(f, config, None)[1] for f in (folder, tmp_path / "hf"))
    assert first.keys() == second.keys()
    for path in first:
        one, two = np.asarray(first[path]), np.asarray(second[path])
        assert (one.dtype, one.tobytes()) == (two.dtype, two.tobytes()), path


def test_transformers_loads_every_tensor_and_gives_the_same_logits():
    torch = pytest.importorskip("torch", reason="torch is absent: pip install '.[parity]'")
    from transformers import Qwen2_5_VLForConditionalGeneration

    theirs, loading = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        CHECKPOINT, dtype=torch.float32, output_loading_info=True
    )
    assert not any(loading[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    maker = BatchMaker(TrainConfig(), CHECKPOINT)
    texts = [sample_text("validation", index) for index in range(len(KINDS))]
    arrays = maker.assemble([(text, maker.example(text)) for text in texts])
    config = read_model_config(CHECKPOINT)
    model = load_model(CHECKPOINT, config, jnp.dtype("float32"))
    ours = np.asarray(reply_logits(model, Batch(**arrays), frame_plan(6, 8, config.vision)))
    pixels = [
        torch.tensor(Patches(clip.reshape(-1, 1176), (8, 6, 8)).normalised())
        for clip in arrays["pixels"]
    ]
    for row, start in enumerate(arrays["starts"]):
        with torch.no_grad():
            output = theirs(
                input_ids=torch.tensor(arrays["token_ids"][row, start:])[None].long(),
                position_ids=torch.tensor(arrays["positions"][row][:, None, start:]).long(),
                pixel_values_videos=pixels[row],
                video_grid_thw=torch.tensor([[8, 6, 8]]),
            )
        logits = output.logits[0].numpy()
        count = int(np.sum(arrays["weights"][row] > 0))
        first = logits.shape[0] - arrays["weights"].shape[1] - 1
        expected = logits[first : first + count]
        # float32 on both sides; the published bar is 1e-4 of the largest logit.
        assert np.abs(ours[row, :count] - expected).max() <= 1e-4 * np.abs(expected).max()
