"""The house rules that a machine can hold: who imports whom, and what the two scripts share."""

import ast
import re
from pathlib import Path

import pytest

import train_cls
import train_mlm
from tests.conftest import ROOT

SCRIPTS = ("train_mlm", "train_cls")
SHARED = {"files", "table_files"}  # modules outside the wings, for all of them
# What a module may import of ours, by its wing; others may import all.
MAY_IMPORT = {
    "files": set(),
    "table_files": set(),
    "bert": {"bert", *SHARED},
    "training": {"training", *SHARED},
    "mlm": {"mlm", "bert", "training", *SHARED},
    "cls": {"cls", "bert", "training", *SHARED},
}
PHASES = ["data", "model", "optimizer", "resume", "run folder", "loop", "export"]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in (ROOT / "beautybert").rglob("*.py")}


def imported_modules(path: Path) -> set[str]:
    """The modules of this project that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in MODULES else node.module)
    return {name for name in found if name in MODULES or name in SCRIPTS}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_wing_imports_only_the_wings_that_it_may_know(name):
    wing = name.split(".")[1] if "." in name else ""
    for imported in imported_modules(MODULES[name]):
        assert imported not in SCRIPTS, f"{name} imports the script {imported}"
        if wing in MAY_IMPORT:
            assert imported.split(".")[1:2] and imported.split(".")[1] in MAY_IMPORT[wing], imported


def test_no_circle_of_imports():
    imports = {name: imported_modules(path) for name, path in MODULES.items()}
    unresolved = set(imports)
    while unresolved:
        leaves = {name for name in unresolved if not (imports[name] & unresolved) - {name}}
        assert leaves, f"a circle among {sorted(unresolved)}"
        unresolved -= leaves


def test_scripts_import_nothing_of_each_other():
    for name in SCRIPTS:
        assert not imported_modules(ROOT / f"{name}.py") & set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_importing_a_script_runs_nothing(name):
    """At its top are imports, definitions, constants and the call under `if __name__`."""
    docstring, *body, last = ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr) and isinstance(last, ast.If)
    assert ast.unparse(last.test) == "__name__ == '__main__'"
    definitions = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign)
    assert [ast.unparse(node) for node in body if not isinstance(node, definitions)] == []


@pytest.mark.parametrize("script", [train_mlm, train_cls])
def test_scripts_go_through_the_same_phases_under_the_same_banners(script):
    source = Path(script.__file__).read_text(encoding="utf-8")
    banners = [line for line in source.splitlines() if line.strip().startswith("# ====")]
    assert [re.fullmatch(r"    # ==== ([a-z ]+) =+", line)[1] for line in banners] == PHASES
    assert len({len(line) for line in banners}) == 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_stay_short_enough_to_be_read_in_one_sitting(name):
    """350 lines, of which main has 150 and the fenced optimizer step 35."""
    source = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    lines = source.splitlines()
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    main = next(node for node in functions if node.name == "main")
    fences = [i for i, line in enumerate(lines) if line.strip().startswith("# ----")]
    assert len(lines) <= 350 and main.end_lineno - main.lineno < 150
    assert len(fences) == 2 and fences[1] - fences[0] - 1 <= 35
    assert max(map(len, lines)) <= 100


def test_the_map_has_every_module():
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    listed, wing = [], ""
    for line in page.split("\nbeautybert/\n", 1)[1].split("```")[0].splitlines():
        if match := re.match(r"  (\w+)/ ", line):
            wing = f".{match[1]}"
        elif match := re.match(r"( +)(\w+)\.py ", line):
            listed.append(f"beautybert{wing if len(match[1]) > 2 else ''}.{match[2]}")
    packages = {name for name, path in MODULES.items() if path.stem == "__init__"}
    assert sorted(listed) == sorted(set(MODULES) - packages)
