"""The Space: everything is in `dpiqa.demo`."""

from dpiqa.demo import PUBLIC, serve

serve(limits=PUBLIC)
