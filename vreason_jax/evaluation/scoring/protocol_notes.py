"""What a protocol says about its numbers, so that nobody takes them for what they are not."""

_ORIGIN = {
    "own": "The prompt is worded by this project; it is not the text of any published protocol.",
    "video_r1": "The prompt is Video-R1's, recognised by its SHA-256.",
    "file": "The prompt is a template file's.",
}

_VIDEO_R1 = {
    "mmvu": "Only the questions with options are asked; free-form ones are left out.",
    "mvbench": "Videos are seen whole: start and end times are not applied, which scores lower.",
    "tempcompass": (
        "Of the official layout, captioning is left out: it is free-form, and Video-R1 scores "
        "letters and numbers alone."
    ),
    "videommmu": "Nothing tells the model that a question's picture is the last frame.",
    "vsibench": (
        "Regression is scored with a strict < in float32; the authors of VSI-Bench use <= and "
        "average eight tasks. Both figures are given."
    ),
}

_OFFICIAL = {
    "mmvu": (
        "MMVU's authors let GPT-4o take out and judge the answer; here letters are found by rule, "
        "and an open answer is right if it holds the gold answer's words in order, accents, "
        "hyphens and the spelling of numbers and units aside; of a reply over 3,000 characters the "
        "first and the last 1,500 are read."
    ),
    "mvbench": (
        "Videos are cut to the start and end times that the rows name, then sampled evenly, ends "
        "included. The first line's first word is the answer, as in the authors' code; an empty "
        "reply, which their code takes for any option, is none."
    ),
    "tempcompass": (
        "TempCompass's authors ask ChatGPT wherever their rules find no answer, and for captions; "
        "here such an answer is found by rule, and a caption counts as the piece of information "
        "that it shares most words with. Replies that begin with yes or no, with A. or A), and "
        "Option 1 or 1 of captions, count as in their rules."
    ),
    "videommmu": (
        "Letters are found as in VideoMMMU's own task of lmms-eval: before a full stop or colon, "
        "else in brackets, else before a space, the last one counting (MMMU's first code begins "
        "with brackets and guesses where it finds none). Numbers, and letters that stand in the "
        "picture alone, are found by this project's lenient reading."
    ),
    "videomme": (
        "The first capital of A to D counts, behind the authors' four phrases (The best answer "
        "is, ...) alone: of Answer: B it is A."
    ),
    "videommev2": (
        "Letters are found by this project's lenient reading. Questions count one by one: the "
        "authors' score of each group of four is not computed."
    ),
    "videoholmes": "Letters are found by this project's lenient reading.",
    "vsibench": (
        "The first word of the reply is the answer, as in the authors' code; of a target 0, which "
        "that code divides by, only 0 is right."
    ),
}


_OFFICIAL_PART = (
    "Reasoning and answer tags, which no author's prompt asks for, are taken off before the rule; "
    "reasoning that was cut off holds no answer."
)


def notes(rule: str, origin: str, subtitles: bool, benchmark: str) -> list[str]:
    """Returns the sentences for a scoring rule, a wording's origin and a benchmark."""
    if rule == "tags":
        return []
    lines = [_ORIGIN[origin]]
    table = _OFFICIAL if rule == "official" else _VIDEO_R1
    lines += [_OFFICIAL_PART] if rule == "official" else []
    if benchmark in table:
        lines.append(table[benchmark])
    if benchmark == "videomme":
        lines.append(
            "Subtitles: the lines said at the chosen frames." if subtitles else "Without subtitles."
        )
    return lines
