#!/bin/sh
# The library in eight shares, an array of jobs: sbatch docs/shards/slurm.sh
#SBATCH --job-name=dimmer-lab-check
#SBATCH --array=0-7
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=01:00:00
#SBATCH --output=check-%A-%a.log
set -eu

exec dimmer-lab check --format junit --output "report-${SLURM_ARRAY_TASK_ID}.xml"
