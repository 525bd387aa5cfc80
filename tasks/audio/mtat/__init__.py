"""MagnaTagATune: layout, data set, miniature, stand-in."""
