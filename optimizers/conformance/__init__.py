"""What an optimizer must do to be trained with, proven by `optathlon check`."""
