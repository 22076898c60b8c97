"""A run in parts on a Ray cluster: each part starts vLLM on a GPU of its own, and zoo beside it, which asks it.

    python on_ray.py --model HuggingFaceTB/SmolLM2-135M-Instruct --tokenizer smollm2-135m --suite mmlu --parts 8 --out /data/mmlu

Ray tells its tasks no number, so that the number is an argument here. --out has to be on a disk that all machines see. A part that
fails is started again by Ray, and goes on from its ledger; given again, the command starts no server for parts that have ended. All
other flags go to zoo eval, and those that say where task files, data and cards are to zoo merge too.
"""

import argparse
import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

# How long a server may take until it answers, in seconds: it loads weights and compiles.
PATIENCE = 1800
# Flags that the merge needs too.
FOLDERS = ("--data-dir", "--include-path", "--zoo-dir")


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url, server):
    """Waits until the server at this address answers, or has ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with {server.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(1)
    raise RuntimeError(f"{url} does not answer after {PATIENCE} s")


def run_part(index, parts, model, tokenizer, flags, out, serve=("vllm", "serve"), zoo="zoo"):
    """Runs part `index` of `parts`, from 0, unless it has ended already."""
    if pathlib.Path(f"{out}.shards/{index}/run.yaml").is_file():
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [*serve, model, "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    server = subprocess.Popen(command)
    try:
        wait_for(url, server)
        asked = ["eval", f"remote:{url}", "--tokenizer", tokenizer, *flags]
        own = ["--shard", f"{index}/{parts}", "--out", f"{out}.shards/{index}", "--resume"]
        subprocess.run([zoo, *asked, *own], check=True)
    finally:
        server.terminate()
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()


def folders_of(flags):
    """Flags that say where something is, with their values."""
    found = []
    for at, flag in enumerate(flags):
        if flag in FOLDERS:
            found += flags[at : at + 2]
        elif flag.startswith(tuple(f"{name}=" for name in FOLDERS)):
            found.append(flag)
    return found


def keep(path, asked):
    """Writes down what the parts are asked, and refuses parts that were asked something else."""
    text = json.dumps(asked, indent=1)
    if path.is_file() and path.read_text() != text:
        sys.exit(f"{path.parent}: parts of another run ({path.name} says which); name another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="what vLLM serves")
    parser.add_argument("--tokenizer", required=True, help="a card or a folder with the model's tokenizer, for zoo")
    parser.add_argument("--suite", required=True)
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--gpus", type=float, default=1, help="GPUs of one part")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder of the merged run")
    args, more = parser.parse_known_args()

    import ray

    flags = ["--suite", args.suite, *more]
    asked = {"model": args.model, "tokenizer": args.tokenizer, "parts": args.parts, "flags": flags}
    keep(pathlib.Path(f"{args.out}.shards/asked.json"), asked)
    ray.init()
    part = ray.remote(num_gpus=args.gpus, max_retries=3, retry_exceptions=True)(run_part)
    asked = [part.remote(i, args.parts, args.model, args.tokenizer, flags, args.out) for i in range(args.parts)]
    ray.get(asked)
    return subprocess.run(["zoo", "merge", f"{args.out}.shards", "--out", str(args.out), *folders_of(more)]).returncode


if __name__ == "__main__":
    sys.exit(main())
