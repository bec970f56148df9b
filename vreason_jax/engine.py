"""A checkpoint opened, and its model on the devices: what every answer needs."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vreason_jax import inputs as inputs_lib
from vreason_jax.config import RunConfig
from vreason_jax.errors import UserError
from vreason_jax.inputs import Media, Prepared, Question, Source
from vreason_jax.model.config import ModelConfig, read_model_config
from vreason_jax.model.qwen25_vl import Qwen25VL
from vreason_jax.model.vision import encode_media
from vreason_jax.model.windows import window_plan
from vreason_jax.prompt.tokenizer import PromptTokenizer
from vreason_jax.runtime import compilation
from vreason_jax.runtime.checkpoint import load_model
from vreason_jax.runtime.hub import resolve_model_folder
from vreason_jax.runtime.mesh import create_mesh, place_rows
from vreason_jax.video.patches import Patches
from vreason_jax.video.preprocessing import Preprocessing
from vreason_jax.video.reader import Clip

Warn = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder opened as far as preparing a question needs: no weights yet."""

    folder: Path
    config: ModelConfig
    tokenizer: PromptTokenizer
    preprocessing: Preprocessing
    run: RunConfig

    @classmethod
    def open(cls, model: str | Path | None, run: RunConfig) -> "Checkpoint":
        """Returns the opened checkpoint of a folder, a hub id, or (None) the embedded one."""
        if model is None:
            from vreason_jax.embedded import CHECKPOINT

            model = CHECKPOINT
        folder = resolve_model_folder(model)
        return cls(
            folder=folder,
            config=read_model_config(folder),
            tokenizer=PromptTokenizer.load(folder),
            preprocessing=Preprocessing.read(folder),
            run=run,
        )

    def prepare(self, question: Question) -> Prepared:
        """Returns the question with its media read and its prompt built."""
        return inputs_lib.prepare(
            question, self.run, self.preprocessing, self.tokenizer, self.config.tokens_per_second
        )

    def read(
        self, sources: Sequence[Source], change: Callable[[Clip], Clip] | None = None
    ) -> Media:
        """Returns media that several questions may be asked about, on wish changed once read."""
        return inputs_lib.read_media(sources, self.run, self.preprocessing, change)

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


class Replica:
    """A checkpoint's model on the devices of one mesh, and how it is run there."""

    def __init__(self, checkpoint: Checkpoint, model: Qwen25VL, mesh: Mesh):
        """Runs `model`, whose weights lie on `mesh`, with the rest of `checkpoint`."""
        self.checkpoint, self.model, self.mesh = checkpoint, model, mesh

    @contextlib.contextmanager
    def computing(self, advice: str) -> Iterator[None]:
        """Computes in the dtype's own precision; a lack of memory becomes a UserError.

        float32 means float32: without this, GPUs and TPUs multiply in fewer bits. `advice` says
        what does not fit and what to lower.
        """
        exact = self.checkpoint.dtype == jnp.float32
        with jax.default_matmul_precision("highest" if exact else "default"):
            try:
                yield
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                raise UserError(f"the device's memory is too small: {advice}") from None

    def encode(self, media: Sequence[Patches]) -> list[jax.Array]:
        """Returns the vision tower's embeddings [M, D] of media, in order.

        Neighbours with frames of one size go through the tower together, and share an array.
        """
        groups = itertools.groupby(media, key=lambda patches: patches.grid[1:])
        return [self._encode(list(group), *frame) for frame, group in groups]

    def _encode(self, media: Sequence[Patches], height: int, width: int) -> jax.Array:
        values = np.concatenate([patches.values for patches in media])
        values = values.reshape(-1, height * width, values.shape[-1])
        plan = window_plan(height, width, self.checkpoint.config.vision)
        return encode_media(self.model, place_rows(values, self.mesh, len(values)), plan)


class Engine(Replica):
    """A checkpoint loaded, and what loading it took and said."""

    def __init__(
        self, checkpoint: Checkpoint, mesh: str | Mesh | None = None, warn: Warn = lambda line: None
    ):
        """Loads the weights; `warn` takes lines for people, `mesh` is one, or that of `--mesh`."""
        self.load_warnings: list[str] = []
        self.warn = warn
        compilation.enable_cache(self._warn_of_loading)
        if checkpoint.tokenizer.template.notice:
            self._warn_of_loading(checkpoint.tokenizer.template.notice)
        with compilation.CompileClock() as clock, clock.stage("load"):
            devices = mesh if isinstance(mesh, Mesh) else create_mesh(mesh, checkpoint.config)
            model = load_model(
                checkpoint.folder,
                checkpoint.config,
                checkpoint.dtype,
                devices,
                verify=checkpoint.run.model.verify,
                warn=self._warn_of_loading,
            )
            jax.block_until_ready(model)
        super().__init__(checkpoint, model, devices)
        self.load_seconds, self.compile_seconds = clock.stages["load"], clock.seconds

    def _warn_of_loading(self, line: str) -> None:
        self.load_warnings.append(line)
        self.warn(line)
