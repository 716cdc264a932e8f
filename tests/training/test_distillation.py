"""Distillation with the teacher run once, and the cache that remembers what it said."""

import copy
import multiprocessing
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from dpiqa import DPIQAImageProcessor, DPIQAModel, ImageError
from dpiqa.data.schema import features
from dpiqa.training import photo_cache
from dpiqa.training.augmentations import augmented_pixels
from dpiqa.training.distillation import DPIQADistillationTrainer, TeacherTargets
from dpiqa.training.latents import AutoencoderLatents
from dpiqa.training.photo_dataset import PhotoDataset
from support import teachers
from support.cache_writer import fill


@pytest.fixture
def processor():
    return DPIQAImageProcessor(size={"height": 32, "width": 32})


@pytest.fixture
def teacher():
    return teachers.teacher(feature_size=64)


@pytest.fixture
def targets(tmp_path, teacher, processor):
    return TeacherTargets(teacher, processor, tmp_path / "feature-maps", dtype=torch.float32)


@pytest.fixture
def progress_bars():
    """Bars of transformers, which commands that another test called may have turned off, and which stay off then."""
    were_on = logging.is_progress_bar_enabled()
    logging.enable_progress_bar()
    yield
    if not were_on:
        logging.disable_progress_bar()


class TestTargets:
    def test_they_are_what_the_teacher_says(self, targets, teacher, rows, tiny_processor, processor):
        photos = PhotoDataset(rows["train"], tiny_processor, cache=targets)
        with torch.no_grad():
            expected = teacher(augmented_pixels(rows["train"][3]["image"], processor)[None])
        torch.testing.assert_close(
            photos[3]["teacher_feature_map"].float(), expected.feature_map[0], rtol=1e-2, atol=1e-3
        )
        assert photos[3]["pixel_values"].shape == (3, 64, 64)

    def test_the_teacher_runs_once_per_photo_and_augmentation(self, targets, teacher, rows, processor, tmp_path):
        targets.fill(rows["train"])
        assert targets.computed == 12
        again = TeacherTargets(teacher, processor, tmp_path / "feature-maps", dtype=torch.float32)
        again.fill(rows["train"])
        assert again.computed == 0
        again.fill(rows["train"], ["original", "mirrored"])
        assert again.computed == 12

    @pytest.mark.usefixtures("progress_bars")
    def test_the_progress_bar_says_what_is_computed(self, targets, rows, capsys):
        targets.fill(rows["test"].select([0]))
        assert "teacher feature map: 100%" in capsys.readouterr().err

    def test_the_processes_of_a_run_share_the_photos(self, targets, rows, monkeypatch):
        computed = []
        state = SimpleNamespace(
            process_index=1, num_processes=2, wait_for_everyone=lambda: computed.append(targets.computed)
        )
        monkeypatch.setattr(photo_cache, "PartialState", lambda: state)
        targets.fill(rows["train"])
        assert computed == [6]
        # Nobody did the first process's part, as when every machine has a disk of its own.
        assert targets.computed == 12

    def test_workers_that_decode_change_nothing(self, targets, teacher, rows, processor, tmp_path):
        (alone,) = targets.fill(rows["test"].select([0]))
        other = TeacherTargets(teacher, processor, tmp_path / "other", dtype=torch.float32)
        (helped,) = other.fill(rows["test"].select([0]), num_workers=1)
        torch.testing.assert_close(load_file(alone[0]), load_file(helped[0]))

    def test_photos_inside_a_data_set_are_known_by_their_content(self, targets, rows):
        images = [{"bytes": Path(row["image"]["path"]).read_bytes(), "path": None} for row in rows["test"]]
        columns = {name: rows["test"][name][:] for name in rows["test"].column_names}
        inside = Dataset.from_dict(columns | {"image": images}, features=features())
        assert targets.fill(inside) == targets.fill(rows["test"])
        assert targets.computed == 2

    def test_half_files_are_mended(self, targets, rows):
        files = targets.fill(rows["train"])
        files[0][0].write_bytes(b"half a file")
        files[1][0].unlink()
        targets.fill(rows["train"])
        assert targets.computed == 14
        assert load_file(files[0][0])["teacher_feature_map"].shape == (8, 64, 64)

    def test_files_that_a_disk_has_changed_are_mended(self, targets, rows):
        files = targets.fill(rows["train"])
        data = bytearray(files[0][0].read_bytes())
        data[-3000] ^= 1
        files[0][0].write_bytes(data)
        nan = {"teacher_feature_map": torch.full((8, 64, 64), torch.nan, dtype=torch.float16)}
        save_file(nan, files[1][0])
        targets.fill(rows["train"])
        assert targets.computed == 14
        assert load_file(files[1][0])["teacher_feature_map"].isfinite().all()

    def test_a_file_without_all_tensors_is_computed_again(self, targets, rows, tmp_path):
        files = targets.fill(rows["test"])
        save_file({"teacher_feature_map": torch.zeros(1)}, files[0][0])
        targets.fill(rows["test"])
        assert targets.computed == 3

    def test_damaged_photos_are_named_before_training_starts(self, targets, rows, tiny_processor, tmp_path):
        (tmp_path / "damaged.png").write_bytes(Path(rows["test"][0]["image"]["path"]).read_bytes()[:-60])
        columns = {name: rows["test"][name][:] for name in rows["test"].column_names}
        images = [str(tmp_path / "damaged.png"), rows["test"][1]["image"]["path"]]
        photos = Dataset.from_dict(columns | {"image": images}, features=features())
        with pytest.raises(ImageError, match=r"damaged\.png"):
            PhotoDataset(photos, tiny_processor, cache=targets)

    def test_maps_that_float16_cannot_hold_are_an_error(self, teacher, processor, rows, tmp_path):
        teacher.decoder.map_convs[-1].bias.data.fill_(1e6)
        with pytest.raises(ValueError, match="not finite numbers in float16"):
            TeacherTargets(teacher, processor, tmp_path, dtype=torch.float32).fill(rows["test"])

    def test_another_teacher_processor_or_type_has_its_own(self, teacher, processor, tiny_processor, tmp_path):
        other = copy.deepcopy(teacher)
        other.decoder.fuse_conv.bias.data[0] += 1
        caches = [
            TeacherTargets(teacher, processor, tmp_path, dtype=torch.float32),
            TeacherTargets(other, processor, tmp_path, dtype=torch.float32),
            TeacherTargets(teacher, tiny_processor, tmp_path, dtype=torch.float32),
            TeacherTargets(teacher, processor, tmp_path, dtype=torch.bfloat16),
        ]
        assert len({cache.folder for cache in caches}) == 4

    def test_a_saved_moved_or_calibrated_teacher_keeps_its_own(self, teacher, targets, processor, tmp_path):
        teacher.config.interval_half_width = 0.1
        teacher.save_pretrained(tmp_path / "teacher")
        processor.save_pretrained(tmp_path / "teacher")
        saved = DPIQAModel.from_pretrained(tmp_path / "teacher")
        its_processor = DPIQAImageProcessor.from_pretrained(tmp_path / "teacher")
        again = TeacherTargets(saved, its_processor, tmp_path / "feature-maps", dtype=torch.float32)
        assert again.folder == targets.folder


