#!/bin/bash
# A run in so many parts by GNU parallel on this machine, and its merge:
#
#   PARTS=8 JOBS=2 parallel.sh smollm2-135m --suite mmlu --threads 4
#   RUN=reports/mmlu PARTS=8 parallel.sh smollm2-135m --suite mmlu
#
# Given again after an interruption it goes on: parts that have ended are done at once.
set -euo pipefail
parts=${PARTS:-8} run=${RUN:-reports/merged}

# The number of a job is {#}, from 1; shards count from 0. {%} is the slot and not the job. {} may be somebody's value.
seq 0 $((parts - 1)) |
    parallel --jobs "${JOBS:-1}" --halt soon,fail=1 --line-buffer -I ,part, --quote \
        zoo eval "$@" --shard ",part,/$parts" --out "$run.shards/,part," --resume
# The merge needs task files, data and cards where they were.
words=("$@") folders=()
for ((at = 0; at < $#; at++)); do
    case ${words[at]} in
    --data-dir | --include-path | --zoo-dir) folders+=("${words[at]}" "${words[at + 1]}") ;;
    --data-dir=* | --include-path=* | --zoo-dir=*) folders+=("${words[at]}") ;;
    esac
done
zoo merge "$run.shards" --out "$run" ${folders[@]+"${folders[@]}"}
