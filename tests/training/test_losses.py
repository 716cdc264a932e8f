import pytest
import torch
from scipy.stats import pearsonr

from dpiqa.training.losses import plcc_loss


@pytest.fixture
def scores():
    return torch.randn(20, generator=torch.Generator().manual_seed(0))


def test_it_is_one_minus_the_correlation(scores):
    mos = scores + torch.randn(20, generator=torch.Generator().manual_seed(1))
    assert plcc_loss(scores, mos).item() == pytest.approx(1 - pearsonr(scores, mos).statistic, abs=1e-5)


@pytest.mark.parametrize(("slope", "expected"), [(3.0, 0.0), (-0.5, 2.0)])
def test_a_linear_function_of_the_mos_is_as_good_or_bad_as_it_gets(scores, slope, expected):
    assert plcc_loss(slope * scores + 7, scores).item() == pytest.approx(expected, abs=1e-5)


def test_inside_groups_the_means_of_the_groups_do_not_matter(scores):
    groups = torch.arange(20) % 2
    shifted = scores + 100 * groups
    assert plcc_loss(shifted, scores, groups).item() == pytest.approx(0, abs=1e-4)
    assert plcc_loss(shifted, scores).item() > 0.5


def test_groups_count_by_their_size(scores):
    groups = torch.tensor([0] * 15 + [1] * 5)
    mos = torch.cat([scores[:15], -scores[15:]])
    assert plcc_loss(scores, mos, groups).item() == pytest.approx(2 * 5 / 20, abs=1e-5)


def test_groups_under_three_are_left_out(scores):
    assert plcc_loss(scores[:4], -scores[:4], torch.tensor([0, 0, 1, 1])).item() == 0
    assert plcc_loss(scores[:5], scores[:5], torch.tensor([0, 0, 0, 1, 1])).item() == pytest.approx(0, abs=1e-5)


def test_equal_scores_have_a_finite_gradient(scores):
    flat = torch.zeros(20, requires_grad=True)
    plcc_loss(flat, scores).backward()
    assert flat.grad.isfinite().all()