class TestWriters:
    """Processes that fill one folder."""

    @pytest.fixture
    def start(self, teacher, processor, rows, tmp_path):
        teacher.save_pretrained(tmp_path / "teacher")

        def start(slow=False):
            arguments = (tmp_path / "teacher", processor, tmp_path / "feature-maps", rows["train"], slow)
            process = multiprocessing.get_context("spawn").Process(target=fill, args=arguments)
            process.start()
            return process

        return start

    def test_two_at_once_leave_complete_files(self, start, targets, rows):
        processes = [start(), start()]
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0, 0]
        self._all_there(targets, rows)

    def test_a_killed_one_is_continued(self, start, targets, rows):
        process = start(slow=True)
        while not list(targets.folder.glob("*/*.safetensors")) and process.is_alive():
            process.join(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        done = len(list(targets.folder.glob("*/*.safetensors")))
        assert 0 < done < 12
        targets.fill(rows["train"])
        assert targets.computed == 12 - done
        self._all_there(targets, rows)

    def _all_there(self, targets, rows):
        computed = targets.computed
        files = targets.fill(rows["train"])
        assert targets.computed == computed
        assert all(load_file(path)["teacher_feature_map"].isfinite().all() for (path,) in files)


class TestLatents:
    def test_they_are_the_autoencoders(self, rows, tiny_processor, tmp_path):
        teacher = teachers.teacher()
        photos = PhotoDataset(
            rows["test"], tiny_processor, cache=AutoencoderLatents(teacher, tiny_processor, tmp_path)
        )
        expected = teacher.encode(photos[1]["pixel_values"][None])[0]
        torch.testing.assert_close(photos[1]["latents"], expected)

    def test_teachers_with_one_autoencoder_share_them(self, tiny_processor, tmp_path):
        teacher, other = teachers.teacher(), teachers.teacher(timestep=2)
        other.decoder.fuse_conv.bias.data[0] += 1
        folder = AutoencoderLatents(teacher, tiny_processor, tmp_path).folder
        assert AutoencoderLatents(other, tiny_processor, tmp_path).folder == folder
        symmetric = teachers.teacher(pixel_range="symmetric")
        assert AutoencoderLatents(symmetric, tiny_processor, tmp_path).folder != folder

    def test_sampled_latents_cannot_be_kept(self, tiny_processor, tmp_path):
        with pytest.raises(ValueError, match=r'latent_sampling="sample".*set it to "mode"'):
            AutoencoderLatents(teachers.teacher(latent_sampling="sample"), tiny_processor, tmp_path)


class TestAugmentations:
    def test_photos_take_turns(self, rows, tiny_processor, targets):
        photos = PhotoDataset(rows["train"], tiny_processor, augmentations=["original", "mirrored"], cache=targets)
        first = photos[4]
        photos.set_epoch(1)
        second = photos[4]
        torch.testing.assert_close(second["pixel_values"], first["pixel_values"].flip(-1))
        assert not torch.equal(second["teacher_feature_map"], first["teacher_feature_map"])
        photos.set_epoch(2)
        assert torch.equal(photos[4]["teacher_feature_map"], first["teacher_feature_map"])

    def test_half_of_the_photos_start_mirrored(self, rows, tiny_processor):
        plain = PhotoDataset(rows["train"], tiny_processor)
        both = PhotoDataset(rows["train"], tiny_processor, augmentations=["original", "mirrored"])
        same = [torch.equal(plain[row]["pixel_values"], both[row]["pixel_values"]) for row in range(12)]
        assert same == [True, False] * 6

    @pytest.mark.parametrize(
        ("augmentations", "message"),
        [(["cropped"], "Unknown augmentation 'cropped'"), ([], "at least one augmentation")],
    )
    def test_unknown_ones_are_errors(self, rows, tiny_processor, augmentations, message):
        with pytest.raises(ValueError, match=message):
            PhotoDataset(rows["train"], tiny_processor, augmentations=augmentations)[0]


class TestTrainer:
    def test_the_student_comes_nearer_to_the_teacher(self, targets, rows, train, tiny_processor):
        photos = PhotoDataset(rows["train"], tiny_processor, cache=targets)
        options = {"max_steps": 30, "learning_rate": 3e-3, "feature_map_weight": 1.0, "logging_steps": 5}
        history = train(None, DPIQADistillationTrainer, photos, **options).state.log_history
        maps = [entry["feature_map_loss"] for entry in history if "feature_map_loss" in entry]
        assert maps[-1] < 0.8 * maps[0]

    def test_the_teacher_is_not_in_the_students_checkpoint(
        self, targets, rows, train, tiny_processor, tiny_student, tmp_path
    ):
        photos = PhotoDataset(rows["train"], tiny_processor, cache=targets)
        train(None, DPIQADistillationTrainer, photos, feature_map_weight=1.0).save_model(str(tmp_path / "student"))
        assert load_file(tmp_path / "student" / "model.safetensors").keys() == tiny_student.state_dict().keys()

    def test_photos_without_targets_are_an_error(self, train):
        with pytest.raises(ValueError, match="give their PhotoDataset cache=TeacherTargets"):
            train(None, DPIQADistillationTrainer, feature_map_weight=1.0)
