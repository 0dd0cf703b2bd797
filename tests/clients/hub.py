"""What the tests let clients of the hub do: programs that print what came of it as JSON."""

from __future__ import annotations

import json

FILES = """
import hashlib, json, pathlib, sys
import huggingface_hub as hub
def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()
def digests(folder):
    files = sorted(file for file in pathlib.Path(folder).rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): digest(file) for file in files}
def attempt(action, *given, **named):
    try:
        return action(*given, **named)
    except Exception as error:
        return type(error).__name__
"""
SNAPSHOT = f"{FILES}\nprint(json.dumps(digests(hub.snapshot_download(sys.argv[1], repo_type=sys.argv[2]))))"
TAKEN = f"""{FILES}
print(json.dumps([hub.hf_hub_download("org/model", file) for file in sys.argv[1:]]))
"""
CACHED = f"""{FILES}
found = [attempt(hub.hf_hub_download, "org/model", file) for file in ("config.json", "tokenizer.json", "none.json")]
found = [digest(pathlib.Path(each)) if "/" in each else each for each in found]
whole = attempt(hub.snapshot_download, "org/model")
print(json.dumps([*found, digests(whole) if "/" in whole else whole]))
"""
REFUSALS = f"""{FILES}
asked = [("org/model", "none.json", "main"), ("org/model", "config.json", "v9"), ("org/none", "x", "main"), ("org/gated", "x.bin", "main")]
print(json.dumps([attempt(hub.hf_hub_download, repository, file, revision=revision) for repository, file, revision in asked]))
"""
GATED = f"""{FILES}
tokens = ["good", "other", False]
said = [attempt(hub.hf_hub_download, "org/gated", "x.bin", token=token, force_download=True) for token in tokens]
print(json.dumps(["" if "/" in each else each for each in said]))
"""
PAGES = """
import json, huggingface_hub as hub
tree = [entry.path for entry in hub.HfApi().list_repo_tree("org/model", recursive=True)]
print(json.dumps([tree, [entry.path for entry in hub.HfApi().get_paths_info("org/model", ["config.json", "deep", "none"])]]))
"""
AUTO = """
import json
from transformers import AutoConfig, AutoTokenizer
words = AutoTokenizer.from_pretrained("org/model")("hello world")["input_ids"]
print(json.dumps([words, AutoConfig.from_pretrained("org/model").hidden_size]))
"""
TABLE = """
import json, sys, pyarrow, pyarrow.parquet
pyarrow.parquet.write_table(pyarrow.Table.from_pylist(json.load(open("rows.json"))), sys.argv[1], row_group_size=1)
print(json.dumps(sys.argv[1]))
"""
DATA = """
import json, sys
from datasets import load_dataset
rows = load_dataset(sys.argv[1], streaming=sys.argv[2] == "streaming")["train"]
print(json.dumps(list(rows)))
"""

_UNKNOWN = {"id": 0, "content": "[UNK]", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
_TOKENIZER = {
    "version": "1.0",
    "added_tokens": [_UNKNOWN],
    "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "hello": 1, "world": 2}, "unk_token": "[UNK]"},
}
MODEL = {
    "config.json": json.dumps({"model_type": "bert", "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}).encode(),
    "tokenizer.json": json.dumps(_TOKENIZER).encode(),
    "tokenizer_config.json": json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}).encode(),
    "__init__.py": b"",
    "deep/a/notes.txt": b"notes",
    "deep/b.txt": b"b",
    "model.safetensors": bytes(range(256)) * 4096,
}
"""A model that a tokenizer and a configuration can be loaded from; weights are no real ones."""
DATA_SET = {"README.md": b"# A set\n", "data/train.csv": b"a,b\n1,2\n3,4\n"}
ROWS = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
WIDE_ROWS = [{"a": number, "text": f"{number:09}" * 20_000} for number in range(4)]
"""Of a table in Parquet: each row group is larger than what a client reads to look at the end of the file."""
