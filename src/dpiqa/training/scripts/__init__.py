"""The training commands: each has `make_parser` and `main(arguments, training)`, which `dpiqa train` calls."""
