"""Where a checkpoint lies: a folder, in the package, or on the Hugging Face Hub."""

import re
from pathlib import Path

from vreason_jax import embedded
from vreason_jax.errors import UserError, one_line, shown

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# Weights without code, tokenizer, template and configs: no Python file, no pickle.
COMPANIONS = ("*.json", "*.txt", "*.jinja", "additional_chat_templates/*.jinja")
_WANTED = ("*.safetensors", *COMPANIONS)


def resolve_model_folder(name_or_dir: str | Path | None) -> Path:
    """Returns the folder of a checkpoint: an existing one, one of the package, or one of the Hub.

    None is the package's first one. The network is only asked for a name of neither of the others.
    Raises UserError when it is nowhere.
    """
    if name_or_dir is None:
        return embedded.CHECKPOINT
    name = str(name_or_dir)
    try:
        folder = Path(name_or_dir).expanduser()
        if folder.is_dir():
            return folder
        is_file = folder.exists()
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, of nobody, with a NUL
        raise UserError(
            f"expected a checkpoint folder or a hub id, got {shown(name)}: {one_line(error)}"
        ) from None
    if is_file:
        raise UserError(f"{name}: expected a checkpoint folder, got a file")
    if name in embedded.CHECKPOINTS:
        return embedded.CHECKPOINTS[name]
    if not _HUB_NAME.fullmatch(name):
        raise UserError(f"{name}: expected a checkpoint folder or a hub id, found no such folder")
    return _download(name)


def _download(name: str) -> Path:
    # Imported on use: most runs ask no hub, and it takes a while.
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_WANTED)))
    except Exception as error:  # its own, the HTTP client's or the system's, depending on release
        raise UserError(
            f"{name}: no such folder, and fetching it from the Hub failed: {one_line(error)}"
        ) from None
