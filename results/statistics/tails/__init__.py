"""Tails of distributions in plain Python: importing scipy.stats alone takes as long as a board of 12,000 records."""
