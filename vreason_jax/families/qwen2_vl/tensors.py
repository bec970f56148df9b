"""The table of Qwen2-VL's tensors."""

from vreason_jax.families.tensors import decoder_rows, tower_rows
from vreason_jax.model.tensors import linear_rows

_MLP, _HUB_MLP = "vision.blocks.*.mlp", "visual.blocks.*.mlp"

TENSORS = (
    *decoder_rows("model", qkv_bias=True, qk_norm=False),
    *tower_rows("visual", patch_bias=False, layer_norm=True),
    *linear_rows(f"{_MLP}.fc1", f"{_HUB_MLP}.fc1"),
    *linear_rows(f"{_MLP}.fc2", f"{_HUB_MLP}.fc2"),
    *linear_rows("vision.merger.norm", "visual.merger.ln_q"),
    *linear_rows("vision.merger.fc1", "visual.merger.mlp.0"),
    *linear_rows("vision.merger.fc2", "visual.merger.mlp.2"),
)
