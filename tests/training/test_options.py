import json
from dataclasses import dataclass

import pytest

from beautybert import config
from beautybert.training.options import option, parse


@dataclass(frozen=True)
class Options:
    data: tuple[str, ...] = option(("a.txt",), "files")
    epochs: float = option(10.0, "passes")
    max_steps: int | None = option(None, "steps", instead_of="epochs")
    lr: float | None = option(None, "rate")
    unit: str = option("token", "what", choices=("token", "word"))
    resume: bool = option(False, "continue")


def read(*arguments, **file):
    if file:
        arguments += ("--config", str(file["path"]))
    return parse(Options, "test", arguments)


def test_defaults_flags_and_types():
    assert read() == Options()
    assert read(
        "--data", "b", "c", "--lr", "1e-3", "--max-steps", "7", "--resume", "--unit", "word"
    ) == Options(("b", "c"), 10.0, 7, 0.001, "word", True)
    assert read("--no-resume").resume is False


def test_flags_override_the_file_and_its_excluded_sibling(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(
        json.dumps(
            {"config": {"data": ["x"], "max_steps": 300, "lr": 1, "resume": True}, "versions": {}}
        )
    )
    assert read(path=path) == Options(("x",), 10.0, 300, 1, "token", True)
    assert read("--epochs", "2", "--no-resume", path=path) == Options(
        ("x",), 2.0, None, 1, "token", False
    )


def test_a_positional_option_is_required(capsys):
    @dataclass(frozen=True)
    class Positional:
        model: str = option("", "folder", positional=True)
        top_k: int = option(1, "labels")

    assert parse(Positional, "test", ["runs/x", "--top-k", "3"]) == Positional("runs/x", 3)
    with pytest.raises(SystemExit):
        parse(Positional, "test", [])
    assert "required: model" in capsys.readouterr().err


def test_two_lengths_of_a_run_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as stopped:
        read("--epochs", "1", "--max-steps", "2")
    assert (
        stopped.value.code == 2
        and "--max-steps: not allowed with argument --epochs" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "run.json: Expecting"),
        ("[1]", "holds no JSON object"),
        ('{"lrate": 1}', "unknown option 'lrate'; options are data, epochs"),
        ('{"lr": "fast"}', "lr = 'fast' is no float"),
        ('{"resume": 1}', "resume = 1 is no bool"),
        ('{"data": "x"}', "data = 'x' is no list of strings"),
        ('{"unit": "line"}', "unit = 'line' is none of token, word"),
        ('{"epochs": null}', "epochs = None is no float"),
        ('{"max_steps": 1.5, "lr": true}', "lr = True is no float; .*max_steps = 1.5 is no int"),
    ],
)
def test_every_mistake_in_a_file_is_named(tmp_path, content, message):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read(path=tmp_path / "run.json")


def test_a_wrong_flag_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        read("--lrr", "3")
    assert (
        stopped.value.code == 2
        and capsys.readouterr().err
        == "error: unrecognized arguments: --lrr 3; --help lists the options\n"
    )


def test_a_missing_file_is_named():
    with pytest.raises(ValueError, match="--config nowhere.json: .*No such file"):
        read("--config", "nowhere.json")


def test_a_users_mistake_is_one_line_and_code_2_and_a_bug_is_not_hidden(capsys, monkeypatch):
    def fail_with(error):
        def main(options):
            raise error

        return main

    monkeypatch.setattr("sys.argv", ["script"])
    assert config.run_command(Options, "test", fail_with(ValueError("--lr is odd"))) == 2
    assert capsys.readouterr().err == "error: --lr is odd\n"
    with pytest.raises(KeyError):
        config.run_command(Options, "test", fail_with(KeyError("bug")))
