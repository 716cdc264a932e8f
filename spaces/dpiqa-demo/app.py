"""The Space: everything is in `dpiqa.demo`."""

from dpiqa.demo import serve

serve()
