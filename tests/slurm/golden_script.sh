#!/bin/bash

# Parameters
#SBATCH --account=lab
#SBATCH --array=0-1000%1001
#SBATCH --chdir=/store/jobs/ana/sweep-0001-tune-ab12-0
#SBATCH --constraint='a100&nvlink'
#SBATCH --cpus-per-task=6
#SBATCH --exclude='node[7-8]'
#SBATCH --exclusive
#SBATCH --gpus-per-node=a100:4
#SBATCH --job-name=sweep-0001-tune-ab12-0
#SBATCH --mem=120G
#SBATCH --nice=100
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --open-mode=append
#SBATCH --output=/store/jobs/ana/sweep-0001-tune-ab12-0/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --qos=long
#SBATCH --requeue
#SBATCH --reservation=week
#SBATCH --signal=USR2@300
#SBATCH --time=1440

# setup
module load cuda
source /home/ana/venv/bin/activate

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /store/jobs/ana/sweep-0001-tune-ab12-0/%A_%a_%t_log.out --cpus-per-task=6 --container-image=/images/suite.sqsh --kill-on-bad-exit=1 python -u -m submitit.core._submit /store/jobs/ana/sweep-0001-tune-ab12-0
