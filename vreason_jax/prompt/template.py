"""The chat template of a checkpoint, which a process with limits renders (template_process.py)."""

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, one_line, shown
from vreason_jax.json_files import read_json
from vreason_jax.prompt.isolation import TEMPLATE, IsolationError, ask
from vreason_jax.prompt.tokenizer_files import NAMED_TOKENS, token_text
from vreason_jax.regular_files import read_text

# Stands for the user's text while the template renders, so that no template can change it.
# Characters of the private-use area: no template means them.
SLOT = "\ue000question\ue001"

# The common form, for folders that ship no usable template.
STANDARD_TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% else %}<|vision_start|><|{{ part.type }}_pad|><|vision_end|>{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class ChatTemplate:
    """A Jinja template; `source` names the file it comes from in messages.

    `notice` is a line for people where a file of the folder was passed over, else None.
    """

    def __init__(
        self,
        text: str,
        source: str,
        settings: dict[str, Any] | None = None,
        notice: str | None = None,
    ):
        self.source, self.notice = source, notice
        self._text, self._named_tokens = text, _named_tokens(settings or {})
        reply = self._reply(["video"])
        if reply.get("syntax"):
            raise self._broken(reply)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        settings: dict[str, Any] | None = None,
        standard: str = STANDARD_TEMPLATE,
    ) -> "ChatTemplate":
        """Returns the template of a checkpoint folder.

        In this order, which is that of transformers from 4.52 on: the one in processor_config.json,
        chat_template.json (of the published repositories), chat_template.jinja, the default in
        additional_chat_templates, the one in tokenizer_config.json (`settings`). From the third on
        it may be the tokenizer's, for text alone: one that shows no media is passed over. In the
        end stands `standard`, the family's own. Raises UserError for a broken file or template.
        """
        folder = Path(folder)
        for name in ("processor_config.json", "chat_template.json"):
            text = _default_template(read_json(folder / name).get("chat_template"), folder / name)
            if text is not None:
                return cls(text, str(folder / name), settings)
        passed_over = None
        for text, source in _templates_of_tokenizer(folder, settings or {}):
            template = cls(text, source, settings)
            if template._shows_media():
                return template
            passed_over = passed_over or source
        notice = f"{passed_over}: the chat template shows no media; the family's own form is used"
        return cls(standard, "the built-in template", notice=passed_over and notice)

    def render(self, kinds: Sequence[str]) -> str:
        """Returns the prompt text of one user turn: media of these kinds, then `SLOT`.

        Each medium ("video" or "image") is shown by a single pad token. Raises UserError if the
        template fails or loses the user's text.
        """
        reply = self._reply(kinds)
        rendered = reply.get("rendered")
        if rendered is None:
            raise self._broken(reply)
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

    def _reply(self, kinds: Sequence[str]) -> dict[str, Any]:
        parts = [{"type": kind, kind: ""} for kind in kinds] + [{"type": "text", "text": SLOT}]
        variables = {
            "messages": [{"role": "user", "content": parts}],
            "tools": None,
            "documents": None,
            "add_generation_prompt": True,
            **self._named_tokens,
        }
        return _render(json.dumps({"text": self._text, "variables": variables}))

    def _broken(self, reply: dict[str, Any]) -> UserError:
        where = f" (line {reply['line']})" if reply.get("line") else ""
        return UserError(f"chat template of {self.source} is broken{where}: {reply['error']}")


@functools.lru_cache(maxsize=256)
def _render(request: str) -> dict[str, Any]:
    """The reply of prompt/template_process.py, which is asked once for the same request."""
    try:
        return ask(TEMPLATE, json.loads(request))
    except IsolationError as error:
        return {"error": str(error)}


def _templates_of_tokenizer(folder: Path, settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The texts and sources of templates that transformers' tokenizers save."""
    for name in ("chat_template.jinja", "additional_chat_templates/default.jinja"):
        path = folder / name
        try:
            yield read_text(path), str(path)
        except FileNotFoundError:
            pass
        except (OSError, UnicodeDecodeError) as error:
            reason = one_line(getattr(error, "strerror", None) or error)
            raise UserError(f"{path}: cannot be read as a chat template: {reason}") from None
    path = folder / "tokenizer_config.json"
    text = _default_template(settings.get("chat_template"), path)
    if text is not None:
        yield text, str(path)


def _default_template(value: Any, source: Path) -> str | None:
    """The template itself, or of several named ones the one called default."""
    if isinstance(value, list):
        value = {t.get("name"): t.get("template") for t in value if isinstance(t, dict)}
    if isinstance(value, dict):
        value = value.get("default")
    if value is not None and not isinstance(value, str):
        raise UserError(f"{source}: expected chat_template to be text, got {shown(value)}")
    return value


def _named_tokens(settings: dict[str, Any]) -> dict[str, str]:
    """What templates call tokens by: the four names, and those that a file adds."""
    extra = settings.get("extra_special_tokens")
    names = {
        **(extra if isinstance(extra, dict) else {}),
        **{k: settings.get(k) for k in NAMED_TOKENS},
    }
    texts = {str(name): token_text(value) for name, value in names.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}
