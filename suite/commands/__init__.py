"""One subcommand a module: `configure(parser)` and `main(args) -> exit code`."""
