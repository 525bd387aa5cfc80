"""A leaderboard as text: CSV, Markdown, LaTeX, JSON and a table for the terminal."""
