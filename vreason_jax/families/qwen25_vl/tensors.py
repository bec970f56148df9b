"""The table of Qwen2.5-VL's tensors."""

from vreason_jax.families.tensors import decoder_rows, gate_up_rows, tower_rows
from vreason_jax.model.tensors import Row, linear_rows

_MLP, _HUB_MLP = "vision.blocks.*.mlp", "visual.blocks.*.mlp"

TENSORS = (
    *decoder_rows("model", qkv_bias=True, qk_norm=False),
    *tower_rows("visual", patch_bias=False, layer_norm=False),
    *gate_up_rows(_MLP, _HUB_MLP, "weight"),
    *gate_up_rows(_MLP, _HUB_MLP, "bias"),
    *linear_rows(f"{_MLP}.down", f"{_HUB_MLP}.down_proj"),
    Row("vision.merger.norm.weight", "visual.merger.ln_q.weight"),
    *linear_rows("vision.merger.fc1", "visual.merger.mlp.0"),
    *linear_rows("vision.merger.fc2", "visual.merger.mlp.2"),
)
