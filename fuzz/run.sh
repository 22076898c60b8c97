#!/bin/sh
# Fuzzes every reader, or those named: fuzz/run.sh EXECUTIONS [TARGET…]
# Needs a C++ compiler for libFuzzer and no nightly toolchain. What is found lies in fuzz/artifacts/TARGET/.
cd "$(dirname "$0")" || exit 1
runs=$1
shift
[ $# -gt 0 ] || set -- $(ls seeds)
RUSTC_WRAPPER=$PWD/rustc.sh cargo build --locked --bins || exit 1
# Threads only cost time with inputs this small.
export RAYON_NUM_THREADS=1
failed=0
for target in "$@"; do
  mkdir -p "corpus/$target" "artifacts/$target" "regressions/$target" log
  target/debug/"$target" -runs="$runs" -max_len=8192 -timeout=5 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target" "regressions/$target" \
    >"log/$target" 2>&1 || { failed=1; echo "$target: FOUND SOMETHING, see fuzz/log/$target"; }
  grep -aE '^#[0-9]+.*cov:' "log/$target" | tail -1 | sed "s/^/$target: /"
done
exit $failed
