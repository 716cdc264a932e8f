"""Cards of trained checkpoints, word by word."""

import re

import pytest
from huggingface_hub import ModelCard

from dpiqa.hub.push import UploadError, check_upload
from dpiqa.training.model_card import DPIQAModelCard
from dpiqa.training.run import Run
from dpiqa.training.run_arguments import RunArguments

PATTERN = r"""---
library_name: dpiqa
license: apache-2\.0
tags:
- image-quality-assessment
- blind-image-quality-assessment
- iqa
- dpiqa-student
model-index:
- name: my-student
  results:
  - task:
      type: image-quality-assessment
    dataset:
      name: my photos, test
      type: my photos
      split: test
    metrics:
    - type: srcc
      value: -?\d\.\d+
      name: SRCC
    - type: plcc
      value: -?\d\.\d+
      name: PLCC
    - type: rmse
      value: \d\.\d+
      name: RMSE
---

# my-student

This model .+ It is a DP-IQA student \(\[arXiv 2405\.19996\]\(https://arxiv\.org/abs/2405\.19996\)\), trained
with dpiqa\. It has \d[\d,]+ parameters and an input of 64x64 pixels\.

## Use

```python
from dpiqa import Scorer

Scorer\.from_pretrained\("my-student"\)\("photo\.jpg"\)  # score, percentile, interval
```

The score estimates the mean opinion score, mapped to \[0, 1\]\. Higher is better\.

## Intended use

Ranking and filtering photographs like those that it was trained on by how good they look\.

## Limits

- Scores reflect .+
  those below\.
- It sees the whole photo resized to 64x64\. .+
- Pictures that are blurred .+
- There is no interval: too few photos were left to calibrate one\. The percentile .+

## Training

\| \| \|
\|---\|---\|
\| data \| my photos: 12 photos to train, 2 to choose the epoch, 0 to calibrate the interval, 2 to test \|
\| start \| `tiny` \|
\| trained \| \d[\d,]+ parameters \|
\| loss \| 1 x mse \+ 0\.5 x ranking \|
\| learning_rate \| 0\.0001 \|
\| lr_scheduler_type \| constant \|
\| num_train_epochs \| 2 \|
\| per_device_train_batch_size \| 4 \|
\| gradient_accumulation_steps \| 1 \|
\| world_size \| 1 \|
\| seed \| 42 \|

```bash
python train\.py --data 'my photos\.csv'
```

\| Training Loss +\| Epoch +\| Step +\| Validation Loss +\| SRCC +\| PLCC +\| RMSE +\|
\|[-:| ]+\|
\| \d\.\d+ +\| 1\.0 +\| 3 +\|( -?\d\.\d+ +\|){4}
\| \d\.\d+ +\| 2\.0 +\| 6 +\|( -?\d\.\d+ +\|){4}

## Figures

\| model \| data \| .+ \|
\|[-|]+\|
\| my-student \| my photos \| test \| 2 \| .+ \|
(
Note: .+
)*
The test photos were scored only at the end, by the checkpoint as `Scorer` loads it\. SRCC, KRCC and PLCC are .+
on the scale of \[0, 1\]\. Intervals are 95 % bootstrap intervals\.

## Licence of the data

Ours\.

## Citation

```bibtex
@article\{fu2024dpiqa,
(  .+
){4}\}
```"""


@pytest.fixture
def trained(train, rows, tiny_processor, tmp_path, monkeypatch):
    """A finished run with its card."""
    monkeypatch.setattr("sys.argv", ["train.py", "--data", "my photos.csv"])
    options = {"ranking_weight": 0.5, "max_steps": -1, "num_train_epochs": 2, "eval_strategy": "epoch"}
    trainer = train(output_dir=str(tmp_path / "my-student"), **options)
    arguments = RunArguments("my photos", data_licence="Ours.", licence="apache-2.0", resamples=10)
    splits = Splits({split: rows[part] for split, part in PARTS.items()})
    run = Run(arguments, trainer.args, splits, splits["validation"], None, None)
    run.finish(trainer, tiny_processor, start="`tiny`")
    return tmp_path / "my-student"


PARTS = {"train": "train", "validation": "test", "test": "test"}


class Splits(dict):
    """Splits that came with the data set."""

    official, mos_range = True, (0.0, 1.0)


def test_the_whole_text(trained):
    assert re.fullmatch(PATTERN, (trained / "README.md").read_text())


def test_it_is_valid_on_the_hub(trained):
    card = ModelCard.load(trained / "README.md")
    assert [result.metric_type for result in card.data.eval_results] == ["srcc", "plcc", "rmse"]
    for name in ("training_args.bin", "results.json", "results.md"):
        (trained / name).unlink()
    found = {file.name: file.found for file in check_upload(trained)}
    assert found["README.md"] == "model card, apache-2.0"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("license: apache-2.0\n", "", "no license"),
        ("value: ", "number: ", "model_index"),
        ("## Use", "{{ use }}", "{{ use }}"),
    ],
)
def test_what_is_wrong_with_it_is_found_without_the_hub(trained, old, new, message):
    card = trained / "README.md"
    card.write_text(card.read_text().replace(old, new))
    with pytest.raises(UploadError, match=message):
        check_upload(trained)


def test_a_released_set_brings_its_licence_and_citation():
    card = RunArguments("koniq10k").card("runs/student", start="`x`")
    assert (card.name, card.data) == ("student", "KonIQ-10k")
    assert card.data_licence != DPIQAModelCard("a", "b", "c", "d").data_licence
    assert "Hosu" in card.data_citation
