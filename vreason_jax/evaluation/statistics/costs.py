"""Decoding costs: seconds of each method, and the controller's share."""

import collections
import dataclasses
import resource
import sys
from collections.abc import Hashable, Mapping
from typing import Any

from vreason_jax.config import RunConfig

Shape = Hashable


def plain(run: RunConfig) -> RunConfig:
    """Returns the config with plain decoding, otherwise the same."""
    return dataclasses.replace(
        run, controller=dataclasses.replace(type(run.controller)(), objective="none")
    )


def controlled(run: RunConfig) -> bool:
    """Returns whether a method runs a controller."""
    return run.controller.objective != "none"


@dataclasses.dataclass
class _Spent:
    seconds: float = 0.0
    steps: int = 0  # tokens of the longest answer of each batch


class DecodeCosts:
    """Decoding seconds by method and shape, and those of plain decoding at the same shapes."""

    def __init__(self, methods: Mapping[str, RunConfig]):
        self._methods = methods
        self._spent: dict[tuple[str, Shape], _Spent] = collections.defaultdict(_Spent)
        self._plain: dict[tuple[RunConfig, Shape], _Spent] = collections.defaultdict(_Spent)

    def add(self, method: str, shape: Shape, seconds: float, steps: int) -> None:
        """Adds a batch that a method has answered."""
        spent = self._spent[method, shape]
        spent.seconds, spent.steps = spent.seconds + seconds, spent.steps + steps
        if not controlled(self._methods[method]):
            self.add_plain(method, shape, seconds, steps)

    def knows_plain(self, method: str, shape: Shape) -> bool:
        """Returns whether plain decoding in place of a method has been timed at a shape."""
        return self._plain[plain(self._methods[method]), shape].steps > 0

    def add_plain(self, method: str, shape: Shape, seconds: float, steps: int) -> None:
        """Adds a batch that was decoded plainly in place of a method."""
        spent = self._plain[plain(self._methods[method]), shape]
        spent.seconds, spent.steps = spent.seconds + seconds, spent.steps + steps

    def seconds(self) -> dict[str, float]:
        """Returns the decoding seconds by method."""
        totals = dict.fromkeys(self._methods, 0.0)
        for (method, _), spent in self._spent.items():
            totals[method] += spent.seconds
        return totals

    def controller_share(self) -> dict[str, float | None]:
        """Returns, by method, the seconds above plain decoding of as many tokens: an estimate.

        None for a method without a controller, or without an answer.
        """
        shares: dict[str, float | None] = dict.fromkeys(self._methods)
        for (method, shape), spent in self._spent.items():
            run = self._methods[method]
            base = self._plain[plain(run), shape]
            if controlled(run) and base.steps:
                above = spent.seconds - spent.steps * base.seconds / base.steps
                shares[method] = (shares[method] or 0.0) + above
        return shares


def peak_memory(devices: list[Any]) -> dict[str, int | None]:
    """Returns the most bytes that a device has held, None where none says, and this process's."""
    peaks = [(_stats(device) or {}).get("peak_bytes_in_use") for device in devices]
    known = [peak for peak in peaks if peak is not None]
    unit = 1 if sys.platform == "darwin" else 1024
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"peak_bytes": max(known) if known else None, "host_peak_bytes": host}


def _stats(device: Any) -> dict[str, Any] | None:
    try:
        return device.memory_stats()
    except (RuntimeError, NotImplementedError):
        return None
