"""A leaderboard of a plan and its records: cells, selection of settings, verdicts."""
