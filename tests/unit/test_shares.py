"""Shares of one list of scenes: each scene is in one, and all take about as long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.errors import RunError
from glnet.prediction.shares import Amount, Share, read_share

AMOUNTS = st.lists(st.builds(Amount, st.integers(0, 40), st.integers(1, 500)), max_size=8)


@given(AMOUNTS, st.integers(1, 12))
def test_every_scene_is_in_one_share_and_none_in_two(amounts, count):
    shares = [Share(index, count).of(amounts) for index in range(1, count + 1)]

    for image, amount in enumerate(amounts):
        taken = [number for share in shares for number in share[image]]
        assert taken == list(range(amount.scenes))


@given(AMOUNTS, st.integers(1, 12))
def test_no_share_is_a_scene_away_from_an_equal_one(amounts, count):
    total = sum(scenes * each for scenes, each in amounts)
    longest = max((each for scenes, each in amounts if scenes), default=0)

    for index in range(1, count + 1):
        own = Share(index, count).of(amounts)
        time = sum(len(scenes) * amount.each for scenes, amount in zip(own, amounts, strict=True))
        assert abs(time - total / count) <= longest


def test_a_share_of_ten_equal_scenes():
    assert Share(2, 4).of([Amount(4, 1), Amount(6, 1)]) == [range(2, 4), range(1)]


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "a/b", "1/4/2", "-1/4", "1,4"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(RunError, match=r"--part: wanted one of so many, as in 1/4; got"):
        read_share(text)


def test_a_share_has_a_name_of_its_own():
    assert read_share("3/8") == Share(3, 8)
    assert read_share("3/8").name == "3-of-8"
