"""Losses, arguments and the trainer, on tiny models and real files."""

import copy
import itertools

import numpy as np
import pytest
import torch

from dpiqa import DPIQAStudent
from dpiqa.training.arguments import PRESETS, DPIQATrainingArguments
from dpiqa.training.distillation import DPIQADistillationTrainer, TeacherTargets
from dpiqa.training.latents import AutoencoderLatents
from dpiqa.training.losses import feature_map_loss, margin_ranking_loss, plcc_loss, training_losses
from dpiqa.training.photo_dataset import PhotoDataset
from dpiqa.training.trainer import score_metrics
from support import teachers
from support.tiny_students import tiny_config


class TestLosses:
    def test_ranking_is_the_published_sum_over_pairs(self):
        torch.manual_seed(0)
        score, mos = torch.randn(9), torch.rand(9)
        margin = 0.25 * mos.std()
        terms = [
            max(0.0, (-torch.sign(mos[i] - mos[j]) * (score[i] - score[j]) + margin).item())
            for i, j in itertools.combinations(range(9), 2)
        ]
        assert margin_ranking_loss(score, mos).item() == pytest.approx(np.mean(terms), rel=1e-5)

    def test_pairs_of_equal_mos_are_left_out(self):
        mos = torch.tensor([0.1, 0.9, 0.9])
        assert margin_ranking_loss(torch.tensor([0.0, 1.0, 5.0]), mos) == 0
        assert margin_ranking_loss(torch.tensor([0.0, 1.0, 5.0]), torch.full((3,), 0.5)) == 0

    def test_the_total_is_the_weighted_sum_of_the_named(self):
        score, mos = torch.rand(4), torch.rand(4)
        maps = torch.rand(2, 4, 1, 2, 2)
        weights = {"mse": 1.0, "ranking": 0.5, "plcc": 0.0, "feature_map": 2.0}
        losses = training_losses(score, mos, weights, feature_map=maps[0], teacher_feature_map=maps[1])
        assert losses.keys() == {"mse", "ranking", "feature_map", "loss"}
        expected = losses["mse"] + 0.5 * losses["ranking"] + 2 * losses["feature_map"]
        torch.testing.assert_close(losses["loss"], expected)

    def test_plcc_inside_groups_needs_the_groups(self):
        score, mos = torch.rand(6), torch.rand(6)
        groups = torch.tensor([0, 0, 0, 1, 1, 1])
        losses = training_losses(score, mos, {"group_plcc": 2.0}, groups=groups)
        torch.testing.assert_close(losses["loss"], 2 * plcc_loss(score, mos, groups))
        with pytest.raises(ValueError, match="a column `group`"):
            training_losses(score, mos, {"group_plcc": 2.0})

    @pytest.mark.parametrize("weights", [{"mae": 1.0}, {"mse": 0.0}, {}])
    def test_without_a_known_weight_it_is_an_error(self, weights):
        with pytest.raises(ValueError, match="Expected a weight for"):
            training_losses(torch.rand(2), torch.rand(2), weights)

    def test_maps_of_other_shapes_are_an_error(self):
        with pytest.raises(ValueError, match=r"\(1, 8, 4, 4\) and teacher \(1, 8, 2, 2\)"):
            feature_map_loss(torch.zeros(1, 8, 4, 4), torch.zeros(1, 8, 2, 2))


class TestArguments:
    @pytest.mark.parametrize("kind", ["teacher", "student"])
    @pytest.mark.parametrize("preset", PRESETS)
    def test_presets_are_the_published_hyperparameters(self, preset, kind, tmp_path):
        arguments = DPIQATrainingArguments.from_preset(preset, kind, str(tmp_path), use_cpu=True)
        assert arguments.learning_rate == (1e-5 if kind == "teacher" else 1e-4)
        assert arguments.learning_rate_drops
        assert bool(arguments.feature_map_weight) == (kind == "student")

    def test_what_is_given_wins_over_the_preset(self, tmp_path):
        assert (
            DPIQATrainingArguments.from_preset("clive", "student", str(tmp_path), num_train_epochs=2).num_train_epochs
            == 2
        )

    def test_nothing_to_learn_is_an_error(self, tmp_path):
        with pytest.raises(ValueError, match="All loss weights are 0"):
            DPIQATrainingArguments(str(tmp_path), mse_weight=0.0)

    def test_unknown_presets_are_errors(self, tmp_path):
        with pytest.raises(ValueError, match=r"'tid'.*expected clive"):
            DPIQATrainingArguments.from_preset("tid", "student", str(tmp_path))


