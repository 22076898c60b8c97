#!/usr/bin/env python3
"""Times a model in PyTorch, and writes what `zoo bench --vs-csv` reads.

    python benches/peers/pytorch.py FOLDER [--dtype float32,bfloat16] [--tokens 512,2048] [--threads 2] > torch.csv

FOLDER is a model in Hugging Face's form. Prefill is one sequence with the logits of its last token, decode one more token
after 256 others; the median of several goes after one that warms up. Needs torch and transformers, which zoo does not.
"""

import argparse
import statistics
import sys
import time

import torch
import transformers

GOES = 5
CONTEXT = 256


def median_seconds(work):
    work()
    seconds = []
    for _ in range(GOES):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--dtype", default="float32,bfloat16")
    parser.add_argument("--tokens", default="512,2048")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print("program,what,tokens,threads,value")
    for name in asked.dtype.split(","):
        model = transformers.AutoModelForCausalLM.from_pretrained(asked.folder, dtype=getattr(torch, name)).eval()
        vocabulary = model.config.vocab_size

        def ids(count):
            return torch.arange(count).mul(7919).remainder(vocabulary)[None]

        def line(what, tokens, rate):
            print(f"torch {torch.__version__.split('+')[0]} {name},{what},{tokens},{asked.threads},{rate:.3f}", flush=True)

        with torch.inference_mode():
            for tokens in map(int, asked.tokens.split(",")):
                prompt = ids(tokens)
                seconds = median_seconds(lambda: model(prompt, use_cache=False, logits_to_keep=1))
                line("prefill", tokens, tokens / seconds)
            cache = model(ids(CONTEXT), use_cache=True).past_key_values

            def step():
                model(ids(1), past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache.crop(-1)

            line("decode", 1, 1 / median_seconds(step))


if __name__ == "__main__":
    sys.exit(main())
