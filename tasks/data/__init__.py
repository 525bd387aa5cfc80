"""Official data sets: their files, readers, miniatures and stand-ins."""
