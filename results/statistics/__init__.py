"""Statistics of scores: pure functions on plain floats, one idea a file; none knows records or boards.

Where a test cannot be made (one seed, no spread) the answer is None, never NaN. Only what plans seeds imports SciPy,
which takes longer than a board.
"""
