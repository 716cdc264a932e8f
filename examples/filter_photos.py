"""Copies the better half of a folder's photos, or any other share.

python examples/filter_photos.py photos/ --output kept --share 0.5
"""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from dpiqa import Scorer
from dpiqa.scoring.image_files import find_images


def main(
    photos: Annotated[Path, typer.Argument(exists=True, help="Folder of photos.")],
    output: Annotated[Path, typer.Option(file_okay=False, help="New folder for the copies.")] = Path("kept"),
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the photos to keep.")] = 0.5,
    model: Annotated[str | None, typer.Option(help="Folder or Hub id; the bundled student if not given.")] = None,
) -> None:
    """Copies the photos with the highest scores; those that cannot be scored stay behind."""
    if share == 0:
        raise SystemExit("--share 0 keeps no photo: name a larger share.")
    if output.exists() and any(output.iterdir()):
        raise SystemExit(f"{output} holds files already: name another --output.")
    paths = find_images([str(photos)]).paths
    if not paths:
        raise SystemExit(f"There are no photos in {photos}.")
    scorer = Scorer.from_pretrained(model)
    scored = [(score.score, path) for path, score in zip(paths, scorer.stream(paths), strict=True) if not score.error]
    best = sorted(scored, reverse=True)[: round(share * len(scored))]
    output.mkdir(parents=True, exist_ok=True)
    for rank, (score, path) in enumerate(best, start=1):
        # Photos of two folders may have one name.
        shutil.copy2(path, output / f"{rank:05d}-{Path(path).name}")
        print(f"{score:.3f}  {path}")
    print(f"{len(best)} of {len(paths)} photos are in {output}; {len(paths) - len(scored)} cannot be scored.")


if __name__ == "__main__":
    typer.run(main)
