"""A name for a network and all that its output follows from."""

import copy

import pytest
import torch

from dpiqa.scoring import fingerprint as module
from dpiqa.scoring.fingerprint import fingerprint


def test_the_same_content_has_the_same_name(tiny_student):
    assert fingerprint(tiny_student, {"size": 64}) == fingerprint(copy.deepcopy(tiny_student), {"size": 64})
    assert len(fingerprint(tiny_student)) == 32


@pytest.mark.parametrize(
    "change",
    [
        lambda student: student.head.quality.bias.data.add_(1),
        lambda student: student.backbone.encoder.top_bn.running_mean.add_(1),
        lambda student: student.half(),
    ],
    ids=["weight", "buffer", "type"],
)
def test_other_weights_have_another_name(tiny_student, change):
    before = fingerprint(tiny_student)
    change(tiny_student)
    assert fingerprint(tiny_student) != before


def test_other_settings_have_another_name(tiny_student):
    assert fingerprint(tiny_student, {"size": 64}) != fingerprint(tiny_student, {"size": 65})


def test_other_code_for_pixels_has_another_name(tiny_student, monkeypatch):
    before = fingerprint(tiny_student)
    monkeypatch.setattr(module, "PIXELS_VERSION", -1)
    assert fingerprint(tiny_student) != before


def test_bfloat16_weights(tiny_student):
    assert fingerprint(tiny_student.to(torch.bfloat16))
