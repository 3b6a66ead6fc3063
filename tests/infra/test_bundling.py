"""Bundles: the same from the same sources, nothing in them that their functions do not use, nothing missing."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import botocore
import pytest

from infra import bundling
from infra.bundling import BUNDLES, CONTROL, LAMBDAS, LOCK, TRANSFER, Bundle, fingerprint, locked, package_name
from infra.lock import line


def imports_of(path: Path) -> Iterator[str]:
    """Every module a file imports, also inside functions, dotted; `from a import b` may mean the module a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files_of(module: str, lambdas: Path) -> list[Path]:
    """The files that importing a module of lambdas/ runs, its packages' included."""
    parts = module.split(".")
    found = [lambdas.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts) + 1)]
    found.append(lambdas.joinpath(*parts[:-1], f"{parts[-1]}.py"))
    return [path for path in found if path.is_file()]


def packages_imported(handler: str, lambdas: Path = LAMBDAS) -> set[str]:
    """The installed packages that a handler can come to import."""
    seen: set[Path] = set()
    outside: set[str] = set()
    ahead = files_of(f"{handler}.handler", lambdas)
    while ahead:
        path = ahead.pop()
        if path in seen:
            continue
        seen.add(path)
        for module in imports_of(path):
            ahead.extend(files_of(module, lambdas))
            if not (lambdas / module.split(".")[0]).is_dir():
                outside.add(module.split(".")[0])
    distributions = packages_distributions()
    return {package_name(distributions[name][0]) for name in outside - sys.stdlib_module_names}


@pytest.mark.parametrize(
    ("of", "handler"), [(each, handler) for each in BUNDLES for handler in each.handlers], ids=lambda each: str(each)
)
def test_a_bundle_holds_every_package_its_handlers_can_import(of: Bundle, handler: str) -> None:
    carried = {package_name(requirement) for requirement in locked(of, LOCK.read_text())}
    imported = packages_imported(handler)
    assert "aws-lambda-powertools" in imported  # every handler logs: without it, nothing was read
    assert imported <= carried


def test_an_import_inside_a_function_of_a_module_far_down_is_seen(tmp_path: Path) -> None:
    (tmp_path / "land").mkdir()
    (tmp_path / "land" / "handler.py").write_text("from library.deep import parse\n")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "__init__.py").write_text("import urllib3\n")
    (tmp_path / "library" / "deep.py").write_text("def parse():\n    import pydantic\n")
    assert packages_imported("land", tmp_path) == {"pydantic", "urllib3"}


def test_every_handler_is_in_one_bundle() -> None:
    handlers = sorted(handler for each in BUNDLES for handler in each.handlers)
    assert handlers == sorted(
        path.name for path in LAMBDAS.iterdir() if (path / "__init__.py").is_file() and path.name != "sluiceway"
    )
    with pytest.raises(LookupError, match="no_such"):
        bundling.bundle_of("no_such")


def test_process_files_bundle_is_without_the_control_planes_packages() -> None:
    carried = {package_name(requirement) for requirement in locked(TRANSFER, LOCK.read_text())}
    assert not carried & {"pydantic", "pydantic-core", "ijson", "boto3", "joserfc", "cryptography", "cffi", "pycparser"}
    assert carried >= {"aws-lambda-powertools", "awscrt", "botocore", "urllib3"}
    assert {package_name(requirement) for requirement in locked(CONTROL, LOCK.read_text())} > carried


def test_process_files_bundle_is_bounded_by_thirty_megabytes() -> None:
    assert TRANSFER.max_bytes <= 30_000_000


def test_the_lock_is_pinned_by_digest_and_agrees_with_the_requirements() -> None:
    requirements = [each for each in LOCK.read_text().splitlines() if not each.startswith("#")]
    assert all("==" in each and " --hash=sha256:" in each for each in requirements)
    pinned = {each.split(" ")[0] for each in requirements}
    asked = [each.strip() for each in (LAMBDAS / "requirements.txt").read_text().splitlines()]
    assert {f"{package_name(each)}=={each.split('==')[1]}" for each in asked if each and each[0] != "#"} <= pinned


def test_nothing_that_serves_development_is_in_the_lock() -> None:
    names = {package_name(each) for each in LOCK.read_text().splitlines() if not each.startswith("#")}
    assert not names & {"boto3", "moto", "pytest", "mypy", "ruff", "aws-cdk-lib", "typer", "rich", "awslambdaric"}


def test_a_line_of_the_lock_is_name_version_and_digest() -> None:
    package = {
        "metadata": {"name": "Typing_Extensions", "version": "4.16.0"},
        "download_info": {"archive_info": {"hashes": {"sha256": "ab" * 32}}},
    }
    assert line(package) == f"typing-extensions==4.16.0 --hash=sha256:{'ab' * 32}"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "sluiceway").mkdir()
    (tmp_path / "sluiceway" / "config.py").write_text("x = 1\n")
    (tmp_path / "requirements.lock").write_text("six==1.17.0\n")
    return tmp_path


def test_the_fingerprint_depends_on_the_sources_alone(sources: Path) -> None:
    before = fingerprint(TRANSFER, sources)
    (sources / "sluiceway" / "__pycache__").mkdir()
    (sources / "sluiceway" / "__pycache__" / "config.cpython-313.pyc").write_bytes(b"\0")
    os.utime(sources / "sluiceway" / "config.py", (0, 0))
    assert fingerprint(TRANSFER, sources) == before
    assert fingerprint(CONTROL, sources) != before


@pytest.mark.parametrize("changed", ["sluiceway/config.py", "requirements.lock", "sluiceway/new.py"])
def test_the_fingerprint_changes_with_any_source(sources: Path, changed: str) -> None:
    before = fingerprint(TRANSFER, sources)
    (sources / changed).write_text("y = 2\n")
    assert fingerprint(TRANSFER, sources) != before


def test_pruned_botocore_still_makes_the_clients_in_use_and_no_other(tmp_path: Path) -> None:
    package = Path(botocore.__file__).parent
    shutil.copytree(package, tmp_path / "botocore", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "bin").mkdir()
    bundling._prune(tmp_path)
    assert not (tmp_path / "bin").exists()
    script = (
        "import botocore, botocore.session as b, sys; s = b.get_session(); "
        f"assert botocore.__file__.startswith({str(tmp_path)!r}); "
        "s.set_credentials('a', 'b'); [s.create_client(n, region_name='eu-west-1') for n in sys.argv[1:]]; "
        "print(*s.get_available_services())"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, *bundling.SERVICES],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == sorted(bundling.SERVICES)


def test_a_bundle_over_its_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(of: Bundle, target: Path) -> None:
        (target / "botocore" / "data").mkdir(parents=True)
        (target / "heavy.so").write_bytes(b"\0" * 100)

    monkeypatch.setattr(bundling, "_install", install)
    with pytest.raises(bundling.BundleTooLargeError, match="tiny is .* bytes unzipped, 99 at most"):
        bundling.make(Bundle("tiny", (), (), max_bytes=99), tmp_path)
