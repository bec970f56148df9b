"""Nobody does well on `shapes` without watching, nor on the order kinds without the order."""

import collections

import numpy as np
import pytest

from vreason_jax.shapes import KINDS, ORDER_KINDS, sample_text
from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import bouncing, one_way, there_and_back
from vreason_jax.shapes.words import place

# Chance of the best constant answer: 4 letters, 3 of them in `fastest`, 5 numbers in `count`.
CHANCE = dict.fromkeys(KINDS, 1 / 4) | {"count": 1 / 5, "fastest": 1 / 3}


@pytest.fixture(scope="module")
def texts():
    return {
        kind: [sample_text("train", index, kind, 1 + index % 3) for index in range(720)]
        for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_constant_answer_is_near_chance(texts, kind):
    answers = collections.Counter(text.answer for text in texts[kind])
    best = answers.most_common(1)[0][1] / len(texts[kind])
    # The standard error of a share of 720 is 1.6 points; the largest of five stays within 4.
    assert best == pytest.approx(CHANCE[kind], abs=0.045)


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_lettered_and_differ(texts, kind):
    for text in texts[kind][:200]:
        if not text.options:
            assert text.answer.isdigit()
            continue
        letters = [option[0] for option in text.options]
        assert letters == list("ABCD")[: len(letters)]
        assert len({option[3:] for option in text.options}) == len(letters)
        assert text.answer in letters
        assert f"{text.answer}. {text.answer_words}" in text.options


def test_there_and_back_visits_the_places_of_one_way():
    way, back = one_way(16, 12.0, 100.0), there_and_back(16, 12.0, 100.0)
    np.testing.assert_array_equal(np.sort(way), np.sort(back))
    assert np.all(np.diff(back)[:7] > 0) and np.all(np.diff(back)[8:] < 0)


def test_without_order_the_way_of_a_shape_cannot_be_told(texts):
    # The visited places are evenly spaced whatever the answer is.
    for text in texts["direction"]:
        hero = next(thing for thing in text.scene.things if thing.name in text.problem)
        path = max((hero.y, hero.x), key=np.ptp)
        np.testing.assert_allclose(np.diff(np.sort(path)), np.ptp(path) / 15, rtol=1e-9)


def test_without_order_appearances_cannot_be_told(texts):
    for text in texts["order"]:
        named = [t for t in text.scene.things if any(t.name in o for o in text.options)]
        shown = np.sum([thing.visible for thing in named], axis=0)
        assert len(named) == 4
        assert shown.max() == 1  # nothing is seen together with what came before it


def test_the_colour_asked_for_is_seen_as_long_as_the_others(texts):
    # Guessing the colour that is seen longest is no better than guessing any of the four.
    right = 0
    for text in texts["colour"]:
        hero = next(thing for thing in text.scene.things if thing.shape in text.problem)
        guess = collections.Counter(hero.colours).most_common(1)[0][0]
        right += f"{text.answer}. {guess}" in text.options
    assert right / len(texts["colour"]) == pytest.approx(1 / 4, abs=0.045)


def test_every_place_that_is_asked_for_is_seen_as_long_as_the_others(texts):
    for text in texts["position"]:
        hero = next(thing for thing in text.scene.things if thing.name in text.problem)
        stays = collections.Counter(place(*at) for at in zip(hero.y, hero.x, strict=True))
        assert sorted(stays.values()) == [4, 4, 4, 4]


def test_the_second_in_a_question_says_nothing_about_the_place(texts):
    level = [sample_text("train", index, "position", 1) for index in range(1200)]
    early = [text for text in level if "at 0s" in text.problem]
    at_an_end = [text.options["ABCD".index(text.answer)][3:].startswith("far") for text in early]
    # Of about 150: a path that began at an end of the row would give 1.
    assert np.mean(at_an_end) == pytest.approx(1 / 2, abs=0.15)


def test_order_kinds_are_kinds():
    assert set(ORDER_KINDS) < set(KINDS)


def test_bounces_fall_between_seconds():
    path = bouncing(16, 10.0, 70.0, traverse=4, contact=6)
    heading = np.sign(np.diff(path))[0::2]  # within each second
    assert heading.tolist() == [-1, 1, 1, -1, -1, 1, 1, -1]
    assert path.max() == pytest.approx(70.0 - 60.0 / 8)  # half a step of 15 from the wall


def test_dice_repeat_and_differ():
    assert Dice("a").reals(3, 0, 1) == Dice("a").reals(3, 0, 1) != Dice("b").reals(3, 0, 1)
    assert sorted(Dice("c").shuffled("abcd")) == list("abcd")
    assert {Dice(str(n)).whole(1, 3) for n in range(50)} == {1, 2, 3}
