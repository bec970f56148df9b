"""The chat template of a checkpoint, rendered in a sandbox as transformers renders it."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError
from vreason_jax.json_files import read_json
from vreason_jax.prompt.tokenizer_files import NAMED_TOKENS, token_text

# Stands for the user's text while the template renders, so that no template can change it.
# Characters of the private-use area: no template means them.
SLOT = "\ue000question\ue001"

# The form that Qwen2.5-VL was trained with, for folders that ship no usable template.
STANDARD_TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% else %}<|vision_start|><|{{ part.type }}_pad|><|vision_end|>{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class ChatTemplate:
    """A compiled Jinja template; `source` names the file it comes from in messages."""

    def __init__(self, text: str, source: str, settings: dict[str, Any] | None = None):
        self.source = source
        named = {key: token_text((settings or {}).get(key)) for key in NAMED_TOKENS}
        self._named_tokens = {key: text for key, text in named.items() if text is not None}
        try:
            self._template = _environment().from_string(text)
        except Exception as error:
            raise self._broken(error) from None

    @classmethod
    def load(cls, folder: str | Path, settings: dict[str, Any] | None = None) -> "ChatTemplate":
        """Returns the template of a checkpoint folder.

        In this order: chat_template.json (the multimodal one of the published repositories),
        chat_template.jinja, the one in tokenizer_config.json (`settings`) if it shows media, and
        else Qwen2.5-VL's standard form. Raises UserError for a broken file or template.
        """
        folder = Path(folder)
        text = _text_of_files(folder)
        if text is not None:
            return cls(*text, settings)
        source = folder / "tokenizer_config.json"
        text = _default_template((settings or {}).get("chat_template"), source)
        if text is not None:
            template = cls(text, str(source), settings)
            if template._shows_media():
                return template
        return cls(STANDARD_TEMPLATE, "the built-in template")

    def render(self, kinds: Sequence[str]) -> str:
        """Returns the prompt text of one user turn: media of these kinds, then `SLOT`.

        Each medium ("video" or "image") is shown by a single pad token. Raises UserError if the
        template fails or loses the user's text.
        """
        parts = [{"type": kind, kind: ""} for kind in kinds] + [{"type": "text", "text": SLOT}]
        messages = [{"role": "user", "content": parts}]
        try:
            rendered = self._template.render(
                messages=messages, add_generation_prompt=True, **self._named_tokens
            )
        except Exception as error:
            raise self._broken(error) from None
        if rendered.count(SLOT) != 1:
            raise UserError(
                f"chat template of {self.source}: expected it to show the user's text once, it "
                f"does so {rendered.count(SLOT)} times"
            )
        return rendered

    def _shows_media(self) -> bool:
        try:
            rendered = self.render(["video", "image"])
        except UserError:
            return False
        return 0 <= rendered.find("<|video_pad|>") < rendered.find("<|image_pad|>")

    def _broken(self, error: Exception) -> UserError:
        line = getattr(error, "lineno", None)
        where = f" (line {line})" if line else ""
        reason = " ".join(str(error).split()) or type(error).__name__
        return UserError(f"chat template of {self.source} is broken{where}: {reason}")


def _environment() -> Any:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _text_of_files(folder: Path) -> tuple[str, str] | None:
    path = folder / "chat_template.json"
    text = _default_template(read_json(path).get("chat_template"), path)
    if text is not None:
        return text, str(path)
    path = folder / "chat_template.jinja"
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a chat template: {error}") from None


def _default_template(value: Any, source: Path) -> str | None:
    """The template itself, or of a list of named ones the one called default."""
    if isinstance(value, list):
        named = [t for t in value if isinstance(t, dict)]
        value = next((t.get("template") for t in named if t.get("name") == "default"), None)
    if value is not None and not isinstance(value, str):
        raise UserError(f"{source}: expected chat_template to be text, got {value!r:.60}")
    return value


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    """Like transformers' filter: plain JSON, without Jinja's escapes for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise_exception(message: str) -> None:
    raise ValueError(message)