class TestTrainer:
    def test_losses_are_logged_by_name(self, train):
        history = train(ranking_weight=0.5, plcc_weight=0.1).state.log_history
        assert {"loss", "mse_loss", "ranking_loss", "plcc_loss"} <= history[0].keys()

    def test_the_column_group_reaches_the_loss(self, train, rows, tiny_processor):
        grouped = rows["train"].remove_columns("group").add_column("group", ["a", "b"] * 6)
        photos = PhotoDataset(grouped, tiny_processor)
        assert [int(photos[row]["group"]) for row in range(4)] == [0, 1, 0, 1]
        log = train(train_set=photos, per_device_train_batch_size=12, group_plcc_weight=1.0).state.log_history
        assert 0 < log[0]["group_plcc_loss"] <= 2

    def test_accumulating_four_batches_is_one_large_batch(self, train, tiny_student):
        tiny_student.config.freeze_batch_norm = True
        options = {"max_steps": 3, "learning_rate": 1e-3}
        whole = train(copy.deepcopy(tiny_student), per_device_train_batch_size=12, **options)
        parts = train(tiny_student, per_device_train_batch_size=3, gradient_accumulation_steps=4, **options)
        torch.testing.assert_close(parts.model.state_dict(), whole.model.state_dict(), rtol=1e-3, atol=1e-4)

    def test_tensorboard_gets_the_losses_and_the_figures(self, train, tmp_path):
        reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        train(report_to="tensorboard", eval_strategy="steps", eval_steps=2, ranking_weight=1.0)
        (log,) = (tmp_path / "run").rglob("events.out.tfevents.*")
        events = reader.EventAccumulator(str(log))
        events.Reload()
        assert {"train/loss", "train/mse_loss", "train/ranking_loss", "eval/srcc"} <= set(events.Tags()["scalars"])

    def test_validation_reports_the_fields_figures(self, train):
        metrics = train(eval_strategy="steps", eval_steps=2).evaluate()
        assert {"eval_srcc", "eval_plcc", "eval_rmse"} <= metrics.keys()

    def test_constant_scores_have_finite_metrics(self):
        class Prediction:
            predictions, label_ids = np.full(4, 0.5), np.arange(4) / 4

        assert score_metrics(Prediction)["srcc"] == 0

    def test_a_diverged_model_is_worse_than_any_other(self):
        class Prediction:
            predictions, label_ids = np.full(4, np.nan), np.arange(4) / 4

        assert score_metrics(Prediction) == {"srcc": -1, "plcc": -1, "rmse": np.inf}

    def test_feature_maps_alone_can_be_evaluated(self, train, rows, tiny_processor, tmp_path):
        targets = TeacherTargets(teachers.teacher(feature_size=64), tiny_processor, tmp_path / "feature-maps")
        photos = PhotoDataset(rows["train"], tiny_processor, cache=targets)
        options = {"mse_weight": 0.0, "feature_map_weight": 1.0}
        trainer = train(None, DPIQADistillationTrainer, photos, **options)
        assert trainer.evaluate()["eval_loss"] == pytest.approx(trainer.evaluate()["eval_rmse"] ** 2, rel=1e-4)

    def test_feature_maps_without_distillation_are_an_error(self, train):
        with pytest.raises(ValueError, match="use DPIQADistillationTrainer"):
            train(feature_map_weight=1.0)

    @pytest.mark.parametrize("option", ["remove_unused_columns", "bf16_full_eval"])
    def test_options_that_cannot_work_are_errors(self, tmp_path, option):
        with pytest.raises(ValueError, match=option):
            DPIQATrainingArguments(str(tmp_path), **{option: True})

    @pytest.mark.parametrize("native", [True, False])
    def test_bfloat16_where_it_is_slow_is_said(self, tmp_path, monkeypatch, caplog, native):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
        DPIQATrainingArguments(str(tmp_path), use_cpu=True)
        assert not caplog.text
        DPIQATrainingArguments(str(tmp_path), use_cpu=True, bf16=True)
        assert ("This CPU has no instructions for bfloat16" in caplog.text) is not native

    def test_scores_are_read_in_float32_under_autocast(self, train, tiny_student):
        spatial = DPIQAStudent(tiny_config(head="spatial", feature_size=16))
        for model in (tiny_student, spatial, teachers.teacher()):
            trainer = train(model, bf16=True, max_steps=1)
            scores = trainer.predict(trainer.train_dataset).predictions
            assert not np.array_equal(scores, torch.tensor(scores).bfloat16().float().numpy())

    def test_backbone_and_head_have_their_rates(self, train):
        groups = train(learning_rate=1e-4, head_learning_rate=1e-2).optimizer.param_groups
        assert [group["initial_lr"] for group in groups] == [1e-4, 1e-2]
        assert all(group["weight_decay"] == 0 for group in groups)

    def test_the_rate_drops_at_the_given_epochs(self, train):
        trainer = train(
            max_steps=-1, num_train_epochs=3, learning_rate=1.0, learning_rate_drops=[1, 2], logging_steps=1
        )
        rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
        assert rates == pytest.approx([1.0] * 3 + [0.2] * 3 + [0.04] * 3)

    def test_the_rate_drops_in_time_without_the_last_batch(self, train):
        # 12 photos in batches of 5: two steps an epoch.
        options = {"per_device_train_batch_size": 5, "dataloader_drop_last": True, "logging_steps": 1}
        trainer = train(max_steps=-1, num_train_epochs=2, learning_rate=1.0, learning_rate_drops=[1], **options)
        rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
        assert rates == pytest.approx([1.0] * 2 + [0.2] * 2)

    def test_a_resumed_run_is_bit_equal_to_an_uninterrupted_one(self, train, tmp_path):
        whole = train(output_dir=str(tmp_path / "whole"), save_strategy="steps", save_steps=2)
        again = train(output_dir=str(tmp_path / "again"), resume=str(tmp_path / "whole" / "checkpoint-2"))
        expected = whole.model.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in again.model.state_dict().items())

    def test_a_teacher_can_be_trained(self, train):
        teacher = teachers.teacher()
        before = copy.deepcopy(teacher.state_dict())
        after = train(teacher, ranking_weight=1.0).model.state_dict()
        changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
        assert changed == {"unet", "text_adapter", "image_adapter", "decoder"}

    def test_with_cached_latents_a_teacher_trains_the_same_without_its_autoencoder(
        self, train, rows, tiny_processor, tmp_path
    ):
        expected = train(teachers.teacher(), ranking_weight=1.0, logging_steps=1).state.log_history
        teacher = teachers.teacher()
        latents = AutoencoderLatents(teacher, tiny_processor, tmp_path / "latents")
        photos = PhotoDataset(rows["train"], tiny_processor, cache=latents)
        teacher.autoencoder.encode = None
        history = train(teacher, train_set=photos, ranking_weight=1.0, logging_steps=1).state.log_history
        losses = [[entry["loss"] for entry in entries if "loss" in entry] for entries in (history, expected)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)

    def test_drops_multiply_the_schedule_also_with_a_number_of_steps(self, train):
        options = {"learning_rate": 1.0, "learning_rate_drops": [1], "lr_scheduler_type": "linear", "logging_steps": 1}
        trainer = train(max_steps=6, num_train_epochs=15, **options)
        rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
        assert rates == pytest.approx([1, 5 / 6, 4 / 6, 0.2 * 3 / 6, 0.2 * 2 / 6, 0.2 * 1 / 6])

    def test_every_epoch_shows_the_next_augmentation(self, train, rows, tiny_processor):
        class Shown(PhotoDataset):
            epochs: list = []

            def __getitem__(self, index):
                self.epochs.append(int(self._epoch))
                return super().__getitem__(index)

        photos = Shown(rows["train"], tiny_processor, augmentations=["original", "mirrored"])
        train(train_set=photos, max_steps=-1, num_train_epochs=3)
        assert photos.epochs == [0] * 12 + [1] * 12 + [2] * 12
