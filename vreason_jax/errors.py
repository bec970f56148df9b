"""The one exception for what a user can mend: one line, exit code 2."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Wrong input: says in one line what was expected, what came, and what to do.

    The command lines print it as the last line of stderr and exit with code 2.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """Returns the end of a sentence that names the known word nearest to a mistyped one."""
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    return f"; the nearest known one is {match[0]!r}" if match else ""
