"""The app behind `dpiqa demo` and the Space in `spaces/dpiqa-demo`; needs the extra `[demo]`."""

from .app import build_demo as build_demo
from .limits import LOCAL as LOCAL
from .limits import PUBLIC as PUBLIC
from .limits import Limits as Limits
from .server import CannotListenError as CannotListenError
from .server import serve as serve
from .web import build_web_app as build_web_app
