"""The option that a reply means: by its letter, its words, its number or its place."""

import re

from vreason_jax.evaluation.scoring.folding import CONCLUDING, fold, plain_words
from vreason_jax.evaluation.scoring.letters import (
    ANSWER,
    IS,
    letter_named,
    lone_letter,
    lower_letter,
    only_letter,
)
from vreason_jax.evaluation.scoring.number_answer import number_in
from vreason_jax.evaluation.scoring.numbers import ORDINALS, SMALL, find_numbers, plain
from vreason_jax.evaluation.scoring.option_words import OptionWords
from vreason_jax.evaluation.scoring.verdicts import letter_affirmed
from vreason_jax.evaluation.scoring.yes_no import is_unsure, yes_or_no

_UNTOLD = "ABCDEFGHIJ"  # where the letters stand in the picture alone
_LED = re.compile(rf"{ANSWER}{IS}(?: that)?(?P<rest>[^.;\n]{{1,300}})")
_CHATTER = re.compile(r"(?i)\b(?:that's|that is|you're|you are) right\b|\b(?:all right|alright)\b")
# "What happens first?" said over again, and the options
_ASIDE = re.compile(
    r"(?:^|(?<=[.!?:] ))(?i:what|which|whose?|where|when|why|how|will)\b"
    r"(?:(?!\b[A-J]\b)[^.!?]){1,200}\? (?=\S)|\boptions are A\b(?:(?!\banswer)[^.;])*|"
    r"\bwhether (?:it's|it is|the answer is) (?:[A-J]\b,? ?(?:or )?){2,10}"
)
_CLOCK = re.compile(r"\b[0-9]{1,2}:[0-9]{2}\b")
_CHANCE = re.compile(r"\b([A-J])\b[^\w%]{0,5}([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%")
_TRUTHS = (("yes", "no"), ("true", "false"), ("correct", "incorrect"), ("right", "wrong"))
# What follows holds the answer, if a letter stands there.
_ANEW = re.compile(
    r"(?i)\b(?:wait|hmm+|oops|on second thoughts?|scratch that|my mistake|upon (?:\w+ )?review|"
    r"i meant|let me (?:re-?consider|re-?think|re-?check|correct (?:myself|that)))\b"
)
_SO = re.compile(
    rf"(?i)\b(?:{CONCLUDING}|in (?:conclusion|short|sum)|finally|"
    r"lean(?:ing)? (?:to|towards?)),? "
)
_SENTENCE = re.compile("(?<!\\b[A-Z])[.;](?: |(?=[\u3400-\u9fff]))")
_CLAUSE = re.compile(r"[;.]|, (?:while|whereas|but|not) ")
_BULLET = re.compile(r"\s*(?:[-*|\u2022]|[0-9]+[.)]) ?")
_ITEM = re.compile(r"[A-Z][.:)]")
_BETWEEN = re.compile(r"(?:[\s,;|*.()\"'-]|\band\b|\bor\b)*")
_IN_TURN = (
    ORDINALS[:6],
    ("1st", "2nd", "3rd", "4th", "5th", "6th"),
    SMALL[1:7],
    "123456789",
)
_PLACES = {word: n for words in _IN_TURN for n, word in enumerate(words)} | {"last": -1}
_ORDINALS = "first|second|third|fourth|fifth|sixth|last|1st|2nd|3rd|[4-6]th"
_PLACE = re.compile(
    rf"\b(?P<word>{_ORDINALS}) (?:option|choice|one|answer)\b|"
    r"\b(?:option|choice)(?: number| no\.?)? #?(?P<number>[1-9]|one|two|three|four|five|six)\b|"
    rf"^(?:the )?(?P<alone>{_ORDINALS})\W*$"
)
_AMOUNT = re.compile(r"[0-9., ]+")
_NUMBER = re.compile(r"[ (]*[1-9][ ).]*")
_WRONG = re.compile(r"[^.;]{0,40}\b(?:is|are|was|were) (?:wrong|incorrect|false|not|out)\b")
_ALL = re.compile(r"\W*(all|none|both|neither)(?: of (?:these|them|those|the above))?\W*")
_PAIR = re.compile(r"(?:both )?([a-z]) and ([a-z])")
_NOTHING = re.compile(r"\W*(?:none|no|nothing|nobody|zero)\W*")


def letter_in(body: str, options: tuple[str, ...], question: str = "") -> str:
    """Returns the letter of `options` that a text names: "B", "(B)", "B. a cup", "a cup", ..."""
    letters = "".join(option[0] for option in options) or _UNTOLD
    words = OptionWords(options)
    text = _ASIDE.sub("", _without_list(_CHATTER.sub(" ", fold(body)), options)).strip()
    sure = (
        lone_letter(text, letters)
        or words.equal(text)
        or letter_affirmed(body, words)
        or _anew(text, letters)
    )
    if sure:
        return sure
    spoken = {plain_words(option[2:]): option[0] for option in options}
    if set(spoken) in map(set, _TRUTHS):  # nothing but yes and no
        said = _letter_of_truth(text, spoken, question)
        return said or letter_named(text, letters) or only_letter(text, letters)
    leads = [match.group("rest") for match in _LED.finditer(text)]
    for rest in reversed(leads):  # "The answer is a red hat": the words of an option
        if equal := words.equal(rest):
            return equal
    chances = {} if leads or "%" in "".join(options) else dict(_CHANCE.findall(text))
    if len(chances) > 1:
        return _likeliest(chances)
    if named := letter_named(text, letters) or _letter_of_line(body, letters):
        return named
    led = leads[-1] if leads else ""
    text = text if any(":" in option for option in options) else _CLOCK.sub(" ", text)
    concluded = _SO.split(text)[-1] if _SO.search(text) else ""
    return (
        words.named(led)
        or words.part(led)
        or words.named(concluded)
        or words.loosely(concluded)
        or words.named(text)
        or words.named(_CLAUSE.split(concluded)[0])
        or words.named(_last_sentence(text))
        or words.named(_last_line(body))
        or _letter_of_number(text, options)
        or only_letter(text, letters)
        or words.part(text)
        or words.loosely(text)
        or _letter_of_truth(text, spoken, question)
        or _letter_of_place(text, options, letters)
        or _letter_of_all(text, options)
        or _letter_of_all(concluded, options)
        or lower_letter(text, letters)
    )


