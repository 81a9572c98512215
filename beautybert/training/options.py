"""A frozen dataclass <-> the command line <-> a JSON file.

Each script declares its options as one flat dataclass of `option(...)` fields, with the range of
each next to it. What is wrong between options is checked by the script.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import inspect
import io
import json
import math
import os
import shlex
import sys
import types
import typing
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

from beautybert import files

BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
LARGEST_INT = 2**63 - 1  # what torch's seeds and JSON readers in other languages take
PATHS = {"data", "label_table", "cache_dir", "init", "out", "model", "input", "output", "files"}
LEFT_OUT = ("resume",)  # of run.json: it says how a run was started, not what it is


def option(
    default: Any,
    help: str,
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    choices: Sequence[str] | None = None,
    group: str | None = None,
    instead_of: str | None = None,
    positional: bool = False,
) -> Any:
    """A dataclass field that becomes a flag of the command line.

    gt, ge, lt, le: the range of a number: above, at least, below, at most. group: title in --help
    of this field and those after it. instead_of: the field that this flag overrides. positional: a
    required argument instead of a flag.
    """
    bounds = {"gt": gt, "ge": ge, "lt": lt, "le": le}
    metadata = {
        "help": help,
        "bounds": {name: bound for name, bound in bounds.items() if bound is not None},
        "choices": choices,
        "group": group,
        "instead_of": instead_of,
        "positional": positional,
    }
    return dataclasses.field(default=default, metadata=metadata)


def flag(name: str) -> str:
    """The command-line spelling of a field: batch_tokens -> --batch-tokens, as_ -> --as."""
    return "--" + name.rstrip("_").replace("_", "-")


def to_dict(config: Any) -> dict[str, Any]:
    """The options as run.json holds them, without those that only say how the run was started."""
    values = dataclasses.asdict(config)
    return {name: value for name, value in values.items() if name not in LEFT_OUT}


def command_line(config: Any, script: str = "", names: Container[str] | None = None) -> str:
    """The module and flags that give a config, for a shell: `-m train_mlm --lr 0.001`.

    Flags at their default and folders of caches are left out. script: another that takes the flags
    [the one that the config is of]. names: of the options that it takes.
    """
    words = ["-m", script or Path(inspect.getfile(type(config))).stem]
    fields = [field for field in dataclasses.fields(config) if names is None or field.name in names]
    given = {field.name for field in fields if getattr(config, field.name) != field.default}
    overridden = {field.metadata["instead_of"] for field in fields if field.name in given}
    for field in fields:
        value = getattr(config, field.name)
        if field.name not in given - overridden - {*LEFT_OUT, "cache_dir"}:
            continue
        if isinstance(value, bool):
            words.append(flag(field.name) if value else flag(f"no_{field.name}"))
        else:
            words.append(flag(field.name))
            words += map(str, value) if isinstance(value, tuple) else [str(value)]
    return shlex.join(words)


def next_command(script: str, installed: str) -> str:
    """How to start a script that lies beside the one that runs, else its installed command."""
    path = Path(sys.argv[0]).parent / script
    return f"python {shlex.quote(str(path))}" if path.is_file() else installed


# ---- what is wrong with options ----------------------------------------------------------------


def out_of_range(config: Any) -> list[str]:
    """A problem for each number that is not finite or not in the range of its field."""
    problems = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            problems.append(f"{flag(field.name)} must be a finite number, not {_shown(value)}")
        elif not _within(value, field.metadata["bounds"]):
            asked = range_text(field.metadata["bounds"])
            problems.append(f"{flag(field.name)} must be {asked}, not {_shown(value)}")
        elif isinstance(value, int) and abs(value) > LARGEST_INT:
            problems.append(
                f"{flag(field.name)} must be at most {LARGEST_INT:,}, not {_shown(value)}"
            )
    return problems


def range_text(bounds: dict[str, float]) -> str:
    """Bounds for people: {"gt": 0, "lt": 1} -> "above 0 and below 1"."""
    return " and ".join(f"{BOUNDS[name]} {bound:,}" for name, bound in bounds.items())


def not_a_multiple(
    config: Any, batch_name: str, micro_batch_name: str, world_size: int
) -> list[str]:
    """The problem that a batch is not equal micro-batches for all ranks, if it is one."""
    batch, micro_batch = getattr(config, batch_name), getattr(config, micro_batch_name)
    part = micro_batch * world_size
    if batch <= 0 or part <= 0 or batch % part == 0:
        return []
    below = batch // part
    multiples = " and ".join(str(n * part) for n in (below, below + 1) if n)
    problem = (
        f"{flag(batch_name)} {batch} is no multiple of {flag(micro_batch_name)} {micro_batch} "
        f"x {world_size} rank(s) = {part}; the nearest are {multiples}"
    )
    if batch % world_size == 0:
        problem += f", or keep the batch with {flag(micro_batch_name)} {batch // world_size}"
    return [problem]


def raise_problems(problems: Sequence[str]) -> None:
    """ValueError with every problem at once; nothing if there is none."""
    if problems:
        raise ValueError("; ".join(problems))


def missing_extra(name: str) -> list[str]:
    """The problem that an option's package, an extra of the same name, is missing, if it is one."""
    if importlib.util.find_spec(name):
        return []
    return [f"{flag(name)} needs the package {name}: pip install -e '.[{name}]'"]


