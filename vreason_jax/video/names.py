"""Names of files: their natural order, and finding one that is written in another Unicode form."""

import os
import re
import unicodedata
from pathlib import Path
from typing import Any

_DIGITS = re.compile("([0-9]+)")


def natural_key(name: str) -> tuple[Any, ...]:
    """Returns a sort key by which numbers in names count as numbers: 2 before 10, 02 beside 2.

    Case and Unicode form do not count, unless nothing else differs.
    """
    parts = _DIGITS.split(same_form(name).casefold())
    # Odd places hold digits, so equal places always compare alike.
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def same_form(name: str) -> str:
    """Returns a name in the composed Unicode form (NFC), in which names are compared."""
    return unicodedata.normalize("NFC", name)


def existing_path(path: str | os.PathLike[str]) -> Path:
    """Returns the path that is there, each part of it in the Unicode form it has on the disk.

    Where nothing is there in any form, `path` itself comes back.
    """
    path = Path(path)
    if os.path.lexists(path) or same_form(str(path)).isascii():
        return path
    found = Path(path.anchor)
    for part in path.parts[1:] if path.anchor else path.parts:
        if not os.path.lexists(found / part):
            try:
                twins = [name for name in os.listdir(found) if same_form(name) == same_form(part)]
            except OSError:
                return path
            if len(twins) != 1:
                return path
            part = twins[0]
        found /= part
    return found
