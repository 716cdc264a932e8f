"""Command lines of the training scripts: dataclasses of arguments, a YAML file, published presets."""

from __future__ import annotations

import json
from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser
from transformers.hf_argparser import string_to_bool


class ScriptParser(HfArgumentParser):
    """`transformers.HfArgumentParser` with `--config file.yaml` and, where there are presets, `--preset name`.

    The command line wins over the file, the file over the preset, the preset over the defaults.

    Args:
        dataclass_types: What the arguments become.
        presets: Values of arguments by the preset's name.
        **kwargs: Of `HfArgumentParser`.

    Example:
        >>> parser = ScriptParser([DPIQATrainingArguments], presets={"koniq": {"num_train_epochs": 15}})
        >>> parser.parse_args_into_dataclasses(["--config", "run.yaml", "--seed", "1"])
    """

    def __init__(
        self,
        dataclass_types: Any = None,
        *,
        presets: Mapping[str, Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ):
        defaults = {"usage": "%(prog)s [--config run.yaml] [arguments]", "allow_abbrev": False}
        super().__init__(dataclass_types, **(defaults | kwargs))
        self.presets = presets or {}
        self._files = ArgumentParser(add_help=False, allow_abbrev=False)
        for parser in (self._files, self):
            parser.add_argument("--config", help="a YAML file with values of these arguments, such as `seed: 1`")
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
        values = {**self.presets.get(preset, {}), **values}
        actions = {action.dest: action for action in self._actions}
        unknown = values.keys() - actions.keys()
        if unknown:
            self.error(f"{chosen.config}: unknown arguments {', '.join(sorted(unknown))}")
        for name, value in values.items():
            actions[name].required = False
            self.set_defaults(**{name: self._converted(actions[name], value)})
        namespace, rest = super().parse_known_args(args, namespace)
        for name in ("config", "preset"):
            if hasattr(namespace, name):
                delattr(namespace, name)
        return namespace, rest

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


__all__ = ["ScriptParser"]
