#!/usr/bin/env bash
# Starts servers of one model on this machine, one after the other, holds each against the run of zoo, and stops it, however that ends.
#
#   served.sh                    every server whose program is named, each with its tests of `elsewhere::served`
#   served.sh SERVER COMMAND...  one server (vllm-float32, vllm-bfloat16, llama-server) and any command: $ZOO_SERVED is its address
#
# Environment:
#   ZOO_SERVED_MODEL  the folder of the model in f32, SmolLM2-135M-Instruct for the tests
#   VLLM              the program vllm, 0.32
#   LLAMA_SERVER      the program llama-server, b11434; it serves the GGUF of f32 that zoo convert writes of the model
#   ZOO               the program zoo (target/release/zoo); the tests have their own
#   SERVED_PORT       8311
#   SERVED_WAIT       how many seconds a server may take until it answers (900)
#   SERVED_LOGS       a folder that keeps what the servers say
#   SERVED_TESTS      what runs the tests, before their names (cargo test --locked --release --test acceptance --)
set -euo pipefail
: "${ZOO_SERVED_MODEL:?name the folder of the model that is served}"
# Programs and the model are named from where this is started.
program() {
  local path
  path=$(type -P "$1") || { echo "served.sh: $1: no such program" >&2; exit 1; }
  realpath -s "$path"
}
ZOO_SERVED_MODEL=$(realpath "$ZOO_SERVED_MODEL")
export ZOO_SERVED_MODEL
if [ -n "${VLLM:-}" ]; then VLLM=$(program "$VLLM"); fi
if [ -n "${LLAMA_SERVER:-}" ]; then LLAMA_SERVER=$(program "$LLAMA_SERVER"); fi
if [ -n "${ZOO:-}" ]; then ZOO=$(program "$ZOO"); fi
cd "$(dirname "$0")/../../.."
port=${SERVED_PORT:-8311} wait=${SERVED_WAIT:-900} zoo=${ZOO:-target/release/zoo}
tests=${SERVED_TESTS:-cargo test --locked --release --test acceptance --}
export ZOO_SERVED=http://127.0.0.1:$port
room=$(mktemp -d)
logs=${SERVED_LOGS:-$room}
mkdir -p "$logs"
server=

# A server has processes of its own, which are in its group.
stop() {
  [ -n "$server" ] || return 0
  kill -TERM -- "-$server" 2>/dev/null || true
  for _ in $(seq 60); do kill -0 -- "-$server" 2>/dev/null || break; sleep 0.5; done
  kill -KILL -- "-$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}
trap 'stop; rm -rf "$room"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

answers() { curl -s -o /dev/null -m 5 --noproxy '*' -w '%{http_code}' "$ZOO_SERVED/v1/models" | grep -q 200; }

# start NAME COMMAND...: returns when the server answers.
start() {
  local name=$1 log; log=$logs/$1.log; shift
  if answers; then echo "served.sh: something answers at $ZOO_SERVED already; SERVED_PORT names another port" >&2; exit 1; fi
  echo "served.sh: starting $name" >&2
  set -m
  "$@" >"$log" 2>&1 </dev/null &
  server=$!
  set +m
  for _ in $(seq "$wait"); do
    if answers; then return 0; fi
    kill -0 "$server" 2>/dev/null || break
    sleep 1
  done
  echo "served.sh: $name ended or took more than $wait s; the end of $log:" >&2
  tail -n 20 "$log" >&2
  exit 1
}

serve_vllm() {
  export VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
  # Of a build for processors; others pass these by.
  export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1} VLLM_CPU_OMP_THREADS_BIND=${VLLM_CPU_OMP_THREADS_BIND:-nobind}
  # It finds tools of its own (ninja) beside itself.
  PATH=$(dirname "$VLLM"):$PATH start "vllm-$1" "$VLLM" serve "$ZOO_SERVED_MODEL" --host 127.0.0.1 --port "$port" --dtype "$1" \
    --served-model-name served --max-model-len 2048 --max-num-seqs 16 --enforce-eager
}

serve_llama() {
  [ -f "$room/model.gguf" ] || "$zoo" convert "$ZOO_SERVED_MODEL" --to gguf --dtype f32 --out "$room/model.gguf" >&2
  # Keys and values are kept in f16 unless it is told otherwise, and its flash attention rounds to f16 too: scores would be hundredths
  # apart.
  start llama-server "$LLAMA_SERVER" -m "$room/model.gguf" --host 127.0.0.1 --port "$port" --alias served -c 8192 -np 4 \
    --cache-type-k f32 --cache-type-v f32 --flash-attn off --no-webui
}

up() {
  case $1 in
    vllm-float32 | vllm-bfloat16) : "${VLLM:?names the program vllm}"; serve_vllm "${1#vllm-}" ;;
    llama-server) : "${LLAMA_SERVER:?names the program llama-server}"; serve_llama ;;
    *) echo "served.sh: expected vllm-float32, vllm-bfloat16 or llama-server, found $1" >&2; exit 2 ;;
  esac
}

if [ $# -gt 0 ]; then
  [ $# -gt 1 ] || { echo "served.sh: expected a command after $1" >&2; exit 2; }
  up "$1"; shift
  "$@"
  exit
fi

# What this machine answers is computed once for all of them.
export ZOO_SERVED_RUNS=$room
[ -n "${VLLM:-}${LLAMA_SERVER:-}" ] || { echo "served.sh: nothing was compared: VLLM or LLAMA_SERVER names a program" >&2; exit 1; }
failed=0
for one in vllm-float32 vllm-bfloat16 llama-server; do
  case $one in vllm-*) program=${VLLM:-} needs=VLLM ;; *) program=${LLAMA_SERVER:-} needs=LLAMA_SERVER ;; esac
  if [ -z "$program" ]; then echo "SKIPPED, nothing was compared with $one: $needs is not set" >&2; continue; fi
  up "$one"
  filter=${one//-/_}
  $tests --ignored --nocapture --test-threads 1 "elsewhere::served::$filter" 2>&1 | tee "$room/said" || failed=1
  grep -q '^test result: ok\. [1-9]' "$room/said" || { echo "served.sh: no test of $one passed" >&2; failed=1; }
  stop
done
exit "$failed"
