"""The app behind `dpiqa demo` and the Space in `spaces/dpiqa-demo`; needs the extra `dpiqa[demo]`."""

from .app import build_demo as build_demo
from .server import launch_options as launch_options
from .server import serve as serve
