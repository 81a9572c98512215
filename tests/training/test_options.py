import dataclasses
import json
import math
import os
import re
import shlex
import subprocess
import sys
import typing
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from beautybert.predict import PredictConfig
from beautybert.training import options
from beautybert.training.options import option, parse
from tests.conftest import ROOT
from train_cls import ClsConfig
from train_mlm import MlmConfig


@dataclass(frozen=True)
class Options:
    data: tuple[str, ...] = option(("a.txt",), "files")
    epochs: float = option(10.0, "passes")
    max_steps: int | None = option(None, "steps", instead_of="epochs")
    lr: float | None = option(None, "rate")
    unit: str = option("token", "what", choices=("token", "word"))
    resume: bool = option(False, "continue")


def read(*arguments, path=None):
    if path:
        arguments += ("--config", str(path))
    return parse(Options, "test", arguments)


# ---- the command line and the file -------------------------------------------------------------


def test_defaults_flags_and_types():
    assert read() == Options()
    flags = "--data b c --lr 1e-3 --max-steps 7 --resume --unit word"
    assert read(*flags.split()) == Options(("b", "c"), 10.0, 7, 0.001, "word", True)
    assert read("--no-resume").resume is False


def test_flags_override_the_file_and_its_excluded_sibling(tmp_path):
    path = tmp_path / "run.json"
    config = {"data": ["x"], "max_steps": 300, "lr": 1, "resume": True}
    path.write_text(json.dumps({"config": config, "versions": {}}))
    assert read(path=path) == Options(("x",), 10.0, 300, 1, "token", True)
    changed = read("--epochs", "2", "--no-resume", path=path)
    assert changed == Options(("x",), 2.0, None, 1, "token", False)


def test_a_positional_option_is_required(capsys):
    @dataclass(frozen=True)
    class Positional:
        model: str = option("", "folder", positional=True)
        top_k: int = option(1, "labels")

    assert parse(Positional, "test", ["runs/x", "--top-k", "3"]) == Positional("runs/x", 3)
    with pytest.raises(SystemExit):
        parse(Positional, "test", [])
    assert "required: model" in capsys.readouterr().err


