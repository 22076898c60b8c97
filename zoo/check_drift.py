#!/usr/bin/env python3
"""Compares cards with original files that a maintainer has, field by field: check_drift.py FOLDER [--zoo ZOO]

FOLDER holds folders of models as they were released, at any depth, named by a card's id or alias or as the hub does
(org/name, org--name, models--org--name); of each, config.json, params.json, generation_config.json and tokenizer_config.json
are read, whichever are there. What a card says otherwise than a file is printed, with what only one of the two says; the
exit code is 1 if anything differs or a file cannot be read, and 2 if nothing was compared. Needs PyYAML, no network and none of zoo's code, so it can be wrong in other ways than zoo.
"""
import argparse
import json
import sys
from pathlib import Path

import yaml

FILES = ("config.json", "params.json", "generation_config.json", "tokenizer_config.json")
# Defaults of transformers, for keys that a file may leave out.
LLAMA = {"rope_theta": 10000.0, "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False,
         "max_position_embeddings": 2048}
TYPES = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}


class Zoo:
    """Cards and records, and the names by which folders may call them."""

    def __init__(self, root):
        def records(folder):
            return {path.stem: yaml.safe_load(path.read_text()) for path in (root / folder).glob("*.yaml")}

        self.architectures, self.tokenizers = records("architectures"), records("tokenizers")
        self.cards = records(".")
        self.names = {}
        for key, card in self.cards.items():
            for name in [key, *card.get("aliases", [])]:
                self.names[name.lower()] = card
            for source in card.get("sources", []):
                repo = source.get("hub", {}).get("repo")
                if repo:
                    self.names.setdefault(repo.lower(), card)

    def card_of(self, folder):
        parts = [part.lower() for part in folder.parts]
        for part in reversed(parts):
            plain = part.removeprefix("models--")
            for name in (plain, plain.replace("--", "/", 1)):
                if name in self.names:
                    return self.names[name]
        for org, name in reversed(list(zip(parts, parts[1:]))):
            if f"{org}/{name}" in self.names:
                return self.names[f"{org}/{name}"]
        return None

    def architecture(self, card):
        stated = card.get("architecture")
        return self.architectures.get(stated) if isinstance(stated, str) else stated


def same(a, b):
    if isinstance(a, bool) or isinstance(b, bool) or not (isinstance(a, (int, float)) and isinstance(b, (int, float))):
        return a == b
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def of_config(config):
    """What config.json says, in the words of an architecture record."""
    heads = config.get("num_attention_heads", config.get("n_head"))
    hidden = config.get("hidden_size", config.get("n_embed"))
    said = {"model_type": config.get("model_type"), "hidden_size": hidden, "num_attention_heads": heads,
            "num_hidden_layers": config.get("num_hidden_layers", config.get("n_layer")), "vocab_size": config.get("vocab_size")}
    if said["model_type"] == "bloom":
        return said | {"layer_norm_epsilon": config.get("layer_norm_epsilon", 1e-5)}
    said |= {key: config.get(key, default) for key, default in LLAMA.items()}
    said["intermediate_size"] = config.get("intermediate_size")
    said["num_key_value_heads"] = config.get("num_key_value_heads") or heads
    said["head_dim"] = config.get("head_dim") or hidden // heads
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    said["rope_theta"] = rope.get("rope_theta", said["rope_theta"])
    kind = rope.get("rope_type", rope.get("type"))
    ratio = config.get("rope_condense_ratio", 1)
    if kind in (None, "default") and ratio != 1:
        kind, rope = "linear", {"factor": ratio}
    said["rope_scaling.type"] = None if kind == "default" else kind
    for key in ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"):
        if key in rope:
            said[f"rope_scaling.{key}"] = rope[key]
    return said


