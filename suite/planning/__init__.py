"""From a sweep file to a plan: which runs there are, and which may be started."""
