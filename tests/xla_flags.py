"""The flags of XLA under which tests compile, in the suite's process and in others."""

from importlib.metadata import version


def quick(devices: int = 1) -> str:
    """Returns XLA_FLAGS for so many fake devices.

    Compiling is what the suite spends its time on: what makes programs fast is left out, and a
    program is compiled in one piece, as its workers share the cores already.
    """
    flags = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
    if devices > 1:
        flags.append(f"--xla_force_host_platform_device_count={devices}")
    if version("jaxlib").startswith("0.10."):  # a later one ends at a flag that it does not know
        flags.append("--xla_cpu_use_fusion_emitters=false")
    return " ".join(flags)
