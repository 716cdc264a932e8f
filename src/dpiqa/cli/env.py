"""`dpiqa env`."""

import platform
from importlib.metadata import PackageNotFoundError, version

from ..counting import counted

_PACKAGES = (
    "dpiqa torch transformers diffusers huggingface_hub safetensors accelerate datasets pillow numpy scipy "
    "pillow-heif gradio peft onnxruntime openvino"
).split()


def env() -> None:
    """Print versions and devices, for bug reports."""
    import torch

    from ..scoring.backends.load import installed_backends
    from ..scoring.cores import available_cores
    from ..scoring.devices import pick_device

    print(f"platform: {platform.platform()}")
    print(f"python: {platform.python_version()}")
    for package in _PACKAGES:
        print(f"{package}: {_installed(package)}")
    threads, cores = counted(torch.get_num_threads(), "CPU thread"), counted(available_cores(), "core")
    print(f"device: {pick_device()} ({threads}, {cores})")
    print(f"backends: {', '.join(installed_backends())}")


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
