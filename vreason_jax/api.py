"""The Python interface: load a checkpoint once, then ask it about videos."""

import dataclasses
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from vreason_jax import inputs as inputs_lib
from vreason_jax.config import RunConfig, apply_overrides, load_config
from vreason_jax.inputs import Prepared, Question
from vreason_jax.model.config import ModelConfig, read_model_config
from vreason_jax.prompt.tokenizer import PromptTokenizer
from vreason_jax.runtime import compilation
from vreason_jax.runtime.checkpoint import load_model
from vreason_jax.runtime.hub import resolve_model_folder
from vreason_jax.runtime.mesh import create_mesh
from vreason_jax.session import Answer, Session

Warn = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder opened as far as preparing a question needs: no weights yet."""

    folder: Path
    config: ModelConfig
    tokenizer: PromptTokenizer
    run: RunConfig

    @classmethod
    def open(cls, model: str | Path | None, run: RunConfig) -> "Checkpoint":
        """Returns the opened checkpoint of a folder, a hub id, or (None) the embedded one."""
        if model is None:
            from vreason_jax.embedded import embedded_checkpoint

            model = embedded_checkpoint()
        folder = resolve_model_folder(model)
        return cls(folder, read_model_config(folder), PromptTokenizer.load(folder), run)

    def prepare(self, question: Question) -> Prepared:
        """Returns the question with its media read and its prompt built."""
        return inputs_lib.prepare(
            question, self.run, self.folder, self.tokenizer, self.config.tokens_per_second
        )

    @property
    def dtype(self) -> jnp.dtype:
        """What the weights are run in: the config's, else float32 on a CPU, else the files'."""
        if self.run.model.dtype is not None:
            return jnp.dtype(self.run.model.dtype)
        return jnp.dtype("float32" if jax.default_backend() == "cpu" else self.config.dtype)


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
    return Reasoner(Checkpoint.open(model, run), mesh)


class Reasoner:
    """A model on the devices, and how it is to reason. Made by `load`."""

    def __init__(
        self, checkpoint: Checkpoint, mesh: str | None = None, warn: Warn = lambda line: None
    ):
        """Loads the weights; `warn` receives lines for people, `mesh` is as in `load`."""
        self.checkpoint = checkpoint
        self.load_warnings: list[str] = []
        self._warn = warn
        compilation.enable_cache(self._warn_of_loading)
        with compilation.CompileClock() as clock, clock.stage("load"):
            self.mesh = create_mesh(mesh, checkpoint.config)
            self.model = load_model(
                checkpoint.folder,
                checkpoint.config,
                checkpoint.dtype,
                self.mesh,
                warn=self._warn_of_loading,
            )
            jax.block_until_ready(self.model)
        self._load_seconds, self._load_compile = clock.stages["load"], clock.seconds

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
            rows = [self.checkpoint.prepare(inputs_lib.as_question(*pair)) for pair in questions]
        return Session(self, rows, clock).finish()

    def stream(self, video: Any, prompt: str) -> Generator[str, None, Answer]:
        """Yields the answer's text in pieces as it is decoded, and returns the Answer."""
        clock = compilation.CompileClock()
        with clock, clock.stage("video"):
            row = self.checkpoint.prepare(inputs_lib.as_question(video, prompt))
        session = Session(self, [row], clock)
        yield from session.pieces()
        return session.finish()[0]

    def warn(self, line: str) -> None:
        """Passes a line on to whoever listens."""
        self._warn(line)

    def _warn_of_loading(self, line: str) -> None:
        self.load_warnings.append(line)
        self.warn(line)