def test_a_positional_option_may_take_several(capsys):
    @dataclass(frozen=True)
    class Positional:
        files: tuple[str, ...] = option((), "data", positional=True)
        as_: str | None = option(None, "kind", choices=("corpus", "products"))

    assert parse(Positional, "test", ["a", "b", "--as", "corpus"]) == Positional(
        ("a", "b"), "corpus"
    )
    with pytest.raises(SystemExit):
        parse(Positional, "test", [])
    assert "required: FILE" in capsys.readouterr().err


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    """A shell leaves it after an = and in a file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = parse(ClsConfig, "test", ["--out=~/x", "--data", "~/a.csv", "b~.csv"])
    assert (asked.out, asked.data) == (f"{tmp_path}/x", (f"{tmp_path}/a.csv", "b~.csv"))
    (tmp_path / "run.json").write_text('{"init": "~/model", "label_table": "~"}')
    asked = parse(ClsConfig, "test", ["--config", "~/run.json"])
    assert (asked.init, asked.label_table) == (f"{tmp_path}/model", str(tmp_path))
    assert parse(ClsConfig, "test", []).label_table is None


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_signs_that_a_terminal_cannot_show_are_shown_by_their_numbers(encoding):
    code = (
        "import dataclasses, sys; from beautybert.training import options\n"
        "Config = dataclasses.make_dataclass('Config', [])\n"
        "def main(config): print('a → b'); raise ValueError('口紅')\n"
        "sys.exit(options.run_command(Config, None, main))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "a \\u2192 b\n")
    assert done.stderr == "error: \\u53e3\\u7d05\n"


def test_two_lengths_of_a_run_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as stopped:
        read("--epochs", "1", "--max-steps", "2")
    assert stopped.value.code == 2
    assert "--max-steps: not allowed with argument --epochs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "run.json is no JSON"),
        ("[" * 100_000, "run.json is no JSON that can be read: nested too deep"),
        ("[1]", "run.json is a list, must be an object"),
        ('{"config": [1]}', "holds no JSON object"),
        ('{"lrate": 1}', "unknown option 'lrate'; options are data, epochs"),
        ('{"lr": "fast"}', 'lr = "fast" is no float'),
        ('{"resume": 1}', "resume = 1 is no bool"),
        ('{"data": "x"}', 'data = "x" is no list of strings'),
        ('{"unit": "line"}', 'unit = "line" is none of token, word'),
        ('{"epochs": null}', "epochs = null is no float"),
        ('{"max_steps": 1.5, "lr": true}', "lr = true is no float; .*max_steps = 1.5 is no int"),
    ],
)
def test_every_mistake_in_a_file_is_named(tmp_path, content, message):
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read(path=path)


def test_a_wrong_flag_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        read("--lrr", "3")
    assert stopped.value.code == 2
    expected = "error: unrecognized arguments: --lrr 3; --help lists the options\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("flags", [["--cosmetics", "a.csv"], ["--lr", "1", "--cosmetics=a.csv"]])
def test_a_flag_with_another_name_now_is_told_the_new_one(tmp_path, flags, capsys, monkeypatch):
    message = "--cosmetics is now --data TABLE"
    with pytest.raises(ValueError, match=message):
        parse(ClsConfig, "test", flags)
    monkeypatch.setattr("sys.argv", ["train_cls.py", *flags, "--sephora", "b.csv"])
    assert options.run_command(ClsConfig, "test", main_that_raises(KeyError("not reached"))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line and "; --sephora is now --data" in line
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"config": {"sephora": "b.csv", "seed": 1}}))
    with pytest.raises(ValueError, match=f"--config {path}: sephora is now --data TABLE"):
        parse(ClsConfig, "test", ["--config", str(path)])


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match="--config nowhere.json: no such file"):
        read("--config", "nowhere.json")


def main_that_raises(error):
    def main(config):
        raise error

    return main


def test_a_users_mistake_is_one_line_and_code_2_and_a_bug_is_not_hidden(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["script"])
    main = main_that_raises(ValueError("--lr is odd"))
    assert options.run_command(Options, "test", main) == 2
    assert capsys.readouterr().err == "error: --lr is odd\n"
    main = main_that_raises(OSError("the disk is full"))
    assert options.run_command(Options, "test", main) == 2
    assert capsys.readouterr().err == "error: the disk is full\n"
    with pytest.raises(KeyError):
        options.run_command(Options, "test", main_that_raises(KeyError("bug")))
    assert options.run_command(Options, "test", lambda config: None) == 0


def test_run_json_holds_the_options_but_not_how_a_run_was_started(tmp_path):
    config = Options(("x",), lr=0.5, resume=True)
    values = options.to_dict(config)
    assert "resume" not in values
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"config": values}))
    assert read(path=path) == replace(config, resume=False)


def test_options_that_differ_from_an_earlier_start_are_told(tmp_path):
    path = tmp_path / "run.json"
    config = options.to_dict(Options(lr=0.5))
    assert options.changed_options(config, path) == []
    path.write_text(json.dumps({"config": config}))
    assert options.changed_options(config, path) == []
    changed = config | {"lr": 0.1, "max_steps": 3}
    expected = ["--max-steps 3 (was None)", "--lr 0.1 (was 0.5)"]
    assert options.changed_options(changed, path) == expected


# ---- ranges ------------------------------------------------------------------------------------

CONFIGS = (MlmConfig, ClsConfig, PredictConfig)


def numeric_fields(config_class):
    """(field, whether it is an int) of each option that is a number."""
    hints = typing.get_type_hints(config_class)
    found = []
    for field in dataclasses.fields(config_class):
        kinds = {hints[field.name], *typing.get_args(hints[field.name])} & {int, float}
        if kinds:
            found.append((field, int in kinds))
    return found


NUMERIC = [
    pytest.param(config_class, field, is_int, id=f"{config_class.__name__}-{field.name}")
    for config_class in CONFIGS
    for field, is_int in numeric_fields(config_class)
]


def just_outside(name, bound, is_int):
    """The value next to a bound that it does not allow."""
    if name in ("gt", "lt"):
        return bound
    if is_int:
        return bound - 1 if name == "ge" else bound + 1
    return math.nextafter(bound, -math.inf if name == "ge" else math.inf)


def just_inside(name, bound, is_int):
    if name in ("ge", "le"):
        return bound
    if is_int:
        return bound + 1 if name == "gt" else bound - 1
    return math.nextafter(bound, math.inf if name == "gt" else -math.inf)


@pytest.mark.parametrize("config_class", CONFIGS)
def test_defaults_are_in_range(config_class):
    assert options.out_of_range(config_class()) == []


@pytest.mark.parametrize("config_class", CONFIGS)
def test_every_number_among_the_options_is_found_here(config_class):
    found = {field.name for field, _ in numeric_fields(config_class)}
    numbers = {
        name
        for name, value in vars(config_class()).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    assert numbers
    optional = set() if config_class is PredictConfig else {"dropout", "lr", "max_steps"}
    assert numbers | optional <= found


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("config_class, field, is_int", NUMERIC)
def test_a_number_that_is_not_finite_is_refused_by_its_flag(config_class, field, is_int, value):
    config = replace(config_class(), **{field.name: value})
    expected = f"--{field.name.replace('_', '-')} must be a finite number, not {value}"
    assert options.out_of_range(config) == [expected]


@pytest.mark.parametrize("config_class, field, is_int", NUMERIC)
def test_every_number_has_a_range_that_ends_where_it_says(config_class, field, is_int):
    bounds = field.metadata["bounds"]
    assert {"gt", "ge"} & bounds.keys(), "no number may be as small as one likes"
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    for name, bound in bounds.items():
        value = just_outside(name, bound, is_int)
        problems = options.out_of_range(replace(config_class(), **{field.name: value}))
        assert len(problems) == 1
        assert problems[0].startswith(f"--{field.name.replace('_', '-')} must be ")
        assert f"{words[name]} {bound:,}" in problems[0]
        assert problems[0].endswith(f", not {value}")
        inside = just_inside(name, bound, is_int)
        assert options.out_of_range(replace(config_class(), **{field.name: inside})) == []


@pytest.mark.parametrize("config_class", CONFIGS)
def test_all_numbers_out_of_range_are_named_at_once(config_class):
    names = [field.name for field, _ in numeric_fields(config_class)]
    problems = options.out_of_range(config_class(**dict.fromkeys(names, math.nan)))
    assert [problem.split(" ")[0] for problem in problems] == [
        "--" + name.replace("_", "-") for name in names
    ]
    with pytest.raises(ValueError) as raised:
        options.raise_problems(problems)
    assert str(raised.value) == "; ".join(problems)
    options.raise_problems([])


@dataclass(frozen=True)
class Ranged:
    max_length: int = option(128, "tokens", ge=3, le=65536, group="data")
    mask_prob: float = option(0.15, "share of 100 %", gt=0, lt=1, group="batch")
    lr: float | None = option(None, "rate", gt=0)
    resume: bool = option(True, "continue", group="output")
    unit: str = option("token", "what", choices=("token", "word"))


def test_a_range_is_told_in_words():
    config = Ranged(max_length=2, mask_prob=1.0, lr=0.0)
    assert options.out_of_range(config) == [
        "--max-length must be at least 3 and at most 65,536, not 2",
        "--mask-prob must be above 0 and below 1, not 1.0",
        "--lr must be above 0, not 0.0",
    ]
    assert options.out_of_range(Ranged()) == []


@pytest.mark.parametrize(
    "config_class, name", [(MlmConfig, "seed"), (ClsConfig, "seed"), (ClsConfig, "split_seed")]
)
def test_a_seed_that_torch_cannot_take_is_refused(config_class, name):
    flag = "--" + name.replace("_", "-")
    problems = options.out_of_range(replace(config_class(), **{name: 10**30}))
    assert problems == [
        f"{flag} must be at most {2**63 - 1:,}, not 100000000000... (31 characters)"
    ]
    assert options.out_of_range(replace(config_class(), **{name: 2**63 - 1})) == []
    assert options.out_of_range(replace(config_class(), **{name: 10**400}))


# ---- --help ------------------------------------------------------------------------------------


def help_of(config_class, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stopped:
        parse(config_class, "what it does", ["--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def sections_of(text):
    """Title -> flags below it, in order."""
    sections = {}
    for line in text.splitlines():
        if re.fullmatch(r"\w[\w ]*:", line):
            title = line.rstrip(":")
            sections[title] = []
        flag = re.match(r"  (?:-h, )?(--[\w-]+)", line)
        if flag:
            sections[title].append(flag[1])
    return sections


def help_by_flag(text):
    """Flag -> its line or lines, joined."""
    entries = re.split(r"\n  (?=-)", text)[1:]
    found = {}
    for entry in entries:
        words = entry.split("\n\n")[0].split()
        flag = next(word for word in words if word.startswith("--"))
        found[flag.rstrip(",")] = " ".join(words)
    return found


def flags_by_group(config_class):
    groups = {"options": ["--help", "--config"]}
    title = "options"
    for field in dataclasses.fields(config_class):
        title = field.metadata["group"] or title
        if not field.metadata["positional"]:
            groups.setdefault(title, []).append("--" + field.name.replace("_", "-"))
    return groups


@pytest.mark.parametrize("config_class", CONFIGS)
def test_help_lists_every_flag_below_its_group(config_class, capsys, monkeypatch):
    sections = sections_of(help_of(config_class, capsys, monkeypatch))
    sections.pop("positional arguments", None)
    assert sections == flags_by_group(config_class)


@pytest.mark.parametrize(
    "config_class, titles",
    [
        (MlmConfig, ["data", "model", "batch", "optimization", "evaluation and output"]),
        (ClsConfig, ["data", "model", "batch", "optimization", "evaluation and output"]),
        (PredictConfig, ["positional arguments", "input", "answer", "output"]),
    ],
)
def test_help_has_the_groups_of_the_options(config_class, titles, capsys, monkeypatch):
    sections = sections_of(help_of(config_class, capsys, monkeypatch))
    assert [title for title in sections if title != "options"] == titles


@pytest.mark.parametrize("config_class", CONFIGS)
def test_help_says_range_and_default_of_every_number(config_class, capsys, monkeypatch):
    described = help_by_flag(help_of(config_class, capsys, monkeypatch))
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    for field, _ in numeric_fields(config_class):
        text = described["--" + field.name.replace("_", "-")]
        for name, bound in field.metadata["bounds"].items():
            assert f"{words[name]} {bound:,}" in text
        if field.default is not None:
            assert text.endswith(f"[{field.default}]")


def test_help_of_an_option_is_its_flag_text_range_and_default(capsys, monkeypatch):
    described = help_by_flag(help_of(Ranged, capsys, monkeypatch))
    expected = "--mask-prob F share of 100 % (above 0 and below 1) [0.15]"
    assert described["--mask-prob"] == expected
    expected = "--max-length N tokens (at least 3 and at most 65,536) [128]"
    assert described["--max-length"] == expected
    assert described["--lr"] == "--lr F rate (above 0)"
    assert described["--resume"] == "--resume, --no-resume continue [on]"
    assert described["--unit"] == "--unit token|word what [token]"


# ---- problems between options ------------------------------------------------------------------


@pytest.mark.parametrize(
    "batch, micro_batch, world_size, expected",
    [
        (64, 16, 1, None),
        (64, 16, 4, None),
        (0, 16, 1, None),  # out of range, which is another problem
        (64, 0, 1, None),
        (
            60,
            16,
            1,
            "--batch-size 60 is no multiple of --micro-batch-size 16 x 1 rank(s) = 16; the nearest "
            "are 48 and 64, or keep the batch with --micro-batch-size 60",
        ),
        (
            63,
            16,
            2,
            "--batch-size 63 is no multiple of --micro-batch-size 16 x 2 rank(s) = 32; the nearest "
            "are 32 and 64",
        ),
        (
            8,
            16,
            2,
            "--batch-size 8 is no multiple of --micro-batch-size 16 x 2 rank(s) = 32; the nearest "
            "are 32, or keep the batch with --micro-batch-size 4",
        ),
    ],
)
def test_a_batch_that_is_not_equal_micro_batches_is_told_the_nearest(
    batch, micro_batch, world_size, expected
):
    config = SimpleNamespace(batch_size=batch, micro_batch_size=micro_batch)
    found = options.not_a_multiple(config, "batch_size", "micro_batch_size", world_size)
    assert found == ([expected] if expected else [])


def test_a_missing_extra_says_what_to_install():
    problems = options.missing_extra("no_such_package")
    assert problems == [
        "--no-such-package needs the package no_such_package: pip install -e '.[no_such_package]'"
    ]
    assert options.missing_extra("torch") == []


def test_the_command_line_of_a_config_is_parsed_to_it():
    for config in (
        MlmConfig(),
        MlmConfig(data=("a b.json", "c.txt"), lr=1e-4, compile=True, out="it's", seed=3),
        ClsConfig(baseline=False, columns=("label=x y",), max_steps=0, dropout=0.0),
    ):
        module = f"-m {type(config).__module__}"
        start, flags = (
            options.command_line(config)[: len(module)],
            shlex.split(options.command_line(config)[len(module) :]),
        )
        assert start == module and parse(type(config), None, flags) == config
    assert options.command_line(MlmConfig(resume=True, cache_dir="/home/me")) == "-m train_mlm"
    config = MlmConfig(epochs=2.0, max_steps=5)  # as by --config and a flag
    assert options.command_line(config) == "-m train_mlm --max-steps 5"
    assert options.command_line(config, "other", names=("lr", "epochs")) == "-m other --epochs 2.0"


def test_the_next_script_is_the_one_beside_this_or_the_installed_command(tmp_path, monkeypatch):
    (tmp_path / "other.py").touch()
    monkeypatch.chdir(tmp_path)
    for started, expected in [
        ("this.py", "python other.py"),
        (str(tmp_path / "this.py"), f"python {tmp_path / 'other.py'}"),
        ("", "python other.py"),
        ("/somewhere/bin/beautybert-this", "beautybert-other"),
    ]:
        monkeypatch.setattr(sys, "argv", [started])
        assert options.next_command("other.py", "beautybert-other") == expected
