"""Small folders in the formats in which the data sets are released."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from scipy.io import savemat

SPLITS = ("training", "validation", "test")


def picture(seed: int, side: int = 48) -> Image.Image:
    """A smooth random picture, different for every seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)


def save_pictures(folder: Path, names: list[str]) -> None:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(seed).save(folder / name)


def write_csv(path: Path, header: str, rows: list[tuple]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])


def koniq10k(root: Path) -> Path:
    names = [f"{index}.jpg" for index in range(10)]
    save_pictures(root / "1024x768", names)
    header = "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set"
    rows = [(name, 0, 0, 0.2, 0.7, 0.1, 105, 10 * i, 0.5, SPLITS[min(i // 4, 2)]) for i, name in enumerate(names)]
    write_csv(root / "koniq10k_distributions_sets.csv", header, rows)
    return root


def clive(root: Path) -> Path:
    training = [f"t{index}.bmp" for index in range(1, 8)]
    names = [f"{index}.{'bmp' if index % 2 else 'JPG'}" for index in range(10, 20)]
    save_pictures(root / "Images" / "trainingImages", training)
    save_pictures(root / "Images", names)
    (root / "Data").mkdir()
    cells = np.empty((17, 1), dtype=object)
    cells[:, 0] = [np.array([name]) for name in training + names]
    savemat(root / "Data" / "AllImages_release.mat", {"AllImages_release": cells})
    savemat(root / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.arange(17.0)[None]})
    savemat(root / "Data" / "AllStdDev_release.mat", {"AllStdDev_release": np.full((1, 17), 20.0)})
    return root


def livefb(root: Path) -> Path:
    names = [f"{folder}/{index}.jpg" for folder in ("blur_dataset", "voc_emotic_ava") for index in range(5)]
    save_pictures(root, names)
    write_csv(root / "labels_image.csv", "name,mos", [(name, 70 + i) for i, name in enumerate(names)])
    return root


def spaq(root: Path) -> Path:
    from openpyxl import Workbook

    names = [f"{index:05d}.jpg" for index in range(1, 11)]
    save_pictures(root / "TestImage", names)
    workbook = Workbook()
    workbook.active.append("Image name,MOS,brightness,colorfulness,contrast,noisiness,sharpness".split(","))
    for index, name in enumerate(names):
        workbook.active.append((name, 8.5 * index, 1, 2, 3, 4, 5))
    workbook.save(root / "MOS and Image attribute scores.xlsx")
    workbook.close()
    return root


def biq2021(root: Path, photos: list[Image.Image] | None = None, *, train: int = 9, test: int = 3) -> Path:
    """With photos: crops of them, more blurred the lower the MOS, which is then in random order."""
    count = train + test
    names = [f"ss0{index % 3 + 1} ({index}).{'JPG' if index % 2 else 'jpg'}" for index in range(count)]
    mos = [index / count for index in range(count)]
    if photos is None:
        save_pictures(root / "Images", names)
    else:
        rng = np.random.default_rng(0)
        rng.shuffle(mos)
        (root / "Images").mkdir(parents=True)
        for index, name in enumerate(names):
            photo = photos[index % len(photos)]
            left, top = rng.integers(0, photo.width - 128), rng.integers(0, photo.height - 128)
            crop = photo.crop((left, top, left + 128, top + 128))
            crop.filter(ImageFilter.GaussianBlur(6 * (1 - mos[index]))).save(root / "Images" / name)
    labelled = [(Path(name).stem + ".jpg", score) for name, score in zip(names, mos, strict=True)]
    with_empty_columns = [(*row, "", "") for row in labelled[:train]]  # as released
    write_csv(root / "Train (Images and MOS).csv", "Image Name,MOS,,", with_empty_columns)
    write_csv(root / "Test (Images and MOS).csv", "Image Name,MOS", labelled[train:])
    return root


def kadid10k(root: Path) -> Path:
    rows = [
        (f"I{reference:02d}_{kind:02d}_{level:02d}.png", f"I{reference:02d}.png", 6 - level, 0.64)
        for reference in range(1, 6)
        for kind in (1, 2)
        for level in (1, 3, 5)
    ]
    save_pictures(root / "images", [row[0] for row in rows])
    write_csv(root / "dmos.csv", "dist_img,ref_img,dmos,var", rows)
    return root


def tid2013(root: Path) -> Path:
    names = [f"I{ref:02d}_{kind:02d}_{level}.bmp" for ref in range(1, 6) for kind in (1, 2) for level in (1, 2)]
    save_pictures(root / "distorted_images", [name.lower() for name in names])
    lines = [f"{index / 4:.5f} {name}" for index, name in enumerate(names)]
    (root / "mos_with_names.txt").write_text("\n".join(lines) + "\n")
    return root


MAKE = {make.__name__: make for make in (biq2021, clive, kadid10k, koniq10k, livefb, spaq, tid2013)}
