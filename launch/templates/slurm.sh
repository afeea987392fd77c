#!/bin/bash
# A search of owkd on Slurm: one job, whose nodes become a Ray cluster for as long as it lasts.
#
# Change every line that says EDIT, and delete the mark where a value is right as it stands. Then:
#   owkd cluster check slurm.sh
#   sbatch slurm.sh
#
# Two minutes before its time is up the search ends in order, and the job is queued again; it then goes on where it was,
# each trial from its last epoch. Data, teachers, runs and the environment below lie on a file system that all nodes share.

#SBATCH --job-name=owkd
#SBATCH --nodes=2 # EDIT: machines
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16 # EDIT: CPUs of each
#SBATCH --gpus-per-task=4 # EDIT: GPUs of each; delete the line to train on CPUs
#SBATCH --time=24:00:00 # EDIT: after which the search is continued by another job
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=owkd-%j.log

set -uo pipefail

CONFIG=/shared/search.yaml # EDIT: the configuration
RUNS=/shared/runs # EDIT: where its run is stored; a folder that all nodes share, or s3://...
source /shared/venv/bin/activate # EDIT: the environment in which owkd is installed

# Ray of this job alone: ports and a token of its own, so that jobs on one machine do not meet.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN RAY_ENABLE_UV_RUN_RUNTIME_ENV=0 OMP_WAIT_POLICY=PASSIVE
PORT=$((20000 + SLURM_JOB_ID % 10000))
HEAD=$(hostname --ip-address | tr ' ' '\n' | grep -v -e '^127\.' -e : | head -n 1)
ADDRESS=${HEAD:-127.0.0.1}:$PORT

await_nodes() {
    for _ in $(seq 150); do
        [ "$(ray status --address "$ADDRESS" 2> /dev/null | grep -c '^ 1 node_')" -ge "$1" ] && return
        sleep 2
    done
    echo "owkd: $1 of the nodes must join Ray at $ADDRESS within five minutes, but did not; see what they printed above" >&2
    kill $(jobs -p)
    exit 1
}

on_nodes() { srun --ntasks-per-node=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=0 "$@" & }

on_nodes --nodes=1 --ntasks=1 --nodelist="$SLURMD_NODENAME" \
    ray start --head --block --port="$PORT" --include-dashboard=false --num-cpus="$SLURM_CPUS_PER_TASK"
await_nodes 1
OTHERS=$((SLURM_JOB_NUM_NODES - 1))
if [ "$OTHERS" -gt 0 ]; then
    on_nodes --nodes="$OTHERS" --ntasks="$OTHERS" --exclude="$SLURMD_NODENAME" \
        ray start --block --address="$ADDRESS" --num-cpus="$SLURM_CPUS_PER_TASK"
    await_nodes "$SLURM_JOB_NUM_NODES"
fi

# --resume: the same line begins a search and, where its run is there, continues it.
owkd search "$CONFIG" --runs "$RUNS" --address "$ADDRESS" --resume &
SEARCH=$!
trap 'kill -TERM "$SEARCH"' TERM
wait "$SEARCH"
CODE=$?
while kill -0 "$SEARCH" 2> /dev/null; do # a signal ends `wait`, not the search
    wait "$SEARCH"
    CODE=$?
done
if [ "$CODE" = 143 ]; then
    echo "owkd: time is up; job $SLURM_JOB_ID is queued again and goes on"
    scontrol requeue "$SLURM_JOB_ID"
fi
kill $(jobs -p) 2> /dev/null
exit "$CODE"