def changed_options(config: dict[str, Any], run_json: Path) -> list[str]:
    """What differs from the run.json of an earlier start, as "--lr 0.001 (was 0.0001)".

    Nothing if there is no such file.
    """
    if not run_json.is_file():
        return []
    try:
        before = files.value_of(files.read_json(run_json), "config", dict, run_json)
    except ValueError as error:
        print(f"warning: {error}; it is written again", file=sys.stderr)
        return []
    now = json.loads(json.dumps(config))
    names = [name for name, value in before.items() if now.get(name) != value]
    return [f"{flag(name)} {now.get(name)} (was {before[name]})" for name in names]


def _shown(value: float) -> str:
    text = str(value)
    return text if len(text) <= 30 else f"{text[:12]}... ({len(text)} characters)"


def _within(value: float, bounds: dict[str, float]) -> bool:
    comparisons = {
        "gt": lambda bound: value > bound,
        "ge": lambda bound: value >= bound,
        "lt": lambda bound: value < bound,
        "le": lambda bound: value <= bound,
    }
    return all(comparisons[name](bound) for name, bound in bounds.items())


# ---- the command line --------------------------------------------------------------------------


def run_command(config_class: type, description: str | None, main: Callable) -> int:
    """Parse the command line and call `main(config)`; returns the exit code.

    A ValueError, or what the system refuses (a full disk), becomes one line on stderr and code 2.
    Under `python -X dev` the traceback is shown instead. Ctrl-C is code 130. Signs that the
    terminal's encoding lacks, or that a terminal acts on, are shown by their numbers.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        main(parse(config_class, description))
        sys.stdout.flush()
    except BrokenPipeError:  # as of `| head`: the rest is not wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        if sys.flags.dev_mode:
            raise
        print(f"error: {files.printable(str(error))}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr, flush=True)
        return 130
    return 0


def parse(
    config_class: type, description: str | None, arguments: Sequence[str] | None = None
) -> Any:
    """The config that the command line asks for: defaults, then --config FILE, then flags.

    FILE is a run.json written by a script, or a JSON object of options. ValueError for an
    unreadable FILE, an unknown key or a value of the wrong type; argparse's own exit (code 2) for a
    wrong flag.
    """
    hints = typing.get_type_hints(config_class)
    parser = _make_parser(config_class, description, hints)
    _check_renamed(config_class, sys.argv[1:] if arguments is None else arguments)
    given = vars(parser.parse_args(arguments))
    path = given.pop("config")
    values = _read_file(config_class, hints, path) if path else {}
    for names in _exclusive_names(config_class):
        if any(name in given for name in names):
            for name in names:
                values.pop(name, None)
    for name, value in given.items():
        values[name] = tuple(value) if isinstance(value, list) else value
    for name in PATHS & values.keys():
        values[name] = _expanded(values[name])
    return config_class(**values)


def _expanded(value: Any) -> Any:
    """Paths with ~ as the home folder, which a shell leaves after an = and in a file."""
    if isinstance(value, tuple):
        return tuple(map(os.path.expanduser, value))
    return value and os.path.expanduser(value)


def _check_renamed(config_class: type, arguments: Sequence[str]) -> None:
    """ValueError for a flag that has another name now, as the class's RENAMED says."""
    renamed = _renamed(config_class)
    found = {argument.partition("=")[0] for argument in arguments}
    old = [name for name in renamed if flag(name) in found]
    raise_problems([f"{flag(name)} is now {renamed[name]}" for name in old])


