"""From a plan to workers: on this machine or on a Slurm cluster."""
