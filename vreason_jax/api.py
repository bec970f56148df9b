"""The Python interface: load a checkpoint once, then ask it about videos."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from vreason_jax.config import RunConfig, load_config
from vreason_jax.engine import Checkpoint, Engine
from vreason_jax.inputs import Prepared, as_question
from vreason_jax.runtime import compilation
from vreason_jax.session import Answer, Session
from vreason_jax.settings import apply_overrides


def load(
    model: str | Path | None = None,
    config: str | Path | RunConfig | None = None,
    mesh: str | None = None,
    **overrides: Any,
) -> "Reasoner":
    """Returns a Reasoner with the weights on the devices.

    Args:
      model: a folder in HF layout or a converted one, a hub id, or None for the embedded one.
      config: a RunConfig, a name of `configs/` or a TOML path; None is V-Reason.
      mesh: such as "data=1,model=4"; None puts all devices on `model` where the model allows.
      overrides: config keys with two underscores for the dot: controller__every=8.

    Raises UserError for a wrong checkpoint, config or mesh.
    """
    keys = {name.replace("__", "."): value for name, value in overrides.items()}
    if isinstance(config, RunConfig):
        run = apply_overrides(config, keys)
    else:
        run = load_config(str(config or "vreason"), keys)
    return Reasoner(Engine(Checkpoint.open(model, run), mesh))


class Reasoner:
    """Answers questions about videos with one model. Made by `load`."""

    def __init__(self, engine: Engine):
        """Answers with the model of `engine`, under its checkpoint's run config."""
        self.engine = engine

    def generate(self, video: Any, prompt: str) -> Answer:
        """Returns the answer to `prompt` about `video`.

        `video` is a path (a file, or a folder of frames), (frames uint8 [F, h, w, 3], fps), a list
        of these, or None; a path with an image's suffix is an image. Raises UserError.
        """
        return self.generate_batch([(video, prompt)])[0]

    def generate_batch(self, questions: Sequence[tuple[Any, str]]) -> list[Answer]:
        """Returns the answers to (video, prompt) pairs, decoded together; each as if alone."""
        if not questions:
            return []
        clock = compilation.CompileClock()
        with clock, clock.stage("video"):
            rows = [self._prepare(*pair) for pair in questions]
        return Session(self.engine, rows, clock).finish()

    def stream(self, video: Any, prompt: str) -> Generator[str, None, Answer]:
        """Yields the answer's text in pieces as it is decoded, and returns the Answer."""
        clock = compilation.CompileClock()
        with clock, clock.stage("video"):
            row = self._prepare(video, prompt)
        session = Session(self.engine, [row], clock)
        yield from session.pieces()
        return session.finish()[0]

    def _prepare(self, video: Any, prompt: str) -> Prepared:
        return self.engine.checkpoint.prepare(as_question(video, prompt))
