"""Keeps the better half of a WebDataset, or any other share, and writes it as tars.

python examples/filter_webdataset.py "shards/*.tar" --output kept --share 0.5

Ray scores the photos, and then copies the samples that are kept, one tar at a time, on all cores of the machine or the
cluster. Run the command again after it was cut off, and it does only what is missing.
"""

import os
import posixpath
import tarfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import pyarrow.dataset as pads
import ray
import typer
from ray.exceptions import RayError

from dpiqa import Scorer
from dpiqa.scoring.engines.inputs import find_inputs
from dpiqa.scoring.engines.ray import score_inputs
from dpiqa.scoring.engines.score_folder import ScoreFolder
from dpiqa.scoring.engines.shards import TAR_SUFFIXES
from dpiqa.scoring.rows import as_text


def sample_of(name: str) -> str:
    """What the files of one sample have in common: their path up to the first dot of the name."""
    folder, base = posixpath.split(as_text(name))
    return posixpath.join(folder, base.partition(".")[0])


def best_samples(scores: Path, tars: Iterable[str], share: float) -> dict[str, list[str]]:
    """Of each tar the samples with the highest scores of all; of equal scores always the same."""
    is_scored = pads.field("score").is_valid() & pads.field("__key__").is_valid()
    rows = pads.dataset(scores, format="parquet").to_table(["key", "score", "__key__"], filter=is_scored)
    rows = rows.sort_by([("score", "descending"), ("key", "ascending")])
    of_key = {as_text(tar): tar for tar in tars}
    samples = [
        (of_key[tar], sample)
        for key, sample in zip(rows["key"].to_pylist(), rows["__key__"].to_pylist(), strict=True)
        if (tar := key[: key.rindex(f"/{sample}.")]) in of_key  # the folder may hold scores of more tars
    ]
    of_tar = defaultdict(list)
    for tar, sample in samples[: round(share * len(samples))]:
        of_tar[tar].append(sample)
    return of_tar


def name_of(tar: str) -> str:
    """The name of a tar without its suffix."""
    name = Path(tar).name
    return name[: -max(len(suffix) for suffix in TAR_SUFFIXES if name.lower().endswith(suffix))]


def copy_samples(work: dict) -> dict:
    """Copies samples of one tar into another one, which has its name when it is whole."""
    target, part, kept = Path(work["target"]), Path(work["target"] + ".part"), set(work["samples"])
    if target.exists():
        return work
    with tarfile.open(work["tar"], "r|*") as source, tarfile.open(part, "w") as copy:
        try:
            for member in source:
                if sample_of(member.name) in kept:
                    copy.addfile(member, source.extractfile(member) if member.isreg() else None)
        except tarfile.ReadError:
            pass  # of a damaged tar; what follows has no score, so that nothing of it is kept
    os.replace(part, target)
    return work


def main(
    source: Annotated[str, typer.Argument(help="A tar, or a pattern in quotes.")],
    output: Annotated[Path, typer.Option(file_okay=False, help="Folder for the tars.")] = Path("kept"),
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the photos to keep.")] = 0.5,
    scores: Annotated[Path, typer.Option(file_okay=False, help="Folder for the scores, to go on from.")] = Path(
        "kept-scores"
    ),
    model: Annotated[str | None, typer.Option(help="Folder or Hub id; the bundled student if not given.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that score; as many as there are cores.")] = None,
) -> None:
    """Writes the samples with the highest scores, in their order; those that cannot be scored are left out."""
    if share == 0:
        raise SystemExit("--share 0 keeps no photo: name a larger share.")
    if not source.lower().endswith(TAR_SUFFIXES):
        raise SystemExit(f"Name a tar, or a pattern in quotes such as 'shards/*.tar', in place of {source}.")
    try:
        inputs = find_inputs([source], carry=["__key__"])
        targets = {tar: str(output / f"{name_of(tar)}.tar") for tar in inputs.shards}
        if len(set(targets.values())) < len(targets):
            raise SystemExit("Two of the tars have the same name: filter them one after the other.")
        counts = score_inputs(Scorer.from_pretrained(model), model, inputs, str(scores), workers=workers, resume=True)
    except RayError:  # which can be an OSError too; its traceback says which worker it comes from
        raise
    except (OSError, ValueError) as error:
        raise SystemExit(" ".join(str(error).split())) from None
    if not counts.scored:
        first = next(ScoreFolder(str(scores)).read(["path", "error"]), None)
        reason = f"{first['path']}: {first['error']}" if first else "there is no photo"
        raise SystemExit(f"Nothing in {source} can be scored: {reason}.")
    kept = best_samples(scores, inputs.shards, share)
    note = output / "kept.txt"
    selection = "".join(f"{tar}/{sample}\n" for tar in sorted(kept) for sample in sorted(kept[tar]))
    if any(output.glob("*.tar")) and (not note.exists() or note.read_text() != selection):
        raise SystemExit(f"{output} holds tars of another selection: name another --output.")
    output.mkdir(parents=True, exist_ok=True)
    note.write_text(selection)
    work = [{"tar": tar, "target": targets[tar], "samples": samples} for tar, samples in kept.items()]
    if work:
        ray.data.from_items(work, override_num_blocks=len(work)).map(copy_samples).materialize()
    num_kept = sum(len(samples) for samples in kept.values())
    print(f"{num_kept} of {counts.scored} photos are in {output}; {counts.failed} cannot be scored.")


if __name__ == "__main__":
    typer.run(main)
