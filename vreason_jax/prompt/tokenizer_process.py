"""Reads and uses the tokenizer of a folder in a process of its own, which the library may crash."""

from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError
from vreason_jax.prompt.isolation import serve
from vreason_jax.prompt.tokenizer_files import read_in_this_process

SAMPLE = "What is 12 + 3?\n<|im_start|> <|video_pad|> it's e\u0301 \u4f60\u597d  "


def try_out(request: dict[str, Any]) -> dict[str, Any]:
    """Returns an empty reply, or the `error` of a folder that cannot be read or used."""
    try:
        files = read_in_this_process(Path(request["folder"]))
        for tokenizer in (files.bpe, files.finder):
            for token_id in tokenizer.encode(SAMPLE, add_special_tokens=False).ids:
                tokenizer.id_to_token(token_id)
    except UserError as error:
        return {"error": str(error)}
    except BaseException as error:  # the library's: bare Exception, or a panic
        return {"error": f"{request['folder']}: the tokenizer cannot be used: {error!r:.200}"}
    return {}


if __name__ == "__main__":
    serve(try_out)
