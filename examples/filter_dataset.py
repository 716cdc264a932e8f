"""Keeps the better half of a data set, or any other share, and writes it as Parquet.

python examples/filter_dataset.py ORG/NAME --output kept --share 0.5

Scores stay in the cache of `datasets`, for 10,000 rows at a time: run the command again after it was cut off, or with
another share, and it scores only what is missing.
"""

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer
from datasets import Features, Image, Value, concatenate_datasets, load_dataset
from datasets.table import embed_table_storage

from dpiqa import Scorer

PIECE = 10_000


class ScoreImages:
    """Scores a batch of an image column; `datasets` knows what it has computed already by the model's content."""

    features = Features(score=Value("float64"), error=Value("string"))

    def __init__(self, model: str | None, num_proc: int):
        # Either one process with a thread on every core, or many with one thread each.
        self.scorer = Scorer.from_pretrained(model, workers=None if num_proc == 1 else 1)

    def __call__(self, images: list) -> dict[str, list]:
        results = self.scorer(images)
        return {"score": [result.score for result in results], "error": [result.error for result in results]}


def main(
    source: Annotated[str, typer.Argument(help="Hub id of a data set, or a folder of Parquet files.")],
    output: Annotated[Path, typer.Option(file_okay=False, help="New folder for the Parquet files.")] = Path("kept"),
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the photos to keep.")] = 0.5,
    split: Annotated[str, typer.Option(help="Split of the data set.")] = "train",
    image_column: Annotated[str, typer.Option(help="Its column of photos.")] = "image",
    model: Annotated[str | None, typer.Option(help="Folder or Hub id; the bundled student if not given.")] = None,
    num_proc: Annotated[int, typer.Option(min=1, help="Processes that score.")] = 1,
) -> None:
    """Writes the rows with the highest scores, in their order; those that cannot be scored are left out."""
    if share == 0:
        raise SystemExit("--share 0 keeps no photo: name a larger share.")
    if output.exists() and any(output.iterdir()):
        raise SystemExit(f"{output} holds files already: name another --output.")
    try:
        rows = load_dataset(source, split=split)
        score = ScoreImages(model, num_proc)
    except (OSError, ValueError) as error:
        raise SystemExit(" ".join(str(error).split())) from None
    if image_column not in rows.column_names:
        raise SystemExit(f"There is no column {image_column} in {source}: expected one of {rows.column_names}.")
    try:
        # Undecoded, so that a damaged photo is an error of its own row.
        photos = rows.select_columns([image_column]).cast_column(image_column, Image(decode=False))
    except (pa.ArrowException, TypeError):  # of Arrow or of datasets, when the type of the column does not fit
        found = rows.features[image_column]
        raise SystemExit(f"The column {image_column} of {source} holds no photos: found {found}.") from None
    options = {"batched": True, "batch_size": 100, "remove_columns": [image_column], "features": score.features}
    pieces = [
        photos.select(range(start, min(start + PIECE, len(photos)))).map(
            score, input_columns=[image_column], num_proc=None if num_proc == 1 else num_proc, **options
        )
        for start in range(0, len(photos), PIECE)
    ]
    scored = concatenate_datasets(pieces)
    scores = {
        row: score
        for row, (score, error) in enumerate(zip(scored["score"][:], scored["error"][:], strict=True))
        if error is None
    }
    # Of equal scores the earlier row is better, so that the result is the same every time.
    best = sorted(scores, key=lambda row: (-scores[row], row))[: round(share * len(scores))]
    kept = rows.select(sorted(best)).with_format("arrow")
    output.mkdir(parents=True, exist_ok=True)
    shards = max(1, -(-len(kept) // PIECE))
    for index in range(shards):
        # With the photos themselves, also where the data set has them in files of their own.
        shard = kept.shard(shards, index, contiguous=True).map(embed_table_storage, batched=True, batch_size=100)
        shard.with_format(None).to_parquet(output / f"{split}-{index:05d}-of-{shards:05d}.parquet")
    print(f"{len(kept)} of {len(rows)} photos are in {output}; {len(rows) - len(scores)} cannot be scored.")


if __name__ == "__main__":
    typer.run(main)
