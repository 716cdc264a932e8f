"""setup.py says what the code needs and ships."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, SpaceCard

import dpiqa
from support.requirements import imports, names, setup_arguments

ROOT = Path(__file__).parents[1]
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


class TestRelease:
    CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    def test_version_citation_and_changelog_agree(self):
        version, date = re.search(r"^## (\S+) \((unreleased|[\d-]+)\)$", self.CHANGELOG, re.MULTILINE).groups()
        assert SETUP["version"] == dpiqa.__version__ == version == self.CITATION["version"]
        assert str(self.CITATION.get("date-released", "unreleased")) == date

    def test_every_file_names_the_same_repository(self):
        texts = [
            (ROOT / name).read_text(encoding="utf-8")
            for name in ("README.md", "CONTRIBUTING.md", "RELEASE.md", "mkdocs.yml", "CITATION.cff")
        ]
        addresses = "\n".join([*texts, *SETUP["project_urls"].values()])
        named = re.findall(r"https://github\.com/[\w.-]+/dpiqa\b", addresses)
        assert set(named) == {SETUP["url"]}

    def test_links_and_pictures_work_on_pypi_and_lead_to_files_that_exist(self):
        shown = re.findall(r"(!?)\[[^]]*\]\(([^)]+)\)", SETUP["long_description"])
        ours = [(picture, address.removeprefix(SETUP["url"])) for picture, address in shown if SETUP["url"] in address]
        assert all(address.startswith("https://") for _, address in shown)
        assert {picture for picture, _ in ours} == {"", "!"}
        for picture, path in ours:
            prefix = "/raw/main/" if picture else "/blob/main/"
            assert path.startswith(prefix)
            assert (ROOT / path.removeprefix(prefix).partition("#")[0]).is_file()

    @pytest.mark.parametrize("name", ["LICENSE", "THIRD_PARTY.md"])
    def test_the_licences_are_shipped(self, name):
        assert name in SETUP["license_files"]
        assert (ROOT / name).is_file()

    def test_the_card_of_the_bundled_student_is_one_that_the_hub_reads(self):
        card = ModelCard.load(dpiqa.bundled_checkpoint() / "README.md")
        assert (card.data.license, card.data.library_name) == ("apache-2.0", "dpiqa")
        assert card.data.model_name == dpiqa.bundled_checkpoint().name
        figures = {result.metric_name: result.metric_value for result in card.data.eval_results}
        assert f"| official test split | 2,000 | {figures['SRCC']} | {figures['PLCC']} |" in card.text

    @pytest.mark.parametrize("name", ["dpiqa-demo", "iqa-correlation"])
    def test_the_cards_of_the_spaces_are_what_the_hub_expects(self, name):
        folder = ROOT / "spaces" / name
        card = SpaceCard.load(folder / "README.md").data
        assert (card.sdk, card.license) == ("gradio", "apache-2.0")
        assert (folder / card.app_file).is_file()
        assert {card.colorFrom, card.colorTo} <= {*"red yellow green blue indigo purple pink gray".split()}
        assert len(card.emoji) == 1
        assert len(card.short_description) <= 60
        assert f"Programming Language :: Python :: {card.python_version}" in SETUP["classifiers"]
