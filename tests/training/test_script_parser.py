"""Command lines of the training scripts."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from dpiqa.training.script_parser import ScriptParser


@dataclass
class Arguments:
    data: str = field(metadata={"help": "where the photos are"})
    learning_rate: float = 1e-4
    drops: list[float] = field(default_factory=list)
    mirror: bool = False
    limit: int | None = None
    rank: int = field(default=0, metadata={"help": "rank of the updates"})
    options: str | None = None
    head: Literal["spatial", "pooled"] = "pooled"


@pytest.fixture
def parse(tmp_path):
    def parse(*arguments, config=None):
        parser = ScriptParser([Arguments], presets={"koniq": {"learning_rate": 1e-5, "drops": [5.0]}}, prog="script")
        if config is not None:
            (tmp_path / "run.yaml").write_text(config)
            arguments = ("--config", str(tmp_path / "run.yaml"), *arguments)
        return parser.parse_args_into_dataclasses(list(arguments))[0]

    return parse


def test_without_anything_it_is_the_defaults(parse):
    assert parse("--data", "a.csv") == Arguments("a.csv")


def test_command_line_over_file_over_preset(parse):
    config = "preset: koniq\ndata: a.csv\nlearning_rate: 1e-3\n"
    assert parse(config=config) == Arguments("a.csv", learning_rate=1e-3, drops=[5.0])
    assert parse("--learning_rate", "1", config=config).learning_rate == 1
    assert parse("--data", "a.csv", "--preset", "koniq").learning_rate == 1e-5


def test_values_of_a_file_have_the_arguments_types(parse):
    config = "data: 2021\nmirror: true\ndrops: [1, 2e0]\nlimit: 3"
    assert parse(config=config) == Arguments("2021", drops=[1.0, 2.0], mirror=True, limit=3)
    assert parse(config="data: a\nlimit: null").limit is None
    assert parse(config="data: no\ndrops: 5") == Arguments("no", drops=[5.0])
    assert parse(config="data: a\noptions: {b: 1}").options == '{"b": 1}'


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("data: a\nlerning_rate: 1", "unknown argument lerning_rate"),
        ("- data", "expected lines of `argument: value`"),
        ("data: [a", "run.yaml: while parsing"),
        ("data: a\npreset: live", "unknown preset 'live': expected koniq"),
        ("data: a\nlearning_rate: fast", "invalid float value: 'fast'"),
        ("data: a\nhead: wrong", "invalid choice: 'wrong'"),
        ("mirror: true", "the following arguments are required: --data"),
    ],
)
def test_what_is_wrong_is_said(parse, capsys, config, message):
    with pytest.raises(SystemExit):
        parse(config=config)
    assert message in capsys.readouterr().err


def test_abbreviations_are_not_taken_for_other_options(parse, capsys):
    with pytest.raises(SystemExit):
        parse("--data", "a.csv", "--conf", "run.yaml")
    assert "unknown argument --conf (did you mean --config?)" in capsys.readouterr().err


def test_help_shows_a_default_of_zero_but_none_of_a_switch():
    shown = " ".join(ScriptParser([Arguments], prog="script").format_help().split())
    assert "rank of the updates (default: 0)" in shown
    assert "(default: False)" not in shown


def test_a_missing_file_is_said(parse, capsys):
    with pytest.raises(SystemExit):
        parse("--config", "nowhere.yaml")
    assert "there is no file nowhere.yaml" in capsys.readouterr().err
