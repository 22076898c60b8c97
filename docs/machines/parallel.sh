#!/bin/bash
# A run in so many parts by GNU parallel, on this machine or on others (--sshloginfile), and its merge:
#
#   PARTS=8 JOBS=2 parallel.sh smollm2-135m --suite mmlu --threads 4
#   RUN=reports/mmlu PARTS=8 parallel.sh smollm2-135m --suite mmlu
#
# Given again after an interruption it goes on: parts that have ended are done at once.
set -euo pipefail
parts=${PARTS:-8} run=${RUN:-reports/merged}

# The number of a job is {#}, from 1; shards count from 0. {%} is the slot and not the job.
seq 0 $((parts - 1)) |
    parallel --jobs "${JOBS:-1}" --halt soon,fail=1 --line-buffer --quote \
        zoo eval "$@" --shard "{}/$parts" --out "$run.shards/{}" --resume
folders=()
for word in "$@"; do
    case ${previous:-} in
    --data-dir | --include-path) folders+=("$previous" "$word") ;;
    esac
    previous=$word
done
zoo merge "$run.shards" --out "$run" "${folders[@]}"
