# What the three templates share: run a command as one attempt of a job, pass Slurm's signals on to it, and queue it again.
# Sourced, not run. `gra submit` sets the variables GRA_*; by hand none is needed.
#
#   GRA_JOB           a file of shell lines for this job: its environment, your `cluster.setup`
#   GRA_LOGS          folder of one log and a few small files for each task
#   GRA_MAX_ATTEMPTS  starts of a failing job (default 3); a preemption or a time limit is not a failure
#   GRA_SIGNAL_S      seconds between the signal and the time limit (default 120, as in the templates)
#   GRA_REQUEUE       0: the cluster does not start jobs again, so a successor is submitted
set -uo pipefail

# SIGUSR1 (--signal) announces a preemption or the time limit: then this task queues itself again. SIGTERM alone is scancel, or a
# preemption after which Slurm queues it again: nothing is done here, or a cancelled job would come back. Heard from the first line
# on: what comes before the command has started is passed on to it.
child="" heard="" timer=""
pass_on() { [ -z "$child" ] || kill "-$1" "$child" 2>/dev/null; }
trap 'heard=USR1; pass_on USR1; [ -z "$child" ] || hurry' USR1
trap 'heard=${heard:-TERM}; pass_on TERM' TERM

find_names() { # set task, job, name and the folder logs
  task=${SLURM_ARRAY_TASK_ID:+$((SLURM_ARRAY_TASK_ID + ${GRA_OFFSET:-0}))}
  job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}
  job=${job:-$SLURM_JOB_ID} # what this task alone is called: `scontrol requeue 12` would start all of array 12 again
  logs=${GRA_LOGS:-runs/slurm/${SLURM_JOB_NAME}-${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}}
  name=${task:-job}
  mkdir -p "$logs"
}

hurry() { # a job that reaches its time limit is not queued again: what does not stop in time is killed, and resumes
  local whole=${GRA_SIGNAL_S:-120}
  { sleep $((whole > 40 ? whole - 20 : whole / 2)) && kill -KILL "$child"; } >/dev/null 2>&1 &
  timer=$!
}

count() { # count FILE: one more in it; prints the new number
  local n
  n=$(($(cat "$1" 2>/dev/null || echo 0) + 1))
  echo "$n" >"$1.new" && mv "$1.new" "$1"
  echo "$n"
}

again() { # queue this task once more, unless it was cancelled while it was told to stop
  case "$(scontrol show job "$job")" in *JobState=CANCELLED*)
    echo "cancelled: not queued again"
    exit "${code:-85}"
    ;;
  esac
  if [ "${GRA_REQUEUE:-1}" = 1 ] && scontrol requeue "$job"; then
    sleep 300 # Slurm ends this attempt within seconds
    exit 85
  fi
  if [ -n "${GRA_JOB:-}" ] && "$GRA_PYTHON" -P -m gra.cluster.successor "$GRA_JOB" "$name"; then
    exit 0
  fi
  echo "not queued again: submit it by hand, or run gra submit once more"
}

begin() { # set the number and the log of this attempt
  number=$(count "$logs/$name.attempts")
  log="$logs/$name.attempt-$number.log"
  echo "$job on $(hostname): attempt $number, log $log"
}

end() { # end CODE: end this attempt, or queue the task once more
  local code=$1 failures
  echo "$code" >"$logs/$name.exit"
  echo "$job: attempt $number ended with exit code $code"
  [ "$heard" != TERM ] || exit "$code"
  case $code in
    0) exit 0 ;;
    85) again ;; # told to stop: it resumes
    2 | 3 | 4) ;; # a wrong configuration, a missing input, or a committee that keeps nothing: once more would not help
    *)
      failures=$(count "$logs/$name.failures")
      if [ "$failures" -lt "${GRA_MAX_ATTEMPTS:-3}" ]; then again; fi
      ;;
  esac
  exit "$code"
}

attempt() { # attempt COMMAND...: run it in the background, so that this shell hears signals, and end as it ends
  local code=0
  begin
  "$@" >"$log" 2>&1 &
  child=$!
  if [ -n "$heard" ]; then
    pass_on "$heard"
    [ "$heard" != USR1 ] || hurry
  fi
  while true; do # a signal interrupts `wait`, not the command
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break
  done
  trap '' USR1 TERM
  [ -z "$timer" ] || kill "$timer" 2>/dev/null
  # told to stop before it could hear (138), or too slow to (137): that is not a failure
  if [ "$heard" = USR1 ] && { [ "$code" = 138 ] || [ "$code" = 137 ]; }; then code=85; fi
  end "$code"
}

setup_ended() { # setup_ended CODE: after a line of `cluster.setup`
  [ "$1" = 0 ] || exit "$1"
}

setup_failed() { # setup_failed CODE: a line of `cluster.setup` failed, or ended this shell itself (exit, or set -e in a sourced file)
  trap - EXIT
  trap '' USR1 TERM
  eval "$gra_options"
  find_names
  begin
  {
    echo "cluster.setup: the line \`${GRA_SETUP:-}\` ended with exit code $1; what it printed: $logs/slurm-$job.log"
    echo "    -> correct the line; if it may fail, write || true after it; then gra submit"
  } >"$log"
  case $heard in
    USR1) end 85 ;; # the signal ended the line
    TERM) end 143 ;;
    *) end 1 ;;
  esac
}

# Lines of users run without this file's options, and any options that they set end with them.
gra_options=$(set +o)
if [ -n "${GRA_JOB:-}" ]; then
  set +uo pipefail
  trap 'setup_failed $?' EXIT
  # shellcheck disable=SC1090
  source "$GRA_JOB"
  trap - EXIT
elif [ -f .venv/bin/activate ]; then
  source .venv/bin/activate
fi
eval "$gra_options"
find_names
