"""The composition: runs, sweeps, the training loop, the worker and the command line. Alone imports the four other
rooms."""
