"""Quality as a loss: the sign, the gradient, and what it leaves alone."""

import copy

import numpy as np
import pytest
import torch

from dpiqa import DPIQAImageProcessor, QualityLoss, Scorer
from support import teachers


@pytest.fixture(scope="module")
def bundled():
    return QualityLoss()


@pytest.fixture
def images(photos):
    return torch.stack([torch.from_numpy(np.asarray(photo).copy()).movedim(-1, 0) / 255 for photo in photos])


@pytest.fixture
def tiny(tiny_student, tiny_processor):
    return QualityLoss(tiny_student, tiny_processor)


def test_it_is_one_minus_the_score_of_the_scorer(bundled, images, photos):
    scores = [score.score for score in Scorer.from_pretrained()(photos)]
    assert bundled(images).item() == pytest.approx(1 - np.mean(scores), abs=2e-3)


def test_a_worse_photo_has_a_higher_loss(bundled, images):
    noisy = (images + 0.15 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    assert bundled(noisy) > bundled(images) + 0.05


def test_following_the_gradient_raises_the_score(bundled, images):
    noisy = (images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    noisy.requires_grad_()
    before = bundled(noisy)
    before.backward()
    with torch.no_grad():
        stepped = noisy - 1e-3 * noisy.grad.sign()
    assert bundled(stepped) < before


def test_every_pixel_has_a_gradient_through_resizing_and_normalisation(tiny_student):
    processor = DPIQAImageProcessor(
        size={"height": 64, "width": 64}, do_normalize=True, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4]
    )
    image = torch.rand(1, 3, 100, 80, requires_grad=True)
    QualityLoss(tiny_student, processor)(image).backward()
    assert image.grad.isfinite().all()
    assert (image.grad != 0).float().mean() > 0.9


@pytest.mark.parametrize("scaling", [{}, {"rescale_factor": 1 / 127.5}])
def test_pixels_are_prepared_as_by_the_processor(tiny_student, images, photos, scaling):
    processor = DPIQAImageProcessor(
        size={"height": 64, "width": 96},
        do_normalize=True,
        image_mean=[0.4, 0.5, 0.6],
        image_std=[0.2, 0.3, 0.4],
        **scaling,
    )
    with torch.no_grad():
        expected = tiny_student(processor(photos, return_tensors="pt").pixel_values).score
    loss = QualityLoss(tiny_student, processor, reduction="none")(images)
    assert 1 - loss == pytest.approx(expected, abs=2e-4, rel=2e-3)


def test_the_model_stays_frozen_and_in_eval_mode(tiny, images):
    before = copy.deepcopy(tiny.state_dict())
    tiny.train()
    images.requires_grad_()
    tiny(images).backward()
    assert not any(parameter.requires_grad for parameter in tiny.parameters())
    assert not any(module.training for module in tiny.model.modules())
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())


def test_without_reduction_there_is_one_loss_an_image(tiny_student, tiny_processor, images):
    losses = QualityLoss(tiny_student, tiny_processor, reduction="none")(images)
    assert losses.shape == (2,)
    assert losses.mean().item() == pytest.approx(QualityLoss(tiny_student, tiny_processor)(images).item(), rel=1e-5)


def test_half_precision_images_are_scored_in_float32(tiny, images):
    assert tiny(images.bfloat16()).dtype is torch.float32


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 64, 64, 3)])
def test_another_shape_is_an_error_that_names_it(tiny, shape):
    with pytest.raises(ValueError, match=str(shape)[1:-1]):
        tiny(torch.rand(shape))


def test_bytes_are_an_error(tiny):
    with pytest.raises(ValueError, match=r"uint8"):
        tiny(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


def test_a_teacher_is_an_error(tiny_processor):
    with pytest.raises(ValueError, match="Expected a student"):
        QualityLoss(teachers.teacher(), tiny_processor)


def test_a_model_in_memory_needs_its_processor(tiny_student):
    with pytest.raises(ValueError, match="needs its processor"):
        QualityLoss(tiny_student)


def test_an_unknown_reduction_is_an_error():
    with pytest.raises(ValueError, match="'sum'"):
        QualityLoss(reduction="sum")


def test_bytes_are_refused_and_small_excursions_are_not(tiny, images):
    with pytest.raises(ValueError, match=r"Expected values in \[0, 1\], found 0 to 255: divide bytes by 255"):
        tiny(images * 255)
    assert torch.isfinite(tiny(3 * images - 1))
