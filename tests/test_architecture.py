"""The house rules that a machine can hold: one direction of imports, and scripts that do nothing when imported."""

import ast
import re

from tests.conftest import ROOT

SCRIPTS = ("train_mlm", "train_cls")


def imported_modules(path) -> set[str]:
    """The modules of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "beautybert":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("beautybert."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add(node.module or "relative")
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.split(".")[-1]
                for alias in node.names
                if alias.name.startswith("beautybert.") or alias.name in SCRIPTS
            }
    return found


def test_a_module_imports_only_modules_above_it_in_the_readme():
    order = re.findall(
        r"^\s+(\w+)\.py\s",
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .split("beautybert/\n", 1)[1]
        .split("```")[0],
        re.MULTILINE,
    )
    modules = {
        path.stem: imported_modules(path)
        for path in (ROOT / "beautybert").glob("*.py")
        if path.stem != "__init__"
    }
    assert set(order) == set(modules), "README.md must list each module once"
    for module, imports in modules.items():
        assert imports <= set(order[: order.index(module)]), (
            f"{module} imports {imports - set(order[: order.index(module)])}, which README.md lists below it"
        )


def test_importing_a_script_runs_nothing():
    """At the top of a script stand imports, definitions, constants and the call under `if __name__`."""
    for name in SCRIPTS:
        if (ROOT / f"{name}.py").exists():
            tree = ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8"))
            assert (
                isinstance(tree.body[-1], ast.If)
                and ast.unparse(tree.body[-1].test) == "__name__ == '__main__'"
            )
            calls = [
                node
                for node in tree.body[:-1]
                if not isinstance(
                    node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign)
                )
            ]
            assert [ast.unparse(node) for node in calls[1:]] == [], "only the docstring"
