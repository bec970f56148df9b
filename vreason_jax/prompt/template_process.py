"""Renders a chat template, as transformers does, in a sandbox and a process of its own.

A template is a program of the checkpoint's author: it gets no attributes of Python objects that
matter, 8 seconds, 2 GiB and a million characters.
"""

import json
from datetime import datetime
from typing import Any, ClassVar

from jinja2 import TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vreason_jax.errors import one_line
from vreason_jax.prompt.isolation import serve

LONGEST_PROMPT = 10**6  # characters that a template may write


def render(request: dict[str, Any]) -> dict[str, Any]:
    """Returns what the template `text` writes with `variables`: `rendered`, or an `error`.

    An error has the `line` of the template or None, and whether it lies in the syntax.
    """
    try:
        template = _environment().from_string(request["text"])
        return {"rendered": _written(template, request["variables"])}
    except MemoryError:
        raise
    except Exception as error:
        return {
            "error": one_line(error),
            "line": getattr(error, "lineno", None),
            "syntax": isinstance(error, TemplateSyntaxError),
        }


def _written(template: Any, variables: dict[str, Any]) -> str:
    pieces, length = [], 0
    for piece in template.generate(**variables):
        pieces.append(piece)
        length += len(piece)
        if length > LONGEST_PROMPT:
            raise ValueError(f"it writes more than {LONGEST_PROMPT} characters")
    return "".join(pieces)


class GenerationTags(Extension):
    """`{% generation %} ... {% endgeneration %}` around what trainers learn from: no mark at all.

    As in transformers, what is set inside is not known outside.
    """

    tags: ClassVar[set[str]] = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        """Returns the block's contents in a scope of their own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", GenerationTags],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Like transformers' filter: plain JSON, without Jinja's escapes for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: str) -> None:
    raise ValueError(message)


if __name__ == "__main__":
    serve(render)