def option_in(block: str, options: tuple[str, ...]) -> str:
    """Returns the letter of the option whose words an answer is; the answer itself without one."""
    said = plain_words(block)
    return next((o[0] for o in options if said and plain_words(o[2:]) == said), block)


def _anew(text: str, letters: str) -> str:
    """Returns the letter that is named behind the last of the words by which people go back."""
    parts = _ANEW.split(text)[1:]
    named = (
        lone_letter(part.strip(" ,.:;!-"), letters)
        or letter_named(part, letters)
        or only_letter(part, letters)
        for part in reversed(parts)
    )
    return next(filter(None, named), "")


def _likeliest(chances: dict[str, str]) -> str:
    """Returns the letter with the highest of some percentages, "" where two have it."""
    best = max(map(float, chances.values()))
    likeliest = [letter for letter, chance in chances.items() if float(chance) == best]
    return likeliest[0] if len(likeliest) == 1 else ""


def _last_sentence(text: str) -> str:
    """Returns the last sentence of a text, "" where it is one option of a list."""
    last = _SENTENCE.split(text.rstrip(" ."))[-1]
    return "" if _ITEM.match(last) else last


def _last_line(body: str) -> str:
    """Returns the last sentence of the last line, "" where that is one of a list."""
    line = body.strip().rsplit("\n", 1)[-1]
    return "" if _BULLET.match(line) else _last_sentence(fold(line))


def _letter_of_truth(text: str, spoken: dict[str, str], question: str) -> str:
    """Returns the letter of yes or no, or of the one other option, where that leaves it open."""
    pair = next((pair for pair in _TRUTHS if set(pair) <= set(spoken)), None)
    if pair is None:
        return ""
    if said := yes_or_no(text, question):
        return spoken[pair[0 if said == "yes" else 1]]
    held = [letter for words, letter in spoken.items() if words not in pair]
    return held[0] if len(held) == 1 and is_unsure(text) else ""


def _letter_of_line(body: str, letters: str) -> str:
    """Returns the one letter that has a line to itself, as before an explanation."""
    lines = (fold(line) for line in body.splitlines() if line.strip())
    named = {lone_letter(line, letters) for line in lines} - {""}
    return named.pop() if len(named) == 1 else ""


def _without_list(text: str, options: tuple[str, ...]) -> str:
    """Returns a text without the options, where it repeats all of them and nothing in between."""
    begin, place = -1, 0
    for letter, words in ((option[0], fold(option[2:])) for option in options):
        mark = re.compile(rf"[(\[]?{letter}[.:)\]]* ?{re.escape(words)}")
        found = mark.search(text, place)
        if not found or (begin >= 0 and not _BETWEEN.fullmatch(text[place : found.start()])):
            return text
        begin = found.start() if begin < 0 else begin
        place = found.end()
    return f"{text[: max(begin, 0)]} {text[place:].strip(' .')}".strip()


def _letter_of_number(text: str, options: tuple[str, ...]) -> str:
    """Returns the letter of the option with the number of a text: "1.5m" of "B. 1.5 m"."""
    unit = f"in {_AMOUNT.sub('', options[0][2:])})" if options else ""
    values = [number_in(option[2:], unit) if len(option) < 16 else "" for option in options]
    if not all(values) or len(set(values)) < len(values):
        return ""
    said = number_in(text, unit) or ("0" if _NOTHING.fullmatch(text.lower()) else "")
    if said and said not in values and all("%" in option for option in options):
        said = plain(round(100 * float(said), 6))  # "half"
    return next((o[0] for o, v in zip(options, values, strict=True) if v == said), "")


def _letter_of_place(text: str, options: tuple[str, ...], letters: str) -> str:
    """Returns the letter of "the second option", "option 2", "2" or "the last one"."""
    text = text.lower()
    if _NUMBER.fullmatch(text) and not find_numbers(fold(" ".join(o[2:] for o in options)).lower()):
        text = f"option {text.strip(' ().')}"
    found = [m for m in _PLACE.finditer(text) if not _WRONG.match(text, m.end())]
    if not found:
        return ""
    place = _PLACES[next(filter(None, found[-1].groups()))]
    return letters[place] if place < len(letters) else ""


def _letter_of_all(text: str, options: tuple[str, ...]) -> str:
    """Returns the letter of "none of the above" for "none", of "he and she", "A and B" for both."""
    named = {option[0].lower(): fold(option[2:]).lower() for option in options}
    for letter, words in named.items():
        pair = _PAIR.fullmatch(words)
        if pair and all(named.get(one, "\n") in text.lower() for one in pair.groups()):
            return letter.upper()
    said = _ALL.fullmatch(text.lower())
    if not said:
        return ""
    held = [letter for letter, words in named.items() if words.startswith(said[1])]
    if said[1] == "both" and not held:
        held = [letter for letter, words in named.items() if " and " in words]
    return held[0].upper() if len(held) == 1 else ""
