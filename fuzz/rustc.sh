#!/bin/sh
# A compiler for cargo (RUSTC_WRAPPER) that instruments zoo for libFuzzer and leaves every other crate as it is, so
# that a fuzzing build costs little more than one of zoo. The flags are those of cargo-fuzz without a sanitizer.
rustc=$1
shift
case " $* " in
*" --crate-name zoo "*)
  exec "$rustc" "$@" -Copt-level=2 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
  ;;
*) exec "$rustc" "$@" ;;
esac