def _renamed(config_class: type) -> dict[str, str]:
    """What fields are called now, by the names that they had; the class's RENAMED."""
    return getattr(config_class, "RENAMED", {})


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without forty lines of usage before it."""

    def error(self, message: str):
        self.exit(2, f"error: {message}; --help lists the options\n")


def _make_parser(config_class: type, description: str | None, hints: dict[str, Any]) -> _Parser:
    parser = _Parser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", metavar="FILE", help="take the options of this run.json; flags override it"
    )
    group: Any = parser
    exclusive: dict[str, Any] = {}
    shared = {name for names in _exclusive_names(config_class) if len(names) > 1 for name in names}
    for field in dataclasses.fields(config_class):
        if field.metadata["group"]:
            group = parser.add_argument_group(field.metadata["group"])
        if field.metadata["positional"]:
            is_list = typing.get_origin(hints[field.name]) is tuple
            nargs, metavar = ("+", field.name.rstrip("s").upper()) if is_list else (None, None)
            parser.add_argument(
                field.name, nargs=nargs, metavar=metavar, help=field.metadata["help"]
            )
            continue
        target = group
        if field.name in shared:
            first = field.metadata["instead_of"] or field.name
            if first not in exclusive:
                exclusive[first] = group.add_mutually_exclusive_group()
            target = exclusive[first]
        keywords = _argument(field, hints[field.name])
        target.add_argument(
            flag(field.name), dest=field.name, default=argparse.SUPPRESS, **keywords
        )
    return parser


def _exclusive_names(config_class: type) -> list[list[str]]:
    """The names of fields, those together of which the command line takes only one."""
    names: dict[str, list[str]] = {}
    for field in dataclasses.fields(config_class):
        names.setdefault(field.metadata["instead_of"] or field.name, []).append(field.name)
    return list(names.values())


def _argument(field: dataclasses.Field, hint: Any) -> dict[str, Any]:
    """argparse's keywords for a field: its type, help, range and default."""
    base = _base_type(hint)
    text = field.metadata["help"]
    if field.metadata["bounds"]:
        text += f" ({range_text(field.metadata['bounds'])})"
    default = _default_text(field.default)
    if default:
        text += f" [{default}]"
    keywords: dict[str, Any] = {"help": text.replace("%", "%%")}
    if base is bool:
        return keywords | {"action": argparse.BooleanOptionalAction}
    if typing.get_origin(base) is tuple:
        keywords |= {"nargs": "+", "type": str, "metavar": field.name.rstrip("s").upper()}
    else:
        metavar = {int: "N", float: "F", str: field.name.upper()}[base]
        keywords |= {"type": base, "metavar": metavar}
    if field.metadata["choices"]:
        choices = field.metadata["choices"]
        keywords |= {"choices": choices, "metavar": "|".join(choices)}
    return keywords


def _default_text(default: Any) -> str:
    if default in (None, ""):
        return ""
    if isinstance(default, bool):
        return "on" if default else "off"
    return " ".join(default) if isinstance(default, tuple) else str(default)


def _base_type(hint: Any) -> Any:
    """int | None -> int; anything else as it is."""
    if isinstance(hint, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


# ---- the JSON file -----------------------------------------------------------------------------


def _read_file(config_class: type, hints: dict[str, Any], path: str) -> dict[str, Any]:
    try:
        contents = files.read_json(Path(path).expanduser())
    except FileNotFoundError:
        raise ValueError(f"--config {path}: no such file") from None
    except ValueError as error:
        raise ValueError(f"--config {error}") from None
    values = contents.get("config", contents)
    if not isinstance(values, dict):
        raise ValueError(f"--config {path}: holds no JSON object of options")
    known = {field.name: field for field in dataclasses.fields(config_class)}
    problems = []
    for key, value in values.items():
        if key in _renamed(config_class):
            problems.append(f"--config {path}: {key} is now {_renamed(config_class)[key]}")
            continue
        if key not in known:
            options = ", ".join(known)
            problems.append(f"--config {path}: unknown option {key!r}; options are {options}")
            continue
        problem = _wrong_value(value, hints[key], known[key])
        if problem:
            problems.append(f"--config {path}: {key} = {files.shown(value)} {problem}")
        elif isinstance(value, list):
            values[key] = tuple(value)
    raise_problems(sorted(problems))
    return values


def _wrong_value(value: Any, hint: Any, field: dataclasses.Field) -> str | None:
    """What is wrong with a value from a JSON file; None if nothing is."""
    base = _base_type(hint)
    if value is None and (base is not hint or field.default is None):
        return None
    if typing.get_origin(base) is tuple:
        is_list = isinstance(value, list) and all(isinstance(item, str) for item in value)
        is_fine = is_list and (value or not field.default)
        return None if is_fine else "is no list of strings, or empty"
    accepted = (int, float) if base is float else base
    if not isinstance(value, accepted) or isinstance(value, bool) != (base is bool):
        return f"is no {base.__name__}"
    choices = field.metadata["choices"]
    if choices and value not in choices:
        return f"is none of {', '.join(choices)}"
    return None
