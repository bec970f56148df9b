"""What two ways of answering the same questions must have in common."""

import numpy as np


def assert_same_answers(got, expected):
    """Equal, or parting where two tokens are equally likely; what follows is another text."""
    for ours, theirs in zip(got, expected, strict=True):
        ids, others = ours.tokens.token, theirs.tokens.token
        length = min(len(ids), len(others))
        differ = np.flatnonzero(ids[:length] != others[:length])
        if differ.size:
            length = differ[0]
            pair = (answer.tokens.logprob[length] for answer in (ours, theirs))
            np.testing.assert_allclose(*pair, atol=1e-4, rtol=0)
        for name, values in ours.tokens._asdict().items():
            np.testing.assert_allclose(
                values[:length], getattr(theirs.tokens, name)[:length],
                atol=2e-4, rtol=2e-4, err_msg=name,
            )  # fmt: skip
