"""The words of options: which option a text says, in the same words, others, or another order."""

import re

from vreason_jax.evaluation.scoring.folding import SPELLINGS, fold, plain_words, respelled
from vreason_jax.evaluation.scoring.numbers import ORDINALS, digits_for_words, plain
from vreason_jax.evaluation.scoring.units import in_smaller

_ARTICLE = re.compile(r"^(?:the|an?) ")
# Words that tell no option from another.
_LITTLE = set(
    re.findall(
        r"\w+",
        "a an the it is are was he they she his her its their of to and i this that one 1",
    )
)
_ORDER = frozenset(("then", "first", "next", "finally", "lastly", "after", "followed", "by"))
# A clause that denies speaks of what is not so: "the cup is not lifted", "not a cup but".
_CLAUSE = re.compile(r"[,.;:](?![^\s\u3400-\u9fff])|[!?\n|]|\b(?:but|and|while|whereas)\b")
_DENIES = re.compile(
    r"\b(?:not(?! only)|no(?! doubt| question)|never|cannot|without|neither|nor|none)\b|n't\b|"
    r"[\u4e0d\u6ca1\u6c92]"
)
_INSTEAD = re.compile(
    r"\b(?:instead of|rather than|anything but|(?:in contrast|compared) (?:to|with)|unlike)"
    r"\b[^,.;:\n]{0,100}"
)
_SENTENCE = re.compile(r"[.;](?!\S)|\n")
_WRONG = re.compile(
    r"\b(?:is|are) "
    r"(?:wrong|incorrect|false|(?:ruled )?out|excluded|eliminated|impossible|unlikely)\b"
)
_SPELLINGS = (
    (re.compile(r"\bnon[ -](?=[a-z])|\bnever (?=[a-z]+(?:ed|wn|en|id)\b)"), "not "),
    (re.compile(r"\banti-?clockwise"), "counterclockwise"),
    (re.compile(r"\bonce\b"), "1 time"),
    (re.compile(r"\btwice\b"), "2 time"),
    (re.compile(r"\bthrice\b"), "3 time"),
    (re.compile(r"\btimes\b"), "time"),
    *SPELLINGS,
)
_RANGE = re.compile(r"(?:\bfrom )?([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(?:s|sec)? ?(?:-|to) ?(?=[0-9])")
_CLOCK = re.compile(r"\b([0-9]{1,2}):([0-5][0-9])(?![:0-9])")
_NTH = re.compile(r"\b(first|second|third|fourth|fifth|[0-9](?:st|nd|rd|th)) ([a-z]+)")
# Words that stand for no thing: "I saw", "we can see", "she comes back".
_AUXILIARY = re.compile(
    r"\b(?:i|we|you|he|she|it|they) (?:clearly )?(saw|can|will|may|might)\b|\bon (top) of every|"
    r"\b(?:comes?|came|goes|go|went|going|coming) (back)\b"
)
_CJK = re.compile("[\u3040-\u9fff]{2}")
_ENDING = re.compile(r"(?<=[a-z]{2})(?:ing|ed|es|e|s|wards?)$|(?<=[a-z]{4})y$")
_DOUBLE = re.compile(r"([b-df-hj-np-tv-z])\1$")


