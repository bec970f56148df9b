"""A checkpoint opened, and its model on the devices: what every answer needs."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vreason_jax import inputs as inputs_lib
from vreason_jax.config import RunConfig
from vreason_jax.inputs import Media, Prepared, Question, Source
from vreason_jax.model.config import ModelConfig, read_model_config
from vreason_jax.prompt.tokenizer import PromptTokenizer
from vreason_jax.runtime import compilation
from vreason_jax.runtime.checkpoint import load_model
from vreason_jax.runtime.hub import resolve_model_folder
from vreason_jax.runtime.mesh import create_mesh

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

    def read(self, sources: Sequence[Source]) -> Media:
        """Returns media that several questions may be asked about."""
        return inputs_lib.read_media(sources, self.run, self.folder)

    def ask(self, media: Media, question: Question) -> Prepared:
        """Returns the question about media that have been read already."""
        return inputs_lib.ask_about(
            media, question, self.run, self.tokenizer, self.config.tokens_per_second
        )

    @property
    def dtype(self) -> jnp.dtype:
        """What the weights are run in: the config's, else float32 on a CPU, else the files'."""
        if self.run.model.dtype is not None:
            return jnp.dtype(self.run.model.dtype)
        return jnp.dtype("float32" if jax.default_backend() == "cpu" else self.config.dtype)


class Engine:
    """The model of a checkpoint on the devices, and what loading it took and said."""

    def __init__(
        self, checkpoint: Checkpoint, mesh: str | Mesh | None = None, warn: Warn = lambda line: None
    ):
        """Loads the weights; `warn` takes lines for people, `mesh` is one, or that of `--mesh`."""
        self.checkpoint = checkpoint
        self.load_warnings: list[str] = []
        self.warn = warn
        compilation.enable_cache(self._warn_of_loading)
        with compilation.CompileClock() as clock, clock.stage("load"):
            self.mesh = mesh if isinstance(mesh, Mesh) else create_mesh(mesh, checkpoint.config)
            self.model = load_model(
                checkpoint.folder,
                checkpoint.config,
                checkpoint.dtype,
                self.mesh,
                warn=self._warn_of_loading,
            )
            jax.block_until_ready(self.model)
        self.load_seconds, self.compile_seconds = clock.stages["load"], clock.seconds

    def _warn_of_loading(self, line: str) -> None:
        self.load_warnings.append(line)
        self.warn(line)
