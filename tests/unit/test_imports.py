"""The rules of the house about who imports whom."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

LAMBDAS = Path(__file__).parents[2] / "lambdas"
LIBRARY = LAMBDAS / "sluiceway"
# Beside the standard library and a room's own modules: for transfer the two that take digests.
ALLOWED = {
    "jobs": {"sluiceway.errors", "sluiceway.redact"},
    "transfer": {"sluiceway.errors", "awscrt", "rehashes"},
}


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def is_allowed(name: str, room: str) -> bool:
    if name.partition(".")[0] in sys.stdlib_module_names:
        return True
    return (
        f"{name}.".startswith(f"sluiceway.{room}.") or name in ALLOWED[room] or name.partition(".")[0] in ALLOWED[room]
    )


@pytest.mark.parametrize(
    ("room", "path"), [(room, path) for room in ALLOWED for path in sorted((LIBRARY / room).glob("*.py"))]
)
def test_the_pure_rooms_import_the_standard_library_only(room: str, path: Path) -> None:
    assert [name for name in sorted(imports_of(path)) if not is_allowed(name, room)] == []


def imports_within(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules of the library that `path` names, those behind TYPE_CHECKING and inside functions included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules else node.module)
    return found & modules.keys()


def test_no_module_imports_itself_by_way_of_others() -> None:
    modules = {
        ".".join(path.relative_to(LAMBDAS).with_suffix("").parts).removesuffix(".__init__"): path
        for path in LAMBDAS.rglob("*.py")
    }
    graph = {name: imports_within(path, modules) for name, path in modules.items()}
    assert "sluiceway.source.download" in graph["sluiceway.source.client"]
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_process_file_imports_nothing_its_start_need_not_pay_for() -> None:
    code = "import sys, process_file.handler; print(' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(LAMBDAS), "PATH": "", "POWERTOOLS_METRICS_NAMESPACE": "Sluiceway"},
    )  # fmt: skip
    loaded = set(run.stdout.split())
    assert "sluiceway.landing.land" in loaded
    # jmespath is there: botocore itself imports it.
    assert not loaded & {"pydantic", "ijson", "boto3", "yaml", "sluiceway.spec", "sluiceway.exports"}


@pytest.mark.parametrize("path", sorted(LAMBDAS.glob("*/handler.py")), ids=lambda path: path.parent.name)
def test_a_handler_makes_three_moves(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "handler" for node in body):
        return  # the same function under another name, with other means
    (handler,) = [node for node in body if isinstance(node, ast.FunctionDef)]
    assert handler.end_lineno is not None
    assert handler.end_lineno - handler.lineno < 15
