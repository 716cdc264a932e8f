"""Command lines of the training scripts: dataclasses of arguments, a YAML file, published presets."""

from __future__ import annotations

import json
import sys
from argparse import SUPPRESS, Action, ArgumentDefaultsHelpFormatter, ArgumentError, ArgumentParser, Namespace
from collections.abc import Container, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import yaml
from transformers import HfArgumentParser
from transformers.hf_argparser import string_to_bool


class ScriptParser(HfArgumentParser):
    """`transformers.HfArgumentParser` with `--config file.yaml` and, where there are presets, `--preset name`.

    The command line wins over the file, the file over the preset, the preset over the defaults.

    Args:
        dataclass_types: What the arguments become.
        presets: Values of arguments by the preset's name.
        help_texts: What `--help` says of arguments in place of their own text.
        hidden: Names of arguments that `--help` leaves out and `--help-all` shows.
        **kwargs: Further arguments of `HfArgumentParser`.

    Example:
        >>> parser = ScriptParser([DPIQATrainingArguments], presets={"koniq": {"num_train_epochs": 15}})
        >>> parser.parse_args_into_dataclasses(["--config", "run.yaml", "--seed", "1"])
    """

    def __init__(
        self,
        dataclass_types: Any = None,
        *,
        presets: Mapping[str, Mapping[str, Any]] | None = None,
        help_texts: Mapping[str, str] | None = None,
        hidden: Container[str] = (),
        **kwargs: Any,
    ):
        defaults = {"usage": "%(prog)s [--config run.yaml] [arguments]", "allow_abbrev": False, "add_help": False}
        super().__init__(dataclass_types, **({"formatter_class": _Formatter} | defaults | kwargs))
        self.presets = presets or {}
        self.hidden = {action: action.help for action in self._actions if action.dest in hidden}
        for action in self._actions:
            action.help = (help_texts or {}).get(action.dest, action.help)
            if isinstance(action.metavar, tuple):
                action.nargs = len(action.metavar)
        self.add_argument("-h", "--help", action="help", help="show this message and exit")
        if self.hidden:
            self.add_argument(
                "--help-all",
                action=_HelpAll,
                nargs=0,
                default=SUPPRESS,
                help="show the arguments of transformers as well, and exit",
            )
            for action in self.hidden:
                action.help = SUPPRESS
        self._files = ArgumentParser(add_help=False, allow_abbrev=False)
        for parser in (self._files, self):
            parser.add_argument("--config", metavar="FILE", help="YAML file with values of these arguments")
            if self.presets:
                parser.add_argument("--preset", choices=self.presets, help="published values for a data set")

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Namespace, list[str]]:
        chosen, _ = self._files.parse_known_args(args)
        values = self._read(chosen.config) if chosen.config else {}
        preset = getattr(chosen, "preset", None) or values.pop("preset", None)
        if preset is not None and preset not in self.presets:
            self.error(f"unknown preset {preset!r}: expected {', '.join(self.presets) or 'none'}")
        for name, value in {**self.presets.get(preset, {}), **values}.items():
            # By any of its names; where several actions share a destination, the first takes a value.
            option = self._option_string_actions.get(f"--{name}")
            if option is None:
                self.error(f"{chosen.config}: unknown argument {name}{_suggestion(f'--{name}', self)}")
            action = next(action for action in self._actions if action.dest == option.dest)
            action.required = False
            self.set_defaults(**{action.dest: self._converted(action, value)})
        namespace, rest = super().parse_known_args(args, namespace)
        for name in ("config", "preset"):
            if hasattr(namespace, name):
                delattr(namespace, name)
        return namespace, rest

    def parse_args_into_dataclasses(self, args: Sequence[str] | None = None, **kwargs: Any) -> tuple[Any, ...]:
        *parsed, rest = super().parse_args_into_dataclasses(
            args, return_remaining_strings=True, look_for_args_file=False, **kwargs
        )
        if rest:
            self.error(f"unknown argument {rest[0]}{_suggestion(rest[0], self)}")
        return tuple(parsed)

    def error(self, message: str) -> NoReturn:
        """Ends with status 2 and one sentence."""
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)

    def _match_argument(self, action: Action, arg_strings_pattern: str) -> int:
        """Names the values of an option that takes several, and the option as the help has it."""
        try:
            return super()._match_argument(action, arg_strings_pattern)
        except ArgumentError as error:
            if action.option_strings:
                error.argument_name = ", ".join(_names(action))
            if isinstance(action.metavar, tuple):
                error.message = f"expected {len(action.metavar)} values, {' and '.join(action.metavar)}"
            raise

    def _read(self, path: str) -> dict[str, Any]:
        if not Path(path).is_file():
            self.error(f"there is no file {path}")
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            self.error(f"{path}: {error}")
        if not isinstance(values, dict):
            self.error(f"{path}: expected lines of `argument: value`")
        return values

    def _converted(self, action: Any, value: Any) -> Any:
        """A value of the file as the command line would have made it; YAML reads 1e-4 as text, and no as False."""
        if value is None:
            return None
        several = action.nargs == "+" or isinstance(action.nargs, int)
        if several or isinstance(value, list):
            return [self._one(action, one) for one in (value if isinstance(value, list) else [value])]
        return self._one(action, value)

    def _one(self, action: Any, value: Any) -> Any:
        if isinstance(value, dict):
            value = json.dumps(value)
        if value is False and action.choices is None and action.type is not string_to_bool:
            value = "no"
        try:
            converted = self._get_value(action, str(value))
            self._check_value(action, converted)
        except ArgumentError as error:
            self.error(str(error))
        return converted


def _suggestion(name: str, parser: ScriptParser) -> str:
    close = get_close_matches(name.replace("_", "-"), [name for action in parser._actions for name in _names(action)])
    return f" (did you mean {close[0]}?)" if close else ""


def _names(action: Action) -> list[str]:
    """An option as it is shown: with hyphens, under its short names where it has them."""
    hyphens = [name for name in action.option_strings if "_" not in name]
    others = [name for name in hyphens if name.removeprefix("--").replace("-", "_") != action.dest]
    return sorted(others if any(name.startswith("--") for name in others) else hyphens, key=len)


class _HelpAll(Action):
    def __call__(self, parser: Any, *args: Any, **kwargs: Any) -> NoReturn:
        for action, text in parser.hidden.items():
            action.help = text
        parser.print_help()
        raise SystemExit(0)


class _Formatter(ArgumentDefaultsHelpFormatter):
    """Options with hyphens, and defaults where they say something."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=34)

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        # A switch is shown without its optional true or false.
        value = "" if action.nargs in (0, "?") else " " + self._format_args(action, _metavar(action))
        return ", ".join(_names(action)) + value

    def _get_help_string(self, action: Action) -> str | None:
        if action.default is False or action.default in (None, -1, [], SUPPRESS):  # 0 == False, but says something
            return action.help
        return super()._get_help_string(action)


def _metavar(action: Action) -> str:
    return "NUMBER" if action.type in (int, float) else "TEXT"


__all__ = ["ScriptParser"]
