"""What a user plans for, what comes of it, and what to change where it does not fit."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vreason_jax.config import VideoConfig
from vreason_jax.engine.warm_up import Limits, time_marks
from vreason_jax.model.config import ModelConfig
from vreason_jax.planning.devices import Devices
from vreason_jax.planning.estimate import Load, Plan, estimate
from vreason_jax.runtime.mesh import LARGEST, mesh_sizes, shown_sizes
from vreason_jax.video.preprocessing import Preprocessing
from vreason_jax.video.resize import PixelLimits, Sizing, check_room
from vreason_jax.video.sampling import count_frames, max_frames_of

_ENDLESS = 2**31  # frames of a clip
_SHORTEST = 256  # tokens of an answer that is worth a run
_INT8 = "--weights int8 (--set model.weights=int8)"
_JAX_SHARE = 0.75  # of a GPU's memory, which JAX takes unless it is told


@dataclasses.dataclass(frozen=True)
class Request:
    """A model, devices, and questions that are asked at once."""

    model: str  # as the user names it
    config: ModelConfig
    devices: Devices
    sizing: Sizing
    frames: int
    max_new_tokens: int
    batch_size: int | None  # of `evaluate`, on each copy of the model; None: one of `generate`
    mesh: str | None = None

    @classmethod
    def of(cls, preprocessing: Preprocessing, video: VideoConfig, **settings) -> "Request":
        """Returns the request about clips that are read as `video` says.

        Raises UserError for clips that a run would refuse as well.
        """
        sizing = preprocessing.video_sizing(video)
        group = sizing.geometry.temporal_patch
        most = max_frames_of(video, group) if video.num_frames is None else _ENDLESS
        frames = count_frames(most, 1.0, video, group)
        side = math.isqrt(sizing.frame_limits(frames).max_pixels)
        check_room(frames, side, side)
        return cls(sizing=sizing, frames=frames, **settings)

    @property
    def sizes(self) -> dict[str, int]:
        """The mesh: the user's, or what these devices would choose."""
        devices = self.devices
        room, hosts = devices.kind.memory, devices.hosts
        return mesh_sizes(self.mesh, devices.count, self.config, hosts=hosts, room=room)

    @property
    def load(self) -> Load:
        """What is asked of the devices: clips of as many tokens as their frames can come to."""
        tokens = _video_tokens(self.frames, self.sizing)
        patches = math.ceil(self.frames / self.sizing.geometry.temporal_patch)
        return Load(
            tokens,
            self.max_new_tokens,
            rows=self.batch_size or 1,
            marks=time_marks(self.config, self.frames),
            frame_tokens=tokens // patches,
            kept=self.batch_size is not None,
        )

    def plan(self) -> Plan:
        """Returns what each device holds, and the bounds of speed."""
        return estimate(self.config, self.devices, self.sizes, self.load)

    def report(self) -> dict[str, Any]:
        """Returns the plan as plain values: what --json writes."""
        plan = self.plan()
        parts = "weights", "cache", "controller", "activations", "total", "limit"
        return {
            "model": self.model,
            "device": str(self.devices),
            "fits": plan.fits,
            "mesh": self.sizes,
            "per_device_bytes": {part: getattr(plan, part) for part in parts},
            "video_tokens": self.load.video_tokens,
            "bound": {
                "tokens_per_second": float(f"{plan.tokens_per_second:.4g}"),
                "first_token_seconds": float(f"{plan.first_token_seconds:.4g}"),
            },
            "advice": "; ".join(self._advice(plan)),
        }

    def _advice(self, plan: Plan) -> Iterator[str]:
        if not plan.fits:
            if changes := list(self._changes()):
                yield f"it fits with {' or '.join(changes)}"
            elif together := next(self._together(), None):
                yield f"no change alone makes it fit, but together do {together}"
            else:
                yield (
                    "at this length, these frames and these pixels no number of "
                    f"{self.devices.name} devices holds it"
                )
        elif not self.devices.kind.is_tpu and plan.total > _JAX_SHARE * self.devices.kind.memory:
            yield "set XLA_PYTHON_CLIENT_MEM_FRACTION=0.95: JAX takes 75 % of a GPU's memory"
        idle = self.devices.count - math.prod(self.sizes.values())
        if idle:
            yield f"{idle} of {self.devices.count} devices stay idle"

    def _changes(self) -> Iterator[str]:
        """Yields the least changes of single settings that make it fit."""
        replace = dataclasses.replace
        change = functools.partial(replace, self)
        meshes = (change(mesh=mesh) for mesh in self._other_meshes())
        fitting = (f"--mesh {shown_sizes(each.sizes)}" for each in meshes if each.plan().fits)
        yield from itertools.islice(fitting, 1)
        limits, geometry = self.sizing.limits, self.sizing.geometry
        low, high, group = limits.min_pixels, limits.max_pixels, geometry.temporal_patch
        for option, smaller, changed in (
            ("--batch-size", range(1, self.batch_size or 1), lambda n: change(batch_size=n)),
            ("--max-new-tokens", range(_SHORTEST, self.max_new_tokens),
             lambda n: change(max_new_tokens=n)),
            ("--num-frames", range(group, self.frames, group), lambda n: change(frames=n)),
            ("--max-pixels", range(low, high, geometry.token_pixels**2),
             lambda n: change(sizing=replace(self.sizing, limits=PixelLimits(low, n)))),
        ):  # fmt: skip
            largest = _largest(smaller, lambda n: changed(n).plan().fits)  # noqa: B023
            if largest is not None:
                yield f"{option} {largest}"
        slices = (change(devices=each, mesh=None) for each in self.devices.larger())
        fitting = (self._named(each.devices) for each in slices if each.plan().fits)
        yield from itertools.islice(fitting, 1)
        int8 = change(config=self._int8)
        if int8.config != self.config and int8.plan().fits:
            yield _INT8

    def _other_meshes(self) -> Iterator[str | None]:
        """Yields the default mesh, where another is asked for, and on one machine all others."""
        if self.mesh:
            yield None
        if self.devices.hosts == 1:  # where several are, every device must take part
            most = min(self.devices.count, LARGEST)
            yield from (f"model={n}" for n in range(most, 0, -1))

    def _together(self) -> Iterator[str]:
        """Yields changes of several settings that make one answer at a time fit."""
        for devices in (self.devices, *self.devices.larger()):
            for config in dict.fromkeys((self.config, self._int8)):
                batch = self.batch_size and 1
                one = dataclasses.replace(
                    self, devices=devices, mesh=None, batch_size=batch, config=config
                )
                if one.plan().fits:
                    changes = [self._named(devices)]
                    changes += ["--batch-size 1"] if batch else []
                    changes += [_INT8] if config != self.config else []
                    yield ", ".join(changes)

    def _named(self, devices: Devices) -> str:
        """Devices that the mesh of this request may not divide."""
        return f"{devices}{' without --mesh' if self.mesh else ''}"

    @property
    def _int8(self) -> ModelConfig:
        return dataclasses.replace(
            self.config, text=dataclasses.replace(self.config.text, int8=True)
        )


@functools.lru_cache(maxsize=256)
def _video_tokens(frames: int, sizing: Sizing) -> int:
    return Limits(frames, sizing, before=0, behind=0).video_tokens()[1]


def _largest(numbers: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """The largest of ascending numbers that fits, where whatever is smaller fits too."""
    low, high = 0, len(numbers)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if fits(numbers[middle]) else (low, middle)
    return numbers[low - 1] if low else None
