"""What process_file loads before its first file is a list that somebody agreed to: every start pays for it."""

from __future__ import annotations

from pathlib import Path

from bench.imports import MEASURED, YARDSTICK, loaded_modules, modules_of

AGREED = Path(__file__).with_name("process_file_modules.txt")
# Each would add a quarter of a second or more to a start, or belongs to another function.
FORBIDDEN = {"boto3", "pydantic", "ijson", "yaml", "typer", "rich", "sluiceway.spec", "sluiceway.exports", "xmltodict"}
# Python's own, of which no list is kept: which of them load differs from one of its versions to the next. Each of these
# takes 1 to 130 ms of CPU on top of the 270 of a start.
HEAVY = {
    "argparse", "asyncio", "concurrent.futures.process", "distutils", "doctest", "email.mime", "http.cookiejar",
    "http.server", "logging.config", "logging.handlers", "multiprocessing", "optparse", "pdb", "pickle", "pydoc",
    "setuptools", "sqlite3", "statistics", "tarfile", "tomllib", "tracemalloc", "unittest", "wsgiref", "xml.dom",
    "xml.sax", "xmlrpc", "zoneinfo",
}  # fmt: skip


def within(names: list[str], roots: set[str]) -> list[str]:
    """Those that are one of `roots` or below one."""
    return [name for name in names if any(f"{name}.".startswith(f"{root}.") for root in roots)]


def test_process_file_imports_nothing_that_is_not_on_the_list() -> None:
    agreed, loaded = set(AGREED.read_text().split()), set(loaded_modules())
    new = sorted(loaded - agreed)
    assert not new, (
        f"process_file now imports {', '.join(new)}. Import what only some files need where they need it; what every "
        f"file needs goes on the list: python -m bench.imports > {AGREED.name}"
    )


def test_the_list_itself_holds_nothing_heavy() -> None:
    assert not within(AGREED.read_text().split(), FORBIDDEN)


def test_nothing_heavy_of_pythons_own_is_loaded() -> None:
    assert not within(modules_of(), HEAVY)
    assert within(modules_of("import asyncio, xml.dom.minidom"), HEAVY)


def test_the_start_is_held_against_one_without_awscrt() -> None:
    assert not within(modules_of(MEASURED[YARDSTICK]), {"awscrt", "_awscrt"})
    assert within(modules_of(), {"_awscrt"})


def test_the_list_is_of_a_function_that_is_ready() -> None:
    agreed = set(AGREED.read_text().split())
    assert {"process_file.handler", "botocore.client", "urllib3.connectionpool", "_awscrt"} <= agreed
