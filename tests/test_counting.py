"""Counts in messages: one of a thing is not several."""

import pytest

from dpiqa.counting import counted


@pytest.mark.parametrize(("number", "words"), [(0, "0 photos"), (1, "1 photo"), (2, "2 photos")])
def test_one_photo_is_one(number, words):
    assert counted(number, "photo") == words
