"""What is in a wheel and an sdist: `python tests/support/distributions.py dist` compares both with what git knows."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
# What setuptools writes beside the files of the project.
WRITTEN = {"PKG-INFO", "setup.cfg"}


def known_to_git() -> set[str]:
    """The files of the working tree that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def in_wheel(path: Path) -> set[str]:
    """The files of a wheel, but for its metadata."""
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
    return {name for name in names if not PurePosixPath(name).parts[0].endswith(".dist-info")}


def in_sdist(path: Path) -> set[str]:
    """The files of an sdist, but for what setuptools writes."""
    with tarfile.open(path) as sdist:
        names = {"/".join(PurePosixPath(member.name).parts[1:]) for member in sdist if member.isfile()}
    return {name for name in names if name not in WRITTEN and ".egg-info/" not in name}


def main(folder: Path) -> None:
    """Compares.

    Raises:
        SystemExit: When there is not one wheel and one sdist, or a file is missing or one too many.
    """
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    known = known_to_git()
    package = {name.removeprefix("src/") for name in known if name.startswith("src/")}
    for built, found, expected in ((wheel, in_wheel(wheel), package), (sdist, in_sdist(sdist), known)):
        if missing := expected - found:
            raise SystemExit(f"{built.name} lacks {', '.join(sorted(missing))}.")
        if more := found - expected:
            raise SystemExit(f"{built.name} has {', '.join(sorted(more))}, which git does not know.")
        print(f"{built.name}: {len(found)} files, {built.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
