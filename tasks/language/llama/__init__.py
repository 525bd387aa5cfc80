"""A small Llama on subwords."""
