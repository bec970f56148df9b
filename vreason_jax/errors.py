"""The one exception for what a user can mend: one line, exit code 2."""


class UserError(Exception):
    """Wrong input: says in one line what was expected, what came, and what to do.

    The command lines print it as the last line of stderr and exit with code 2.
    """
