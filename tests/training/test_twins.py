"""Distorted versions of photos, and what a student learns from them."""

import numpy as np
import pytest
import torch

from dpiqa import DPIQAImageProcessor, DPIQAStudent
from dpiqa.training import twins
from dpiqa.training.non_photos import random_non_photo
from dpiqa.training.twin_losses import damage_map_loss, non_photo_loss, version_ranking_loss
from dpiqa.training.twin_trainer import DPIQATwinTrainer, DPIQATwinTrainingArguments
from dpiqa.training.twins import TwinPhotos, collate_twins, random_region
from support.tiny_students import tiny_config


@pytest.fixture
def twin_photos(tmp_path, grouped_rows, tiny_processor):
    return TwinPhotos(grouped_rows, tiny_processor, tmp_path / "twins", every=2)


@pytest.fixture
def grouped_rows(rows):
    train = rows["train"]
    return train.remove_columns("group").add_column("group", ["one", "other"] * (len(train) // 2))


class TestPhotos:
    def test_some_come_with_versions_and_others_in_the_next_epoch(self, twin_photos):
        first = ["versions" in twin_photos[index] for index in range(4)]
        twin_photos.set_epoch(1)
        second = ["versions" in twin_photos[index] for index in range(4)]
        assert first == [True, False, True, False]
        assert second == [False, True, False, True]

    def test_versions_are_of_one_photo_and_its_region(self, twin_photos):
        item = twin_photos[0]
        photo, (weak, strong, damaged) = item["pixel_values"], item["versions"]
        assert photo.shape == weak.shape == strong.shape
        inside = item["region"]
        torch.testing.assert_close(damaged[:, inside], strong[:, inside])
        torch.testing.assert_close(damaged[:, ~inside], photo[:, ~inside])
        weak_level, strong_level = item["levels"]
        assert 0 <= weak_level < strong_level <= 5

    def test_are_the_same_every_time_and_made_once(self, twin_photos, grouped_rows, tiny_processor, monkeypatch):
        def never(*_, **__):
            raise AssertionError("made again")

        monkeypatch.setattr(twins, "distort_to_level", never)
        folder = twin_photos.versions.cache_files[0]["filename"]
        again = TwinPhotos(grouped_rows, tiny_processor, folder.rsplit("/", 1)[0], every=2)
        torch.testing.assert_close(again[0], twin_photos[0])

    def test_a_processor_that_was_loaded_makes_none_again(self, grouped_rows, tmp_path):
        settings = {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        made = DPIQAImageProcessor(size={"height": 32, "width": 32}, **settings)
        made.save_pretrained(tmp_path / "saved")
        loaded = DPIQAImageProcessor.from_pretrained(tmp_path / "saved")
        files = [TwinPhotos(grouped_rows, one, tmp_path).versions.cache_files for one in (made, loaded)]
        assert files[0] == files[1]

    def test_another_processor_makes_its_own(self, twin_photos, grouped_rows, tiny_processor):
        tiny_processor.size = {"height": 32, "width": 48}
        folder = twin_photos.versions.cache_files[0]["filename"].rsplit("/", 1)[0]
        assert TwinPhotos(grouped_rows, tiny_processor, folder)[0]["pixel_values"].shape == (3, 32, 48)

    def test_batches_have_those_with_versions_first(self, twin_photos):
        batch = collate_twins([twin_photos[1], twin_photos[0], twin_photos[3]])
        assert batch["labels"].shape == (3,)
        assert batch["versions"].shape[:2] == (1, 3)
        torch.testing.assert_close(batch["pixel_values"][0], twin_photos[0]["pixel_values"])
        assert "versions" not in collate_twins([twin_photos[1], twin_photos[3]])

    def test_non_photos_come_along_with_some(self, twin_photos):
        items = []
        for epoch in range(8):
            twin_photos.set_epoch(epoch)
            items += [twin_photos[index] for index in range(12)]
        with_one = [item for item in items if "non_photo" in item]
        assert 0 < len(with_one) < 20
        assert all("versions" in item for item in with_one)
        batch = collate_twins(items[:40] + with_one[:2])
        assert batch["non_photos"].shape[1:] == batch["pixel_values"].shape[1:]


@pytest.mark.parametrize("size", [(16, 16), (40, 64), (64, 40)])
def test_non_photos_have_the_size_and_are_of_many_kinds(size):
    pictures = [random_non_photo(size, np.random.default_rng(seed)) for seed in range(60)]
    assert {picture.shape for picture in pictures} == {(*size, 3)}
    assert {picture.dtype for picture in pictures} == {np.dtype(np.uint8)}
    colors = [len(np.unique(picture.reshape(-1, 3), axis=0)) for picture in pictures]
    assert colors.count(1) >= 3
    assert colors.count(2) >= 3
    assert sum(count > 100 for count in colors) >= 10


def test_regions_are_from_a_twentieth_to_a_half():
    shares = [random_region((80, 120), np.random.default_rng(seed)).mean() for seed in range(200)]
    assert 0.04 < min(shares) < 0.08
    assert 0.4 < max(shares) < 0.52


class TestLosses:
    def test_the_order_costs_nothing_where_every_step_is_steep_enough(self):
        photo, weak, strong = (torch.tensor([value]) for value in (1.0, 0.8, 0.4))
        levels = torch.tensor([[1.0, 3.0]])
        assert version_ranking_loss(photo, weak, strong, levels, 0.2).item() == pytest.approx(0, abs=1e-6)
        # (0.3 * 1 - 0.2) + (0.3 * 2 - 0.4)
        assert version_ranking_loss(photo, weak, strong, levels, 0.3).item() == pytest.approx(0.3)

    def test_a_version_without_distortion_has_no_order(self):
        photo, weak, strong = (torch.tensor([value]) for value in (0.0, 0.5, 0.0))
        assert version_ranking_loss(photo, weak, strong, torch.tensor([[0.0, 1.0]]), 0.1).item() == 0

    def test_the_map_costs_nothing_where_it_falls_inside_alone(self):
        before, region = torch.ones(1, 2, 2), torch.zeros(1, 64, 64, dtype=torch.bool)
        region[:, :32, :32] = True
        after = before.clone()
        after[0, 0, 0] = 0.6
        level = torch.tensor([2.0])
        assert damage_map_loss(before, after, region, level, 0.1).item() == pytest.approx(0, abs=1e-6)
        # 2 * 0.2 * 2 - 0.4
        assert damage_map_loss(before, after, region, level, 0.2).item() == pytest.approx(0.4)

    def test_a_fall_of_the_rest_costs(self):
        before, region = torch.ones(1, 2, 2), torch.zeros(1, 64, 64, dtype=torch.bool)
        region[:, :32] = True
        level = torch.tensor([1.0])
        # 2 * 0.1 * 1 - 0 + 0.4 / 2
        assert damage_map_loss(before, before - 0.4, region, level, 0.1).item() == pytest.approx(0.4)

    def test_what_is_no_photo_costs_what_it_has_above_the_worst_tenth(self):
        mos = torch.linspace(0, 1, 11)
        assert non_photo_loss(torch.tensor([0.0, 0.1]), mos).item() == pytest.approx(0, abs=1e-6)
        assert non_photo_loss(torch.tensor([0.1, 0.5]), mos).item() == pytest.approx(0.2)


def test_training_logs_what_the_versions_teach(tmp_path, tiny_student, twin_photos):
    arguments = DPIQATwinTrainingArguments(
        output_dir=str(tmp_path / "run"),
        max_steps=2,
        per_device_train_batch_size=4,
        logging_steps=1,
        group_plcc_weight=1.0,
        report_to="none",
    )
    trainer = DPIQATwinTrainer(model=tiny_student, args=arguments, train_dataset=twin_photos)
    before = tiny_student.head.quality.weight.detach().clone()
    trainer.train()
    first = trainer.state.log_history[0]
    assert first["version_ranking_loss"] > 0
    assert first["damage_map_loss"] > 0
    assert not torch.equal(before, tiny_student.head.quality.weight)


def test_the_loss_is_the_weighted_sum(tmp_path, tiny_student, twin_photos):
    arguments = DPIQATwinTrainingArguments(
        output_dir=str(tmp_path / "run"),
        version_ranking_weight=3.0,
        damage_map_weight=5.0,
        non_photo_weight=7.0,
        report_to="none",
    )
    trainer = DPIQATwinTrainer(model=tiny_student, args=arguments, train_dataset=twin_photos)
    batch = collate_twins([twin_photos[index] for index in range(12)])
    batch["non_photos"] = 1 - batch["pixel_values"][:2]
    losses = trainer.losses(trainer.forward(tiny_student, batch), batch)
    expected = losses["mse"] + 3 * losses["version_ranking"] + 5 * losses["damage_map"] + 7 * losses["non_photo"]
    torch.testing.assert_close(losses["loss"], expected)


def test_a_head_without_a_map_is_refused(tmp_path, twin_photos):
    student = DPIQAStudent(tiny_config(head="spatial"))
    with pytest.raises(ValueError, match="the pooled head"):
        DPIQATwinTrainer(
            model=student,
            args=DPIQATwinTrainingArguments(output_dir=str(tmp_path / "run"), report_to="none"),
            train_dataset=twin_photos,
        )


def test_another_number_of_workers_makes_nothing_again(tmp_path, grouped_rows, tiny_processor, monkeypatch):
    TwinPhotos(grouped_rows, tiny_processor, tmp_path / "twins", num_workers=2)

    def never(*_, **__):
        raise AssertionError("made again")

    monkeypatch.setattr(twins, "distort_to_level", never)
    assert len(TwinPhotos(grouped_rows, tiny_processor, tmp_path / "twins", num_workers=1).versions) == 12


def test_at_least_one_photo_in_some_has_versions(tmp_path, grouped_rows, tiny_processor):
    with pytest.raises(ValueError, match="at least 1"):
        TwinPhotos(grouped_rows, tiny_processor, tmp_path, every=0)
