#!/bin/bash

# Parameters
#SBATCH --chdir=/jobs/job
#SBATCH --cpus-per-task=1
#SBATCH --job-name=job
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --open-mode=append
#SBATCH --output=/jobs/job/%j_0_log.out
#SBATCH --requeue
#SBATCH --signal=USR2@120

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /jobs/job/%j_%t_log.out --cpus-per-task=1 python -u -m submitit.core._submit /jobs/job
