"""setup.py says what the code needs and ships."""

import ast
import re
from pathlib import Path

import pytest

import dpiqa
from support.requirements import imports, names, setup_arguments

PACKAGE = Path(dpiqa.__file__).parent
SETUP = setup_arguments()
CODE_NEEDS = ("demo", "eval", "cull", "lora", "heif", "onnx", "openvino", "ray", "integrations")
EXTRAS = {extra: SETUP["extras_require"][extra] for extra in CODE_NEEDS}
CODE = list(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_import_is_declared(path):
    declared = names(SETUP["install_requires"]).union(*map(names, EXTRAS.values()))
    assert imports(ast.walk(ast.parse(path.read_text(encoding="utf-8")))) <= declared


def test_every_file_of_the_package_is_shipped():
    patterns = SETUP["package_data"]["dpiqa"]
    shipped = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    present = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert present - shipped - set(CODE) == set()


def test_every_pattern_finds_a_file():
    for pattern in SETUP["package_data"]["dpiqa"]:
        assert list(PACKAGE.glob(pattern)), pattern


def test_every_folder_with_code_is_a_package():
    assert {path.parent for path in CODE} == {path.parent for path in PACKAGE.rglob("__init__.py")}


def calls(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Every call in a file: what is called, and its keyword arguments, as written."""
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [
        (ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords})
        for node in tree
        if isinstance(node, ast.Call)
    ]


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_code_of_others_is_run(path):
    for function, options in calls(path):
        assert options.get("trust_remote_code") != "True"
        assert not re.fullmatch(r"(pickle|joblib|dill)\.loads?|eval|exec", function)
        if function == "torch.load":
            assert options.get("weights_only") == "True"
            assert path.relative_to(PACKAGE) == Path("hub/convert.py")
