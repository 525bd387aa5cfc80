"""DCASE 2017 task 4: layout, data set, miniature, stand-in."""
