"""The lowest score to keep where none is named."""

from types import SimpleNamespace

import pytest

from dpiqa import Scorer
from dpiqa.integrations.lowest_score import worst_tenth


def test_a_tenth_of_the_training_photos_score_less():
    config = SimpleNamespace(score_quantiles=[number / 100 for number in range(101)])
    assert worst_tenth(SimpleNamespace(config=config)) == 0.1


def test_a_checkpoint_without_percentiles_needs_a_score(tiny_checkpoint):
    with pytest.raises(ValueError, match=r"has no percentiles .* name a lowest score"):
        worst_tenth(Scorer.from_pretrained(tiny_checkpoint))