def of_params(params):
    """The same of Meta's params.json, whose code computes the width of the MLP."""
    width = 8 * params["dim"] // 3
    if params.get("ffn_dim_multiplier"):
        width = int(params["ffn_dim_multiplier"] * width)
    multiple = params.get("multiple_of", 256)
    said = {"hidden_size": params["dim"], "num_hidden_layers": params["n_layers"], "num_attention_heads": params["n_heads"],
            "num_key_value_heads": params.get("n_kv_heads") or params["n_heads"],
            "intermediate_size": -(-width // multiple) * multiple, "rms_norm_eps": params.get("norm_eps", 1e-5),
            "rope_theta": params.get("rope_theta", 10000.0),
            "rope_scaling.type": "llama3" if params.get("use_scaled_rope") else None}
    if params.get("vocab_size", -1) != -1:
        said["vocab_size"] = params["vocab_size"]
    return said


def recorded(architecture, key):
    """What a record says under a key of its own, defaults filled in."""
    scaling = architecture.get("rope_scaling") or {}
    if key.startswith("rope_scaling."):
        return scaling.get(key.removeprefix("rope_scaling."))
    heads = architecture["num_attention_heads"]
    defaults = {"model_type": "llama", "num_key_value_heads": heads, "head_dim": architecture["hidden_size"] // heads,
                "max_position_embeddings": architecture["max_context"], "tie_word_embeddings": False, "attention_bias": False,
                "mlp_bias": False}
    return architecture.get(key, defaults.get(key))


def of_tokenizer(settings):
    """Special ids by tokenizer_config.json, as far as it has them, and what is added."""
    ids = {token["content"]: int(id) for id, token in (settings.get("added_tokens_decoder") or {}).items()}

    def text(key):
        token = settings.get(key)
        return token["content"] if isinstance(token, dict) else token

    said = {name: ids[text(f"{name}_token")] for name in ("unk", "bos", "eos", "pad") if text(f"{name}_token") in ids}
    return said | {key: settings[key] for key in ("add_bos_token", "add_eos_token") if key in settings}


def opened(folder, name):
    """A file's content; an error if it is no JSON object."""
    content = json.loads((folder / name).read_text())
    if not isinstance(content, dict) or not content:
        raise ValueError(f"expected an object with keys, found {json.dumps(content)[:40]}")
    return content


def converted(convert, content):
    try:
        return convert(content)
    except KeyError as error:
        raise ValueError(f"has no {error}") from error
    except (TypeError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(f"has a value of the wrong kind ({error})") from error


def differences(zoo, card, folder):
    """File, field, card's value and file's value of all that is not the same; field None and a reason for a file that cannot be
    read."""
    read = {}
    for name in FILES:
        if (folder / name).is_file():
            try:
                read[name] = opened(folder, name)
            except (OSError, ValueError) as error:
                yield name, None, None, error
    architecture, record = zoo.architecture(card), zoo.tokenizers.get(card.get("tokenizer")) or {}
    for name, convert in (("config.json", of_config), ("params.json", of_params)):
        if name not in read:
            continue
        if architecture is None:
            yield name, "architecture", None, "a network"
            continue
        try:
            said = converted(convert, read[name])
        except ValueError as error:
            yield name, None, None, error
            continue
        # What the record alone says is a difference too, where the form of the file has a word for it.
        scaling = architecture.get("rope_scaling") or {}
        only = {f"rope_scaling.{key}": None for key in scaling} if name == "config.json" else {}
        for key, value in (only | said).items():
            if not same(recorded(architecture, key), value):
                yield name, key, recorded(architecture, key), value
    config = read.get("config.json", {})
    dtype = TYPES.get(config.get("torch_dtype", config.get("dtype")))
    if dtype and card["release"]["kind"] == "full" and card["release"].get("dtype") != dtype:
        yield "config.json", "release.dtype", card["release"].get("dtype"), dtype
    generation = read.get("generation_config.json", {})
    ends = generation.get("eos_token_id", config.get("eos_token_id"))
    ends = ends if isinstance(ends, list) else [ends]
    stated = (card.get("stop") or {}).get("ids")
    if any(not isinstance(end, int) for end in ends if end is not None):
        yield "generation_config.json or config.json", None, None, f"eos_token_id is {ends}"
    elif stated is not None and ends != [None] and sorted(stated) != sorted(ends):
        yield "generation_config.json or config.json", "stop.ids", stated, ends
    for key in ("bos", "eos", "pad"):
        value = config.get(f"{key}_token_id")
        if isinstance(value, int) and key in record and record[key] != value:
            yield "config.json", f"tokenizer.{key}", record[key], value
    try:
        said = converted(of_tokenizer, read.get("tokenizer_config.json", {}))
    except ValueError as error:
        yield "tokenizer_config.json", None, None, error
        return
    for key, value in said.items():
        if key in record and record[key] != value:
            yield "tokenizer_config.json", f"tokenizer.{key}", record[key], value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="original files, in a folder for each model")
    parser.add_argument("--zoo", type=Path, default=Path(__file__).parent, help="the folder of cards [default: this one]")
    args = parser.parse_args()
    if not args.folder.is_dir():
        print(f"{args.folder}: no such folder", file=sys.stderr)
        return 2
    zoo = Zoo(args.zoo)
    folders = sorted({path.parent for name in FILES for path in args.folder.rglob(name)})
    compared, differing, unread = 0, 0, 0
    for folder in folders:
        card = zoo.card_of(folder.relative_to(args.folder)) or zoo.card_of(folder.resolve())
        if card is None:
            print(f"{folder}: no card of this name")
            continue
        compared += 1
        for file, field, said, found in differences(zoo, card, folder):
            if field is None:
                unread += 1
                print(f"{card['id']}: {file} cannot be compared: {found}  ({folder})")
                continue
            differing += 1
            print(f"{card['id']}: {field}: the card says {said}, {file} says {found}  ({folder})")
    print(f"{compared} of {len(folders)} folders compared with cards, {differing} differences, {unread} files unread")
    if compared == 0:
        print(f"{args.folder}: nothing was compared: expected folders with {', '.join(FILES)}, named as cards", file=sys.stderr)
        return 2
    return 1 if differing or unread else 0


if __name__ == "__main__":
    sys.exit(main())
