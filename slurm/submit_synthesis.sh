#!/usr/bin/env bash
# A whole synthesis on Slurm, every round as a job array and a merge, each after the one before:
#   slurm/submit_synthesis.sh ROUNDS SHARDS output=data/mine seeds=custom seeds.path=mine.jsonl pool=servers pool.base_url=URL ...
# Prints the last job's number. Extra options for sbatch (partition, account) go into the variable SBATCH_OPTIONS.
set -euo pipefail
rounds=$1 shards=$2
shift 2
here=$(dirname "$0")
mkdir -p runs/slurm
submit() { # submit AFTER OPTIONS... -- WORDS...: one sbatch, after job AFTER (empty: at once); prints the job's number
  local after=$1; shift
  # shellcheck disable=SC2086
  sbatch --parsable ${SBATCH_OPTIONS:-} ${after:+--dependency=afterany:$after} "$@"
}
job=""
for ((round = 0; round <= rounds; round++)); do   # round 0 annotates the seeds
  job=$(submit "$job" --array=0-$((shards - 1)) "$here/synthesis.sbatch" round="$round" "$@")
  [ "$round" -eq 0 ] && continue
  if [ "$round" -lt "$rounds" ]; then
    job=$(submit "$job" "$here/synthesis.sbatch" merge round="$round" "$@")
  else
    job=$(submit "$job" "$here/synthesis.sbatch" merge synthesis.rounds="$rounds" "$@")
  fi
done
echo "$job"
