"""Lists that say of every option, one a line, whether it is the answer."""

import re

from vreason_jax.evaluation.scoring.folding import fold
from vreason_jax.evaluation.scoring.letters import CHECK
from vreason_jax.evaluation.scoring.option_words import OptionWords

_TURN = re.compile(r" ?[|:] ?| - ")  # from an option's words to what is said of it
_AFFIRMS = re.compile(
    rf"^\W*(?:yes|correct|true|right)\b|[{CHECK}]\W*$|(?<!\u4e0d)(?:\u7b26\u5408|\u6b63\u786e)\W*$"
)


def letter_affirmed(body: str, words: OptionWords) -> str:
    """Returns the letter of the only option that a list of at least two affirms."""
    verdicts: dict[str, bool] = {}
    for line in body.splitlines():
        option, *said = _TURN.split(fold(line).strip(" |-*"), maxsplit=1)
        if said and (letter := words.equal(option)):
            verdicts[letter] = bool(_AFFIRMS.search(said[0].strip(" |").lower()))
    affirmed = [letter for letter, verdict in verdicts.items() if verdict]
    return affirmed[0] if len(affirmed) == 1 and len(verdicts) > 1 else ""
