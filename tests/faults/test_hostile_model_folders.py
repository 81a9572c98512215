"""Model folders with seeded faults: each loads rightly or is refused in one line with its name."""

import json
import random
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from beautybert.bert import pretrained, wordpiece
from beautybert.bert.attention import PackedLengths
from beautybert.bert.model import BertConfig, BertForMaskedLM
from tests.conftest import product_texts
from tests.faults.mutations import Tally

TEXT = "Water, Glycerin (2 %) crème 中文 rose"
SHAPE = BertConfig(
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=16,
)
VALUES = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3,
    2.5,
    10**5,
    10**9,
    2**63,
    10**30,
    -(10**30),
    1e308,
    float("nan"),
    float("inf"),
    "",
    "32",
    "0.1",
    "x" * 10_000,
    "../x",
    "/etc/passwd",
    "\x1b[31m\n\0",
    "\ud800",
    [],
    {},
    [1, "a", None],
    {"a": {"b": [1]}},
    [[[]]],
)


@pytest.fixture(scope="module")
def folder_files(tmp_path_factory):
    """The files of a folder that loads, byte for byte; the weights whole and in two shards."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = wordpiece.learn(lambda: product_texts(20), 60)
    wordpiece.write(tokenizer, folder, 16)
    torch.manual_seed(0)
    vocab_size = tokenizer.get_vocab_size()
    config = replace(SHAPE, vocab_size=vocab_size + 1)  # one for the added token
    model = BertForMaskedLM(config, pooler=True)
    pretrained.save(folder, model)
    special = dict.fromkeys(("cls_token", "sep_token"), "[CLS]") | {"sep_token": "[SEP]"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "added_tokens.json").write_text(json.dumps({"[CLS]": 2, "a rose": vocab_size}))
    weights = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    weight_map = {}
    for shard in (0, 1):
        part = {key: weights[key] for key in sorted(weights)[shard::2]}
        save_file(part, folder / f"model-{shard}.safetensors")
        weight_map |= dict.fromkeys(part, f"model-{shard}.safetensors")
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def load_and_use(folder):
    """As the scripts load --init: the tokenizer, the configuration, the weights; then a text."""
    tokenizer = wordpiece.read(folder)
    config = pretrained.config_for(folder, "tiny", tokenizer, 3)
    model, _ = pretrained.load_masked_lm(folder, config)
    ids = torch.tensor(tokenizer.encode(TEXT, add_special_tokens=False).ids[:3])
    assert len(ids) and int(ids.max()) < config.vocab_size
    lengths = PackedLengths.of([len(ids)])
    with torch.no_grad():
        logits = model.eval()(ids, torch.arange(len(ids)), lengths, torch.arange(1))
    assert logits.shape == (1, config.vocab_size)
    contents = json.loads((folder / "config.json").read_bytes())
    for key, value in config.to_dict().items():
        assert contents.get(key) in (None, value), key


def places(value, path=()):
    """The path of every value in a JSON value."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from places(value[index], (*path, index))


def with_another_value(data, rng):
    """JSON with one value replaced, left out, or given a second time."""
    contents = json.loads(data)
    path = rng.choice(list(places(contents)))
    if not path:
        return json.dumps(rng.choice(VALUES)).encode()
    parent = contents
    for key in path[:-1]:
        parent = parent[key]
    action = rng.choice(["replace"] * 6 + ["leave out", "repeat", "rename"])
    if action == "replace":
        parent[path[-1]] = rng.choice(VALUES)
    elif action == "leave out":
        del parent[path[-1]]
    elif action == "rename" and isinstance(path[-1], str):
        parent[rng.choice(("\x1b[31m\n", "x" * 10_000, "\ud800", "", "1"))] = parent.pop(path[-1])
    text = json.dumps(contents)
    if action == "repeat" and isinstance(path[-1], str):
        twice = f"{{{json.dumps(path[-1])}: {json.dumps(rng.choice(VALUES))}, "
        text = text.replace("{", twice, 1)
    return text.encode()


