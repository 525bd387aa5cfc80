"""Where it runs: jobs on this machine or on a cluster. Knows command lines, resources and handles; no run, no store."""