class OptionWords:
    """The words of a question's options, by their letters."""

    def __init__(self, options: tuple[str, ...]):
        bare = [(option[0], _bare(option[2:])) for option in options]
        words = {word for _, text in bare for word in text.split()}
        self._whole = {word for word in words if len(word) > 5}
        self._own = {text for _, text in bare}
        self._little = _LITTLE - ({"1"} if "2" in words else set())
        self._texts = [(letter, self._joined(text)) for letter, text in bare if text]
        self._denying = {
            letter for letter, text in self._texts if _DENIES.search(text) or _WRONG.search(text)
        }

    def equal(self, text: str) -> str:
        """Returns the letter of the option that a text is."""
        said = self._said(text)
        for letter, words in self._texts:
            if said in (words, f"{letter.lower()} {words}"):
                return letter
        return ""

    def named(self, text: str) -> str:
        """Returns the letter of the only option in a text that it does not deny."""
        said, sure = self._said(text), self._said(affirmed(text))
        held = {k: w for k, w in self._texts if _holds(said if k in self._denying else sure, w)}
        return _longest(held, _holds) or self._opposite(said, sure)

    def part(self, text: str) -> str:
        """Returns the letter of the only option that has all of a text's words."""
        said = set(self._said(text).split()) - self._little
        return _only([k for k, words in self._texts if said and said <= set(words.split())])

    def loosely(self, text: str) -> str:
        """Returns the letter of the only option that a text says in its own words.

        Endings and words that tell no option from another left out: the option's words in their
        order, one after the other of a sequence, all of the text's words, or all of the option's
        but for those that every option has.
        """
        core = {letter: self._core(words) for letter, words in self._texts}
        stems = {letter: _stems(words) for letter, words in core.items()}
        sure = self._said(affirmed(text)) if not self._denying else self._said(text)
        said, stemmed = self._core(sure), _stems(self._core(sure))
        of_said, own = set(stemmed.split()), {k: set(words.split()) for k, words in stems.items()}
        telling = {k: words - set.intersection(*own.values()) for k, words in own.items()}
        return (
            _longest({k: w for k, w in core.items() if _holds(said, w or "-")}, _holds)
            or self._sequence(core, said)
            or _longest({k: w for k, w in stems.items() if _holds(stemmed, w or "-")}, _holds)
            or _only([k for k, words in own.items() if of_said and of_said <= words])
            or _longest({k: w for k, w in telling.items() if w and w <= of_said}, set.issuperset)
        )

    def _sequence(self, core: dict[str, str], said: str) -> str:
        """Returns the letter of the option whose telling words a text names, one after another."""
        each = [words.split() for words in core.values()]
        telling = {word for words in each for word in words if not all(word in w for w in each)}
        telling = telling or {word for words in each for word in words}
        named = [word for word in said.split() if word in telling]
        orders = {k: [w for w in words.split() if w in telling] for k, words in core.items()}
        if min(map(len, orders.values()), default=0) < 2:
            return ""
        return _only([letter for letter, order in orders.items() if order == named])

    def _opposite(self, said: str, sure: str) -> str:
        """Returns the other of two options where one is denied: "not visible"."""
        if len(self._texts) != 2 or self._denying:
            return ""
        denied = [k for k, words in self._texts if _holds(said, words) and not _holds(sure, words)]
        return _only([k for k, _ in self._texts if len(denied) == 1 and k not in denied])

    def _said(self, text: str) -> str:
        return self._joined(_AUXILIARY.sub(self._kept, _bare(text)))

    def _kept(self, match: re.Match[str]) -> str:
        """Returns "" for a word that is an option by itself and stands for no thing here."""
        return "" if self._own.intersection(match.groups()) else match.group()

    def _numbered(self, match: re.Match[str]) -> str:
        """Returns "scene 4" for "4th scene" where an option has it so."""
        place = ORDINALS.index(match[1]) + 1 if match[1] in ORDINALS else match[1][0]
        name = f"{match[2]} {place}"
        return name if name in self._own else match.group()

    def _core(self, words: str) -> str:
        """Returns plain words without those that tell no option from another."""
        kept = (word for word in re.sub("'s\\b", "", words.replace("n't", " not")).split())
        return " ".join(word for word in kept if word not in self._little | _ORDER)

    def _joined(self, text: str) -> str:
        """Writes in one word what an option has so: "counter clockwise"."""
        words = _NTH.sub(self._numbered, text).split()
        for place in range(len(words) - 1, 0, -1):
            if words[place - 1] + words[place] in self._whole:
                words[place - 1 : place + 1] = [words[place - 1] + words[place]]
        return " ".join(words)


def affirmed(text: str) -> str:
    """Returns a folded text without the clauses that deny."""
    kept = [part for part in _SENTENCE.split(_INSTEAD.sub(", ", text)) if not _WRONG.search(part)]
    clauses = [part for sentence in kept for part in _CLAUSE.split(sentence)]
    return ", ".join(clause for clause in clauses if not _DENIES.search(clause.lower()))


def _bare(text: str) -> str:
    """Returns plain words, numbers in digits and with their signs, without the article before."""
    spelled = _CLOCK.sub(lambda match: f"{in_smaller(match)} s", fold(text).lower())
    spelled = digits_for_words(_RANGE.sub(r"\1 to ", spelled), _number)
    return _ARTICLE.sub("", plain_words(respelled(spelled, _SPELLINGS)))


def _number(written: str) -> str:
    """Returns a number as one word: "-1.50" is "neg1dot5"."""
    return plain(float(written)).replace("-", "neg").replace(".", "dot")


def _stems(words: str) -> str:
    return " ".join(_DOUBLE.sub(r"\1", _ENDING.sub("", word)) for word in words.split())


def _holds(text: str, words: str) -> bool:
    return f" {words} " in f" {text} " or (words in text and bool(_CJK.search(words)))


def _longest(held: dict, holds) -> str:
    """Returns the letter of the only text that lies in no other: "the front left" holds "left"."""
    texts = held.values()
    return _only(
        [k for k, words in held.items() if not any(words != w and holds(w, words) for w in texts)]
    )


def _only(letters: list[str]) -> str:
    return letters[0] if len(letters) == 1 else ""
