"""What a task must do to be trained, proven by `optathlon check`."""
