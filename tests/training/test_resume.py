"""Runs that go on where they were cut off, and none that starts over an older model unasked."""

import pytest

from dpiqa.training.resume import newest_whole_checkpoint, prepare_output


@pytest.fixture
def run(train, tmp_path):
    """A run of four steps with a checkpoint at the second and at the fourth."""
    train(save_strategy="steps", save_steps=2)
    return tmp_path / "run"


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_the_newest_checkpoint_is_taken(run):
    assert newest_whole_checkpoint(run).name == "checkpoint-4"


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"]
)
def test_one_that_was_cut_off_is_passed_over(run, name, train):
    truncate(run / "checkpoint-4" / name)
    assert prepare_output(run, overwrite=False, resume="last") == str(run / "checkpoint-2")
    train(resume=str(newest_whole_checkpoint(run)))
    with pytest.raises(FileNotFoundError, match=f"{name} (is missing or cut off|cannot be read)"):
        prepare_output(run, overwrite=False, resume=str(run / "checkpoint-4"))


def test_one_that_was_cut_off_before_its_last_files_is_passed_over(run):
    (run / "checkpoint-4" / "trainer_state.json").unlink()
    assert newest_whole_checkpoint(run).name == "checkpoint-2"


def test_the_best_one_is_found_where_the_run_was_moved_to(train, tmp_path):
    options = {"max_steps": -1, "num_train_epochs": 2, "save_strategy": "epoch", "eval_strategy": "epoch"}
    options["load_best_model_at_end"] = True
    best = train(**options).state.best_model_checkpoint
    (tmp_path / "moved").mkdir()
    moved = (tmp_path / "run").rename(tmp_path / "moved" / "run")
    resume = prepare_output(moved, overwrite=False, resume="last")
    state = train(resume=resume, output_dir=str(moved), **options).state
    assert state.best_model_checkpoint == best.replace(str(tmp_path / "run"), str(moved))


def test_without_a_whole_one_it_is_said_what_is_wrong(run, tmp_path):
    truncate(run / "checkpoint-2" / "model.safetensors")
    truncate(run / "checkpoint-4" / "optimizer.pt")
    with pytest.raises(FileNotFoundError, match=r"checkpoint-2: model\.safetensors.*checkpoint-4: optimizer\.pt"):
        newest_whole_checkpoint(run)
    with pytest.raises(FileNotFoundError, match="no whole checkpoint in"):
        newest_whole_checkpoint(tmp_path / "empty")


def test_an_existing_model_is_not_replaced_unasked(tiny_checkpoint):
    with pytest.raises(FileExistsError, match=r"tiny-checkpoint already holds a model.*--overwrite"):
        prepare_output(tiny_checkpoint, overwrite=False, resume=None)
    assert prepare_output(tiny_checkpoint, overwrite=True, resume=None) is None
    assert (tiny_checkpoint / "model.safetensors").exists()


def test_overwriting_takes_away_the_old_runs_checkpoints(run):
    with pytest.raises(FileExistsError):
        prepare_output(run, overwrite=False, resume=None)
    prepare_output(run, overwrite=True, resume=None)
    assert not list(run.glob("checkpoint-*"))


def test_other_files_are_no_model(tmp_path):
    (tmp_path / "photos.csv").write_text("path,mos\n")
    assert prepare_output(tmp_path, overwrite=False, resume=None) is None


def test_it_goes_on_or_starts_over_but_not_both(run):
    with pytest.raises(ValueError, match="one of --overwrite and --resume"):
        prepare_output(run, overwrite=True, resume="last")


def test_a_file_in_place_of_the_folder_is_said_at_once(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(NotADirectoryError, match="run is a file: expected a folder"):
        prepare_output(tmp_path / "run", overwrite=True, resume=None)
