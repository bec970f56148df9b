"""The exception for what a user can mend, and the words and values in its messages."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

LONGEST_VALUE = 80  # characters of a value in a message
LONGEST_REASON = 300  # characters of what a library says
_LONGEST_WORD = 200  # characters that are compared with the known ones


class UserError(Exception):
    """The user's input is wrong; the message says what was expected, what came, and what to do.

    The command lines print it as the last line of stderr and exit with code 2.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns "; the nearest known one is ..." for a mistyped word, or "" if no word is known."""
    known = list(known)
    same = [name for name in known if name.rpartition(".")[2] == word]  # a key without its table
    match = same or difflib.get_close_matches(word[:_LONGEST_WORD], known, n=1, cutoff=0.0)
    return f"; the nearest known one is {match[0]!r}" if match else ""


def check_known(flag: str, word: str, known: Sequence[str]) -> None:
    """Raises UserError, which begins with `flag`, for a word that is none of those known."""
    if word not in known:
        names = ", ".join(known)
        raise UserError(f"{flag}: expected one of {names}, got {shown(word)}{nearest(word, known)}")


def shown(value: Any) -> str:
    """Returns a value's Python literal with control characters escaped, cut to 80 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested deeply, or a number of very many digits
        text = f"a value too long to show ({type(value).__name__})"
    return _cut(_printable(text), LONGEST_VALUE)


def one_line(reason: Any, longest: int = LONGEST_REASON) -> str:
    """Returns a library's exception or text as one printable line, cut to `longest` characters."""
    # Of a very long text the beginning is enough.
    text = " ".join(str(reason)[: 10 * longest].split())
    return _cut(_printable(text) or type(reason).__name__, longest)


def reason_of(error: Exception) -> str:
    """Returns in one line why a file cannot be read, without its name where the system says so."""
    return one_line(getattr(error, "strerror", None) or error)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
