"""The programs of a plan are those of a run; here they are lowered, for devices that are there."""

import jax
import pytest

from vreason_jax.embedded import CHECKPOINT
from vreason_jax.families.registry import read_model_config
from vreason_jax.planning import program_text, programs
from vreason_jax.planning.estimate import Load
from vreason_jax.runtime.mesh import create_mesh


@pytest.mark.skipif(jax.device_count() < 4, reason="needs 4 devices")
@pytest.mark.parametrize("tokens", [64, 1024])  # a prompt shorter than the longest piece, a longer
def test_prompts_of_any_length_are_read_into_caches_of_their_length(tokens):
    config, load = read_model_config(CHECKPOINT), Load(tokens, max_new_tokens=16, rows=2)
    mesh = create_mesh("data=2,model=2", config)
    caches = programs.lowered("prefill", "none", config, mesh, load).out_info
    assert {layer.values.shape for layer in (*caches.body, caches.last)} == {
        (2, 2, load.capacity, config.text.head_width)
    }


def test_what_is_fused_or_only_said_is_no_kernel():
    text = """
%fused_computation.1 (p: f32[8]) -> f32[8] {
  %multiply.1 = f32[8]{0} multiply(%p, %p)
}
ENTRY %main (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %fusion.1 = bf16[8,2]{1,0} fusion(%a), kind=kLoop, calls=%fused_computation.1
  ROOT %copy = f32[8]{0} copy(%fusion.1)
}
"""
    found = list(program_text.operations(text))
    assert found == [("bf16", (8, 2), "fusion"), ("f32", (8,), "copy")]
