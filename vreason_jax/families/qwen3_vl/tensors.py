"""The table of Qwen3-VL's tensors."""

from vreason_jax.families.tensors import decoder_rows, tower_rows
from vreason_jax.model.tensors import Row, linear_rows

_MLP, _HUB_MLP = "vision.blocks.*.mlp", "model.visual.blocks.*.mlp"


def _merger(path: str, name: str) -> tuple[Row, ...]:
    return (
        *linear_rows(f"{path}.norm", f"{name}.norm"),
        *linear_rows(f"{path}.fc1", f"{name}.linear_fc1"),
        *linear_rows(f"{path}.fc2", f"{name}.linear_fc2"),
    )


TENSORS = (
    *decoder_rows("model.language_model", qkv_bias=False, qk_norm=True),
    *tower_rows("model.visual", patch_bias=True, layer_norm=True),
    Row("vision.positions", "model.visual.pos_embed.weight"),
    *linear_rows(f"{_MLP}.fc1", f"{_HUB_MLP}.linear_fc1"),
    *linear_rows(f"{_MLP}.fc2", f"{_HUB_MLP}.linear_fc2"),
    *_merger("vision.merger", "model.visual.merger"),
    *_merger("vision.stacked.*", "model.visual.deepstack_merger_list.*"),
)
