"""What is going on: which workers live, how far runs are, what the rest will cost."""
