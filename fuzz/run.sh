#!/bin/sh
# Fuzzes every reader, or those named, for a number of executions or of seconds: fuzz/run.sh 1000000|20s [TARGET…]
# Needs a C++ compiler for libFuzzer and no nightly toolchain. What is found lies in fuzz/artifacts/TARGET/.
cd "$(dirname "$0")" || exit 1
case "$1" in
*s) limit="-max_total_time=${1%s}" ;;
*) limit="-runs=$1" ;;
esac
shift
[ $# -gt 0 ] || set -- $(ls seeds)
RUSTC_WRAPPER=$PWD/rustc.sh cargo build --locked --bins || exit 1
# Threads only cost time with inputs this small.
export RAYON_NUM_THREADS=1
failed=0
# Other inputs each time; what was found comes back with the seed that is printed, as `FUZZ_SEED`.
seed=${FUZZ_SEED:-$(date +%s)}
echo "fuzzing with seed $seed"
for target in "$@"; do
  mkdir -p "corpus/$target" "artifacts/$target" "regressions/$target" log
  target/debug/"$target" "$limit" -seed="$seed" -max_len=8192 -timeout=5 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target" "regressions/$target" \
    >"log/$target" 2>&1 || { failed=1; echo "$target: FOUND SOMETHING, see fuzz/log/$target"; }
  grep -aE '^#[0-9]+.*cov:' "log/$target" | tail -1 | sed "s/^/$target: /"
done
exit $failed
