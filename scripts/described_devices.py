"""Devices that are described, not there: programs compile for them, and cannot run."""

import os

import jax
from jax.experimental import topologies

from vreason_jax.errors import UserError
from vreason_jax.planning.devices import parse_devices
from vreason_jax.planning.programs import described

# XLA's GpuTargetConfigProto of an H100 SXM, as that device tells it.
_H100 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84978434048
  shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def described_devices(name: str) -> list[jax.Device]:
    """Returns the devices of a TPU slice, such as v5e-4 or v5e:2x2, or of `h100:N`.

    TPUs need libtpu (the extra `tpu`), GPUs the CUDA plugin of JAX (`cuda`), but no driver. Raises
    UserError for others, and where what they need is absent.
    """
    devices = parse_devices(name)
    if devices.name == "h100":
        return _h100s(devices.count)
    if not devices.kind.is_tpu:
        raise UserError(f"--device {name}: expected a TPU slice or h100:N")
    return described(devices)


def _h100s(count: int) -> list[jax.Device]:
    # JAX describes TPUs by its public interface alone.
    import jaxlib._jax
    from jax._src import xla_bridge

    os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"
    xla_bridge._discover_and_register_pjrt_plugins()
    if "cuda" not in xla_bridge._backend_factories:
        raise UserError("--device h100: needs JAX's CUDA plugin: pip install -e .[cuda]")
    plugin = xla_bridge._backend_factories["cuda"].c_api
    options = {"target_config": _H100, "topology": f"1x1x{count}"}
    topology = jaxlib._jax.get_c_api_topology(plugin, "h100", options)
    return list(topologies.TopologyDescription(topology._make_compile_only_devices()).devices)
