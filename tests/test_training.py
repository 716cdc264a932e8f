"""Training and distillation, on tiny models and real files."""

import copy
import itertools

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file

import releases
import teachers
from dpiqa import DPIQAImageProcessor
from dpiqa.data import load_iqa_dataset
from dpiqa.distillation import DistillationDataset, DPIQADistillationTrainer, TeacherTargets, targets_key
from dpiqa.losses import feature_map_loss, margin_ranking_loss, training_losses
from dpiqa.trainer import DPIQATrainer, QualityDataset, score_metrics
from dpiqa.training_arguments import PRESETS, DPIQATrainingArguments


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    releases.save_pictures(folder, [f"{index}.png" for index in range(16)])
    split = ["train"] * 12 + ["validation"] * 2 + ["test"] * 2
    labels = [{"path": f"{index}.png", "mos": index / 16, "split": split[index]} for index in range(16)]
    Dataset.from_list(labels).to_csv(folder / "labels.csv")
    return {split: load_iqa_dataset(folder / "labels.csv", split=split) for split in ("train", "test")}


@pytest.fixture
def datasets(rows, tiny_processor):
    return {split: QualityDataset(part, tiny_processor) for split, part in rows.items()}


@pytest.fixture
def train(tmp_path, tiny_student, datasets):
    def train(model=None, trainer_class=DPIQATrainer, train_set=None, resume=None, **options):
        defaults = {
            "output_dir": str(tmp_path / "run"),
            "max_steps": 4,
            "per_device_train_batch_size": 4,
            "logging_steps": 2,
            "use_cpu": True,
            "dataloader_pin_memory": False,
            "disable_tqdm": True,
            "save_strategy": "no",
        }
        trainer = trainer_class(
            model=copy.deepcopy(tiny_student) if model is None else model,
            args=DPIQATrainingArguments(**(defaults | options)),
            train_dataset=train_set or datasets["train"],
            eval_dataset=datasets["test"],
        )
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return train


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
        losses = training_losses(score, mos, weights, feature_map=maps[0], teacher_map=maps[1])
        assert losses.keys() == {"mse", "ranking", "feature_map", "loss"}
        expected = losses["mse"] + 0.5 * losses["ranking"] + 2 * losses["feature_map"]
        torch.testing.assert_close(losses["loss"], expected)

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

    def test_unknown_presets_are_errors(self, tmp_path):
        with pytest.raises(ValueError, match=r"'tid'.*expected clive"):
            DPIQATrainingArguments.from_preset("tid", "student", str(tmp_path))


class TestTrainer:
    def test_losses_are_logged_by_name(self, train):
        history = train(ranking_weight=0.5, plcc_weight=0.1).state.log_history
        assert {"loss", "mse_loss", "ranking_loss", "plcc_loss"} <= history[0].keys()

    def test_validation_reports_the_fields_figures(self, train):
        metrics = train(eval_strategy="steps", eval_steps=2).evaluate()
        assert {"eval_srcc", "eval_plcc", "eval_rmse"} <= metrics.keys()

    def test_constant_scores_have_finite_metrics(self):
        class Prediction:
            predictions, label_ids = np.full(4, 0.5), np.arange(4) / 4

        assert score_metrics(Prediction)["srcc"] == 0

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


class TestDistillation:
    @pytest.fixture
    def processor(self):
        return DPIQAImageProcessor(size={"height": 32, "width": 32})

    @pytest.fixture
    def targets(self, tmp_path, processor):
        return TeacherTargets(teachers.teacher(feature_size=64), processor, tmp_path / "targets")

    def test_targets_are_what_the_teacher_says(self, targets, rows, datasets, processor):
        distilled = DistillationDataset(rows["train"], datasets["train"].processor, targets)
        pixels = processor(datasets["train"].open(3), return_tensors="pt").pixel_values
        with torch.no_grad():
            expected = targets.teacher(pixels)
        torch.testing.assert_close(distilled[3]["teacher_map"].float(), expected.feature_map[0], rtol=1e-2, atol=1e-3)
        assert targets.read(distilled, 3)["score"] == pytest.approx(expected.score.item(), abs=1e-5)
        assert distilled[3]["pixel_values"].shape == (3, 64, 64)

    def test_the_teacher_runs_once(self, targets, rows, tiny_processor, processor, tmp_path):
        DistillationDataset(rows["train"], tiny_processor, targets)
        assert targets.computed == 12
        again = TeacherTargets(targets.teacher, processor, tmp_path / "targets")
        DistillationDataset(rows["train"], tiny_processor, again)
        assert again.computed == 0

    def test_what_a_killed_process_left_is_mended(self, targets, rows, tiny_processor):
        distilled = DistillationDataset(rows["train"], tiny_processor, targets)
        distilled.target_paths[0].write_bytes(b"half a file")
        distilled.target_paths[1].unlink()
        targets.fill(distilled)
        assert targets.computed == 14
        assert distilled[0]["teacher_map"].shape == (8, 64, 64)

    def test_another_teacher_or_processor_has_its_own_targets(self, targets, tiny_processor):
        other = copy.deepcopy(targets.teacher)
        other.decoder.fuse_conv.bias.data[0] += 1
        keys = {targets_key(teacher, targets.processor) for teacher in (targets.teacher, other)}
        keys.add(targets_key(targets.teacher, tiny_processor))
        assert len(keys) == 3

    def test_the_student_comes_nearer_to_the_teacher(self, targets, rows, train, tiny_processor):
        distilled = DistillationDataset(rows["train"], tiny_processor, targets)
        options = {"max_steps": 30, "learning_rate": 3e-3, "feature_map_weight": 1.0, "logging_steps": 5}
        history = train(None, DPIQADistillationTrainer, distilled, **options).state.log_history
        maps = [entry["feature_map_loss"] for entry in history if "feature_map_loss" in entry]
        assert maps[-1] < 0.8 * maps[0]

    def test_the_teacher_is_not_in_the_students_checkpoint(
        self, targets, rows, train, tiny_processor, tiny_student, tmp_path
    ):
        distilled = DistillationDataset(rows["train"], tiny_processor, targets)
        train(None, DPIQADistillationTrainer, distilled, feature_map_weight=1.0).save_model(str(tmp_path / "student"))
        assert load_file(tmp_path / "student" / "model.safetensors").keys() == tiny_student.state_dict().keys()

    def test_photos_without_targets_are_an_error(self, train):
        with pytest.raises(ValueError, match="make the training set a DistillationDataset"):
            train(None, DPIQADistillationTrainer, feature_map_weight=1.0)
