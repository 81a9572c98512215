"""A frozen dataclass <-> the command line <-> a JSON file.

Each script declares its options as one flat dataclass of `option(...)` fields. What the options mean, and
which of them exclude each other, is checked by the script.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path


def option(
    default,
    help: str,
    choices: Sequence[str] | None = None,
    instead_of: str | None = None,
    positional: bool = False,
):
    """A dataclass field that becomes a command-line flag, or a required argument. `instead_of` names a field that the flag overrides."""
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "choices": choices,
            "instead_of": instead_of,
            "positional": positional,
        },
    )


def flag(name: str) -> str:
    """The command-line spelling of a field: batch_tokens -> --batch-tokens."""
    return "--" + name.replace("_", "-")


def raise_problems(problems: Sequence[str]) -> None:
    """ValueError with every problem at once; nothing when there is none."""
    if problems:
        raise ValueError("; ".join(problems))


def parse(config_class: type, description: str, arguments: Sequence[str] | None = None):
    """The config that the command line asks for: the class's defaults, overridden by --config FILE, overridden by flags.

    FILE is a run.json written by a script, or a plain JSON object of fields. ValueError for an unreadable
    FILE, an unknown key or a value of the wrong type; argparse's own exit (code 2) for a wrong flag.
    """
    parser = _Parser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", metavar="FILE", help="take the options of this run.json; flags override it"
    )
    hints, exclusive = typing.get_type_hints(config_class), {}
    for field in dataclasses.fields(config_class):
        exclusive.setdefault(field.metadata["instead_of"] or field.name, []).append(field)
    for fields in exclusive.values():
        group = parser.add_mutually_exclusive_group() if len(fields) > 1 else parser
        for field in fields:
            if field.metadata["positional"]:
                group.add_argument(field.name, help=field.metadata["help"])
            else:
                group.add_argument(
                    flag(field.name),
                    dest=field.name,
                    default=argparse.SUPPRESS,
                    **_argument(field, hints[field.name]),
                )
    given = vars(parser.parse_args(arguments))
    values = _read_file(config_class, hints, given.pop("config")) if given.get("config") else {}
    given.pop("config", None)
    for fields in exclusive.values():
        if any(field.name in given for field in fields):
            for field in fields:
                values.pop(field.name, None)
    values.update(
        {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    )
    return config_class(**values)


def run_command(config_class: type, description: str, main: Callable) -> int:
    """Parse, call `main(config)`, and turn a ValueError, or what the system refuses (a full disk), into one line on stderr and exit code 2.

    Under `python -X dev` the traceback is shown instead.
    """
    try:
        main(parse(config_class, description))
    except (ValueError, OSError) as error:
        if sys.flags.dev_mode:
            raise
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without forty lines of usage before it."""

    def error(self, message: str):
        self.exit(2, f"error: {message}; --help lists the options\n")


def changed_options(config, run_json: Path) -> list[str]:
    """What a config asks for otherwise than the run.json of an earlier start did, as '--lr 0.001 (was 0.0001)'; nothing if there is no such file."""
    if not run_json.is_file():
        return []
    before = json.loads(run_json.read_text(encoding="utf-8"))["config"]
    now = json.loads(json.dumps(dataclasses.asdict(config)))
    return [
        f"{flag(name)} {now[name]} (was {value})"
        for name, value in before.items()
        if now.get(name) != value
    ]


def _argument(field: dataclasses.Field, hint) -> dict:
    """argparse's keywords for a field: its type, help and default."""
    default = " ".join(field.default) if isinstance(field.default, tuple) else field.default
    shown = "" if default in (None, "", False) else f" [{'on' if default is True else default}]"
    keywords: dict = {"help": (field.metadata["help"] + shown).replace("%", "%%")}
    base = _base_type(hint)
    if base is bool:
        keywords["action"] = argparse.BooleanOptionalAction
        return keywords
    if typing.get_origin(base) is tuple:
        keywords |= {"nargs": "+", "type": str, "metavar": field.name.rstrip("s").upper()}
    else:
        keywords |= {"type": base, "metavar": {int: "N", float: "F", str: field.name.upper()}[base]}
    if field.metadata["choices"]:
        keywords |= {
            "choices": field.metadata["choices"],
            "metavar": "|".join(field.metadata["choices"]),
        }
    return keywords


def _base_type(hint):
    """int | None -> int; anything else as it is."""
    if isinstance(hint, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def _read_file(config_class: type, hints: dict, path: str) -> dict:
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"--config {path}: {error}") from None
    values = values.get("config", values) if isinstance(values, dict) else None
    if not isinstance(values, dict):
        raise ValueError(f"--config {path}: holds no JSON object of options")
    known = {field.name: field for field in dataclasses.fields(config_class)}
    problems = [
        f"--config {path}: unknown option {key!r}; options are {', '.join(known)}"
        for key in values
        if key not in known
    ]
    for key in values.keys() & known.keys():
        problem = _wrong_value(values[key], hints[key], known[key].metadata["choices"])
        if problem:
            problems.append(f"--config {path}: {key} = {values[key]!r} {problem}")
        elif isinstance(values[key], list):
            values[key] = tuple(values[key])
    raise_problems(sorted(problems))
    return values


def _wrong_value(value, hint, choices: Sequence[str] | None) -> str | None:
    """What is wrong with a value from a JSON file; None if nothing is."""
    base = _base_type(hint)
    if value is None and base is not hint:
        return None
    if typing.get_origin(base) is tuple:
        return (
            None
            if isinstance(value, list) and all(isinstance(item, str) for item in value)
            else "is no list of strings"
        )
    accepted = (int, float) if base is float else base
    if not isinstance(value, accepted) or isinstance(value, bool) != (base is bool):
        return f"is no {base.__name__}"
    return f"is none of {', '.join(choices)}" if choices and value not in choices else None