def with_other_bytes(data, rng):
    """Bytes flipped, cut off, repeated or put in."""
    position = rng.randrange(len(data))
    action = rng.choice(["flip", "cut", "insert", "repeat", "nest", "empty", "mark"])
    if action == "flip":
        flipped = bytearray(data)
        for _ in range(rng.choice([1, 3, 20])):
            flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    parts = {
        "cut": b"",
        "insert": rng.randbytes(rng.choice([1, 8, 1000])) + data[position:],
        "repeat": data[:position] * 2 + data[position:],
        "nest": b"[" * 100_000 + data[position:],
    }
    if action in parts:
        return data[:position] + parts[action]
    return b"" if action == "empty" else b"\xef\xbb\xbf" + data


def with_other_lines(data, rng):
    """A vocabulary with lines left out, repeated, moved, blank, long, or ended otherwise."""
    lines = data.split(b"\n")
    position = rng.randrange(len(lines))
    line = rng.choice(
        [b"", b" ", b"\0", b"x" * 100_000, b"##", b"\xff", "é中".encode(), b"[MASK]", b"Rose"]
    )
    action = rng.choice(["leave out", "insert", "replace", "shuffle", "CRLF", "end"])
    if action == "leave out":
        del lines[position]
    elif action == "insert":
        lines.insert(position, line)
    elif action == "replace":
        lines[position] = line
    elif action == "shuffle":
        rng.shuffle(lines)
    elif action == "end":
        lines += [line] * rng.choice([1, 2, 100])
    return (b"\r\n" if action == "CRLF" else b"\n").join(lines)


def with_another_header(data, rng):
    """A safetensors file whose header has another value, length or number."""
    size = int.from_bytes(data[:8], "little")
    header, tensors = data[8 : 8 + size], data[8 + size :]
    if rng.random() < 0.2:
        wrong = rng.choice([0, 1, size - 1, size + 1, 2**20, 10**8, 2**31, 2**62, 2**64 - 1])
        return wrong.to_bytes(8, "little") + header + tensors
    contents = json.loads(header)
    name = rng.choice([name for name in contents if name != "__metadata__"])
    described = contents[name]
    action = rng.choice(["value", "dtype", "shape", "offsets", "name"])
    if action == "value":
        header = with_another_value(header, rng)
    else:
        if action == "dtype":
            described["dtype"] = rng.choice(DTYPES)
        elif action == "shape":
            described["shape"] = rng.choice([[], [0], [2**40], [2**40, 0], [1] * 64, [-1], [8, 8]])
        elif action == "offsets":
            other = rng.choice(list(contents.values()))
            begin = rng.choice([0, 4, 2**40, 2**63, -1])
            described["data_offsets"] = other.get("data_offsets", [begin, begin + 32])
        else:
            contents["module." + rng.choice(list(contents))] = contents.pop(name)
        header = json.dumps(contents).encode()
    return len(header).to_bytes(8, "little") + header + tensors


DTYPES = ("I64", "I32", "F16", "BF16", "F64", "F8_E4M3", "F4", "BOOL", "C64", "X")
JSON = (with_another_value, with_another_value, with_another_value, with_other_bytes)
# The file that is changed, the files without which it counts, how often, and how.
CASES = [
    ("config.json", (), 150, JSON),
    ("tokenizer.json", (), 200, JSON),
    ("tokenizer_config.json", (), 60, JSON),
    ("tokenizer_config.json", ("tokenizer.json",), 60, JSON),
    ("special_tokens_map.json", (), 40, JSON),
    ("added_tokens.json", ("tokenizer.json",), 60, JSON),
    ("vocab.txt", ("tokenizer.json",), 100, (with_other_lines, with_other_bytes)),
    ("model.safetensors.index.json", ("model.safetensors",), 80, JSON),
    ("model.safetensors", (), 200, (with_another_header, with_another_header, with_other_bytes)),
    ("model-1.safetensors", ("model.safetensors",), 50, (with_another_header,)),
]


@pytest.mark.faults
def test_a_hostile_model_folder_loads_or_is_refused_in_one_line(folder_files, tmp_path, tried):
    tally = Tally()
    for case, (name, absent, count, changes) in enumerate(CASES):
        folder = tmp_path / f"{case}"
        folder.mkdir()
        for other, data in folder_files.items():
            if other not in absent and (other != "added_tokens.json" or name == other):
                (folder / other).write_bytes(data)
        load_and_use(folder)
        for seed in range(count):
            rng = random.Random(f"{name} {absent} {seed}")
            changed = rng.choice(changes)(folder_files[name], rng)
            (folder / name).write_bytes(changed)
            tally.attempt(name, str(folder), load_and_use, folder)
    tried(tally.summary())
