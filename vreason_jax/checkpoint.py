"""A checkpoint folder opened as far as preparing a question needs: no weights yet."""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

from vreason_jax.config import ModelOptions, RunConfig, SamplingConfig, steered_layers
from vreason_jax.errors import UserError, shown
from vreason_jax.families.registry import family_of, read_model_config
from vreason_jax.json_files import read_json
from vreason_jax.model.config import ModelConfig
from vreason_jax.prompt.chat import (
    QUESTION,
    Prompt,
    build_prompt,
    check_question,
    read_wrapping,
)
from vreason_jax.prompt.positions import Medium
from vreason_jax.prompt.tokenizer import PromptTokenizer
from vreason_jax.questions import ImageFile, Media, Prepared, Question, Source, VideoArray
from vreason_jax.runtime.hub import resolve_model_folder
from vreason_jax.runtime.memory import check_cache
from vreason_jax.settings import apply_overrides
from vreason_jax.video.patches import Patches, patch_times, patchify, second_per_grid
from vreason_jax.video.preprocessing import Preprocessing
from vreason_jax.video.reader import Clip, clip_from_array, read_image, read_video
from vreason_jax.video.sampling import Segment

LAST_POSITION = 2**30  # on the time axis: int32 has room for the words behind it
SLOWEST = 1e-9  # frames a second
# What generation_config.json says of sampling, under transformers' names, which are ours.
SAMPLED = (
    "temperature", "top_k", "top_p", "min_p", "top_h", "repetition_penalty", "presence_penalty",
)  # fmt: skip
_USUAL = SamplingConfig()
_SAMPLES = {"temperature": 1.0, "top_k": 50}  # transformers' defaults, of a folder that samples


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a folder says of the model, its tokenizer and how media are prepared for it."""

    folder: Path
    config: ModelConfig
    tokenizer: PromptTokenizer
    preprocessing: Preprocessing

    @classmethod
    def open(cls, model: str | Path | None) -> "Checkpoint":
        """Returns the opened checkpoint of that folder or name, see `resolve_model_folder`."""
        folder = resolve_model_folder(model)
        config = read_model_config(folder)
        family = family_of(config)
        tokenizer = PromptTokenizer.load(folder, family.prompt.template)
        try:
            tokenizer.ids.check_below(config.text.vocabulary)
        except UserError as error:
            raise UserError(f"{folder}: {error}") from None
        preprocessing = Preprocessing.read(folder, config.geometry, family.media)
        return cls(folder, config, tokenizer, preprocessing)

    def dtype(self, options: ModelOptions) -> jnp.dtype:
        """What the weights are run in: the config's, else float32 on a CPU, else the files'."""
        if options.dtype is not None:
            return jnp.dtype(options.dtype)
        return jnp.dtype("float32" if jax.default_backend() == "cpu" else self.config.dtype)

    def sampled(self, run: RunConfig, given: Collection[str]) -> RunConfig:
        """Returns the run with the folder's own sampling, where `sampling.source` asks for it.

        The keys `given` ("sampling.temperature") stay as they are, and so does what is not at its
        default. A folder that does not sample is greedy; one that does has the defaults of
        transformers for what it leaves out. Raises UserError for a folder that says nothing, or
        nothing that can be.
        """
        if run.sampling.source != "checkpoint":
            return run
        path = self.folder / "generation_config.json"
        said = read_json(path)
        if not said:
            raise UserError(
                f"sampling.source: expected generation_config.json in {self.folder}, found none; "
                "leave sampling.source out"
            )
        said = {key: value for key, value in said.items() if value is not None}
        if said.get("do_sample", False):
            said = {**_SAMPLES, **said}
        else:
            said = {**said, "temperature": 0.0}
        free = [key for key in SAMPLED if getattr(run.sampling, key) == getattr(_USUAL, key)]
        values = {f"sampling.{key}": said[key] for key in free if key in said}
        try:
            return apply_overrides(run, {k: v for k, v in values.items() if k not in given})
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def config_of(self, options: ModelOptions) -> ModelConfig:
        """The model as it is run: with int8 weights, where they are asked for."""
        text = dataclasses.replace(self.config.text, int8=options.weights == "int8")
        return dataclasses.replace(self.config, text=text)

    def prepare(self, question: Question, run: RunConfig) -> Prepared:
        """Returns the question ready for the model; raises UserError for what cannot be read."""
        check_question(question.text)  # words are cheaper to check than clips
        read_wrapping(run.prompt.template)
        return self.ask(self.read(question.media, run), question, run)

    def read(
        self,
        sources: Sequence[Source],
        run: RunConfig,
        change: Callable[[Clip], Clip] | None = None,
    ) -> Media:
        """Returns media as clips and patches; raises UserError for what cannot be read.

        `change` makes of every clip the one that the model is shown.
        """
        clips = tuple(self._clip(source, run) for source in sources)
        if change is not None:
            clips = tuple(map(change, clips))
        return Media(clips, tuple(map(self._cut, clips)))

    def ask(self, media: Media, question: Question, run: RunConfig) -> Prepared:
        """Returns the question about media that have been read; raises UserError as `prepare`."""
        steered_layers(run.controller.placement, self.config.text.layers)
        shown = list(map(self._medium, media.clips, media.patches))
        prompt = self.prompt(shown, question, run)
        self._check_embedded(prompt)
        return Prepared(question, media, prompt)

    def prompt(self, media: Sequence[Medium], question: Question, run: RunConfig) -> Prompt:
        """Returns the prompt of the question's words about `media`; raises UserError as `ask`."""
        wrapping = read_wrapping(run.prompt.template)
        return build_prompt(
            self.tokenizer,
            media,
            question.text,
            wrapping=wrapping.replace(QUESTION, question.wrapping),
            position_rule=run.model.position_rule,
            tokens_per_second=self.config.tokens_per_second,
            form=family_of(self.config).prompt,
            config=run.prompt,
        )

    def _medium(self, clip: Clip, cut: Patches) -> Medium:
        """Returns the medium of a clip; raises UserError where its time is beyond all positions."""
        geometry, rate = self.config.geometry, self.config.tokens_per_second
        grid = geometry.token_grid(cut.grid)
        if clip.reader == "image":
            return Medium("image", grid)
        seconds = second_per_grid(clip, geometry)
        if rate is not None and grid[0] * seconds * rate >= LAST_POSITION:
            raise UserError(
                f"{clip.path or 'video'}: expected a clip of less than "
                f"{LAST_POSITION / rate:.3g} seconds, got frames at "
                f"{clip.fps:.3g} a second; give its right rate (--fps)"
            )
        return Medium("video", grid, seconds, patch_times(clip, geometry))

    def check_memory(self, run: RunConfig, questions: Sequence[Prepared], samples: int = 1) -> None:
        """Raises UserError where the answers, asked at once, cannot even begin in all memory."""
        check_cache(
            self.config,
            self.dtype(run.model).itemsize,
            prompt=max(len(question.prompt.token_ids) for question in questions),
            tokens=run.sampling.max_new_tokens,
            rows=len(questions) * samples,
        )

    def _check_embedded(self, prompt: Prompt) -> None:
        """Raises UserError for a token of which the model has no embedding."""
        highest, rows = int(prompt.token_ids.max()), self.config.text.vocabulary
        if highest >= rows:
            text = self.tokenizer.decode([highest], skip_special_tokens=False)
            raise UserError(
                f"{self.folder}: the tokenizer gives {shown(text)} the id {highest}, beyond the "
                f"vocab_size {rows} of config.json; use the files that belong to the checkpoint"
            )

    def _clip(self, source: Source, run: RunConfig) -> Clip:
        if isinstance(source, ImageFile):
            return read_image(source.path, self.preprocessing.image_sizing)
        if 0 < source.fps < SLOWEST:
            raise UserError(f"fps: expected {SLOWEST:g} frames a second or more, got {source.fps}")
        sizing = self.preprocessing.video_sizing(run.video)
        if isinstance(source, VideoArray):
            return clip_from_array(source.frames, source.fps, run.video, sizing)
        segment = Segment(source.start, source.end)
        return read_video(source.path, run.video, sizing, folder_fps=source.fps, segment=segment)

    def _cut(self, clip: Clip) -> Patches:
        kinds = self.preprocessing
        kind = kinds.image if clip.reader == "image" else kinds.video
        return patchify(clip.frames, self.config.geometry, kind.normalization)
