"""CLIVE, the LIVE In the Wild Image Quality Challenge Database: 1,162 photographs from phones, 500x500 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from .schema import LabelledPhoto, Release, files_by_lower_name, find_file

# Listed first; shown to the observers to train them, not rated as the others are.
_TRAINING_IMAGES = 7


def read(root: Path) -> list[LabelledPhoto]:
    """Reads the three `.mat` files of `Data/` beside `Images/`; MOS 0 to 100. The training images are left out."""
    images = root / "Images"
    files = files_by_lower_name(images)
    names, mos, std = (
        _variable(root / "Data" / f"{key}.mat", key)
        for key in ("AllImages_release", "AllMOS_release", "AllStdDev_release")
    )
    if not len(names) == len(mos) == len(std):
        raise ValueError(
            f"{root / 'Data'}: {len(names)} names, {len(mos)} MOS and {len(std)} deviations do not match."
        )
    rows = [(str(name[0]), float(m), float(s)) for name, m, s in zip(names, mos, std, strict=True)]
    return [LabelledPhoto(name, find_file(files, images, name), m, std=s) for name, m, s in rows[_TRAINING_IMAGES:]]


def _variable(path: Path, name: str) -> np.ndarray:
    """The entries of a variable of a MATLAB file."""
    try:
        variables = loadmat(str(path), appendmat=False)
    except OSError:
        raise
    except Exception as error:  # a damaged file can fail anywhere in SciPy's reader
        raise ValueError(f"{path}: expected a MATLAB file, and it cannot be read ({error}).") from error
    if name not in variables:
        found = ", ".join(key for key in variables if not key.startswith("__")) or "none"
        raise ValueError(f"{path}: expected the variable {name}, found {found}.")
    return variables[name].ravel()


RELEASE = Release(
    title="CLIVE",
    read=read,
    mos_range=(0.0, 100.0),
    std_range=100.0,
    licence="free to use with the copyright notice (University of Texas at Austin)",
    citation="D. Ghadiyaram and A. C. Bovik, Massive online crowdsourced study of subjective and objective picture "
    "quality, IEEE Transactions on Image Processing 25(1), 2016",
    url="https://live.ece.utexas.edu/research/ChallengeDB/index.html",
)
