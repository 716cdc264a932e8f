"""Low-rank updates of a teacher's UNet."""

import sys

import pytest
import torch
from safetensors.torch import load_file

from dpiqa import DPIQAModel, freeze_for_inference
from dpiqa.training.lora import add_lora, merge_lora
from dpiqa.training.trainer import DPIQATrainer
from support import teachers


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "teacher"
    teachers.teacher().save_pretrained(folder)
    return folder


@pytest.fixture
def trained(base, train):
    return train(add_lora(DPIQAModel.from_pretrained(base), rank=2), learning_rate=1e-2, head_learning_rate=1e-3)


def test_only_updates_adapters_and_decoder_are_trained(base, trained):
    before = DPIQAModel.from_pretrained(base).state_dict()
    after = trained.model.get_base_model().state_dict()
    unet = {name: value for name, value in after.items() if name.startswith("unet.")}
    updates = [name for name in unet if ".lora_" in name]
    kept = [name for name in unet if ".lora_" not in name]
    assert {name.split(".lora_")[0].rsplit(".", 1)[1] for name in updates} == {"to_q", "to_k", "to_v", "0"}
    assert all(torch.equal(unet[name], before[name.replace(".base_layer", "")]) for name in kept)
    for part in ("text_adapter", "image_adapter", "decoder"):
        new = {name: value for name, value in after.items() if name.startswith(f"{part}.modules_to_save.default.")}
        assert any(
            not torch.equal(value, before[name.replace("modules_to_save.default.", "")]) for name, value in new.items()
        )


def test_the_decoder_has_the_heads_learning_rate(trained):
    assert [group["initial_lr"] for group in trained.optimizer.param_groups] == [1e-2, 1e-3]


def test_they_are_saved_alone_and_merge_into_a_plain_teacher(trained, tmp_path):
    trained.save_model(str(tmp_path / "lora"))
    saved = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    assert not any((".unet." in name and ".lora_" not in name) or ".autoencoder." in name for name in saved)
    merged = merge_lora(tmp_path / "lora")
    assert type(merged) is DPIQAModel
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = trained.model.eval()(pixel_values=pixels).score
        torch.testing.assert_close(merged(pixels).score, expected, rtol=1e-4, atol=1e-5)
        frozen = freeze_for_inference(merged, dtype=torch.float32)
        torch.testing.assert_close(frozen(pixels).score, expected, rtol=1e-3, atol=1e-4)


def test_a_merged_teacher_round_trips(trained, tmp_path):
    trained.save_model(str(tmp_path / "lora"))
    merged = merge_lora(tmp_path / "lora")
    merged.save_pretrained(tmp_path / "merged")
    again = DPIQAModel.from_pretrained(tmp_path / "merged")
    pixels = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(again(pixels).score, merged(pixels).score)


def test_an_update_starts_at_nothing(base):
    teacher = DPIQAModel.from_pretrained(base)
    pixels = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = teacher(pixels).score
        torch.testing.assert_close(add_lora(teacher).eval()(pixel_values=pixels).score, expected)


def test_the_teacher_can_have_moved(base, trained, tmp_path):
    trained.save_model(str(tmp_path / "lora"))
    base.rename(tmp_path / "moved")
    with pytest.raises(OSError, match="teacher"):
        merge_lora(tmp_path / "lora")
    assert merge_lora(tmp_path / "lora", tmp_path / "moved").config.model_type == "dpiqa"


def test_training_is_resumed_bit_by_bit(base, train, tmp_path):
    def teacher():
        torch.manual_seed(0)
        return add_lora(DPIQAModel.from_pretrained(base), rank=2)

    whole = train(teacher(), DPIQATrainer, output_dir=str(tmp_path / "whole"), save_strategy="steps", save_steps=2)
    again = train(
        teacher(), DPIQATrainer, output_dir=str(tmp_path / "again"), resume=str(tmp_path / "whole" / "checkpoint-2")
    )
    expected = whole.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.model.state_dict().items())


@pytest.mark.parametrize(
    "use", [lambda teacher, folder: add_lora(teacher), lambda teacher, folder: merge_lora(folder)]
)
def test_without_peft_the_extra_is_named(use, base, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r'pip install "\.\[lora\]"'):
        use(DPIQAModel.from_pretrained(base), tmp_path)


def test_a_teacher_of_an_older_run_in_the_folder_is_not_taken(trained, tmp_path):
    trained.save_model(str(tmp_path / "lora"))
    expected = merge_lora(tmp_path / "lora").state_dict()
    older = teachers.teacher()
    torch.nn.init.zeros_(older.unet.conv_in.weight)
    older.save_pretrained(tmp_path / "lora" / "base")
    merged = merge_lora(tmp_path / "lora").state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in merged.items())
