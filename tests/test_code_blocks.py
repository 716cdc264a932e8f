"""Every code block of the README and the documentation works, or at least is one that could."""

from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from support import releases
from support.code_blocks import ELSEWHERE, PAGES, TOO_LONG, check_command, commands, read_blocks
from support.commands import dpiqa
from support.images import encoded
from support.requirements import missing_extras
from support.shards import write_parquet, write_tar
from support.tiny_students import save_tiny

MISSING = missing_extras()
# A page shows what other packages do as well, and their warnings are theirs.
pytestmark = pytest.mark.filterwarnings("default")


def with_blocks(language):
    return [pytest.param(page, id=page.stem) for page in PAGES if read_blocks(page, language)]


@pytest.fixture(scope="module")
def _checkpoint(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def folder(tmp_path, monkeypatch, _checkpoint):
    """What a reader has in the folder where the commands of a page are typed."""
    names = [f"{index}.png" for index in range(20)]
    releases.save_pictures(tmp_path / "photos", ["a.jpg", "trip/b.png"])
    releases.save_pictures(tmp_path / "pristine", ["a.png"])
    releases.save_pictures(tmp_path, ["photo.jpg", "a.jpg", "b.jpg", "b.png"])
    releases.save_pictures(tmp_path / "rated", names)
    releases.write_csv(
        tmp_path / "photos.csv", "path,mos", [(f"rated/{one}", 1 + i / 5) for i, one in enumerate(names)]
    )
    releases.biq2021(tmp_path / "BIQ2021")
    for name in ("my-student", "student-openvino"):
        (tmp_path / name).symlink_to(_checkpoint)
    photo = encoded(releases.picture(0), "PNG")
    (tmp_path / "shards").mkdir()
    (tmp_path / "data").mkdir()
    write_tar(tmp_path / "shards" / "0.tar", {"0.png": photo, "0.json": b"{}"})
    write_parquet(tmp_path / "data" / "0.parquet", {"image": [photo], "id": [7]})
    write_parquet(tmp_path / "list.parquet", {"url": ["../photos/a.jpg"]})
    for name in ("teacher.pth", "embeddings.npy"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DPIQA_BACKEND", "torch")  # others would be exported first
    return tmp_path


def own_names():
    """Names that a reader has for photos of their own."""
    return {
        "Path": Path,
        "datasets": datasets,
        "torch": torch,
        "path": "a.jpg",
        "paths": ["a.jpg", "b.jpg"],
        "pil_image": Image.open("a.jpg"),
        "array": np.zeros((64, 64, 3), np.uint8),
        "tensor": torch.zeros(3, 64, 64),
        "data": Path("a.jpg").read_bytes(),
        "rows": datasets.Dataset.from_dict(
            {"image": ["a.jpg", "b.jpg"]}, features=datasets.Features(image=datasets.Image())
        ),
        "table": pa.table({"image": ["a.jpg", "b.jpg"]}),
    }


@pytest.mark.parametrize("page", with_blocks("python"))
def test_python_of(page, folder):
    namespace = own_names()
    # What a command before the block has written.
    releases.write_csv(
        folder / "scores.csv", "path,score,percentile,error", [("a.jpg", 0.7, 64.0, ""), ("b", "", "", "bad")]
    )
    for block in read_blocks(page, "python"):
        # With its lines where they stand in the page, for the traceback.
        code = compile("\n" * block.line + block.text, block.page, "exec")
        if block.reason is None:
            exec(code, namespace)


@pytest.mark.parametrize("page", with_blocks("bash"))
def test_commands_of(page, folder):
    for block in read_blocks(page, "bash"):
        for arguments in commands(block):
            check_command(arguments)
            is_here = not any(place in word for word in arguments for place in ELSEWHERE)
            if block.reason is None and is_here and arguments[0] not in TOO_LONG:
                result = dpiqa(*arguments)
                if MISSING and "is not installed" in result.output:
                    pytest.skip(f"dpiqa {' '.join(arguments)} needs an extra")
                assert result.exit_code == 0, f"{block.place}: dpiqa {' '.join(arguments)}\n{result.output}"
