"""Copies the better half of a folder's photos, or any other share.

python examples/filter_photos.py photos/ --output kept --share 0.5
"""

import shutil
from pathlib import Path

import typer

from dpiqa import Scorer
from dpiqa.scoring.image_files import find_images


def main(photos: str, output: Path = Path("kept"), share: float = 0.5, model: str | None = None) -> None:
    """Copies the photos with the highest scores; those that cannot be scored stay behind."""
    scorer = Scorer.from_pretrained(model)
    paths = find_images([photos]).paths
    scored = [(score.score, path) for path, score in zip(paths, scorer.stream(paths), strict=True) if not score.error]
    best = sorted(scored, reverse=True)[: round(share * len(scored))]
    output.mkdir(parents=True)
    for rank, (score, path) in enumerate(best, start=1):
        # Photos of two folders may have one name.
        shutil.copy2(path, output / f"{rank:05d}-{Path(path).name}")
        print(f"{score:.3f}  {path}")


if __name__ == "__main__":
    typer.run(main)
