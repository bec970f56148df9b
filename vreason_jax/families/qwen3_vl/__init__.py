"""Qwen3-VL, dense, in 2B, 4B, 8B and 32B, Instruct and Thinking."""

from vreason_jax.families.family import Family
from vreason_jax.families.qwen3_vl import config, prompt, published, small, tensors, tower
from vreason_jax.prompt.chat import PromptForm
from vreason_jax.video.patches import Normalization
from vreason_jax.video.preprocessing import MediaForm

HALVES = (0.5, 0.5, 0.5)

FAMILY = Family(
    name=config.NAME,
    read=config.read,
    tower=tower.Tower,
    tensors=tensors.TENSORS,
    media=MediaForm(
        normalization=Normalization(HALVES, HALVES),
        image=(64, 16384),
        unnamed_image=(64, 16384),
        clip=(4, 24576),
    ),
    prompt=PromptForm(prompt.TEMPLATE, prompt.lay_out, prompt.MARKS),
    classes={
        "model": "Qwen3VLForConditionalGeneration",
        "processor": "Qwen3VLProcessor",
        "image_processor": "Qwen2VLImageProcessorFast",
        "video_processor": "Qwen3VLVideoProcessor",
        "tokenizer": "Qwen2Tokenizer",
    },
    small=small.hf_values,
    published=published.MODELS,
)
