#!/usr/bin/python3
"""Each function and each test that docs/conformance.md names exists, and each test is run.

Reads the tables `| clause | rule | code | test |`. Code: `file.c` function function; files in src/. Tests, separated by
semicolons: `file.c` test, test (in tests/, registered with cmocka); `file.txt` "scenario", "scenario" (in tests/scenarios/);
`file.py` (in tests/, named in a meson.build).
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = "docs/conformance.md"
HEAD = ["clause", "rule", "code", "test"]


def text_of(*path):
    try:
        with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def rows(page):
    """(line number, cells) of each row of the tables."""
    inside = False
    for number, line in enumerate(page.splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        if cells == HEAD:
            inside = True
        elif not cells:
            inside = False
        elif inside and not set(line) <= set("|-: "):
            yield number, cells


def references(cell):
    """(file, what stands behind it) for each part of a cell."""
    return re.findall(r"`([^`]+)`\s*((?:[^`;\"]|\"(?:[^\"\\]|\\.)*\")*)", cell)


def missing_code(cell):
    for file, names in references(cell):
        text = text_of("src", file)
        if text is None:
            yield "src/%s is not there" % file
            continue
        for name in names.split():
            if name.isidentifier() and not re.search(r"^\S.*\b%s\(" % name, text, re.M):
                yield "src/%s has no function %s" % (file, name)


def missing_scenarios(file, names):
    titles = set(re.findall(r"^== (.*)$", text_of("tests", "scenarios", file) or "", re.M))
    wanted = [re.sub(r"\\(.)", r"\1", name) for name in re.findall(r"\"((?:[^\"\\]|\\.)*)\"", names)]
    if not wanted:
        yield "%s: no scenario is named" % file
    for name in wanted:
        if name not in titles:
            yield "tests/scenarios/%s has no scenario %r" % (file, name)


def missing_units(file, names):
    text = text_of("tests", file)
    if text is None:
        yield "tests/%s is not there" % file
        return
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        yield "tests/%s: no test is named" % file
    for name in wanted:
        if not re.search(r"\b(?:cmocka_unit_test\w*|ARENA_TEST)\(%s\b" % re.escape(name), text):
            yield "tests/%s runs no test %s" % (file, name)


def missing_program(file):
    if text_of("tests", file) is None:
        yield "tests/%s is not there" % file
        return
    builds = "".join(text_of(folder, "meson.build") or "" for folder in ("tests", os.path.dirname(os.path.join("tests", file))))
    if os.path.basename(file) not in builds:
        yield "no meson.build runs tests/%s" % file


def missing_tests(cell):
    found = references(cell)
    if not found:
        yield "no test"
    for file, names in found:
        if file.endswith(".txt"):
            yield from missing_scenarios(file, names)
        elif file.endswith(".py"):
            yield from missing_program(file)
        else:
            yield from missing_units(file, names)


def forgotten_scenarios():
    """tests/meson.build names each file of scenarios."""
    build = text_of("tests", "meson.build")
    for name in sorted(os.listdir(os.path.join(ROOT, "tests", "scenarios"))):
        if name.endswith(".txt") and "'scenarios/%s'" % name not in build:
            yield "tests/meson.build does not run scenarios/%s" % name


def main():
    page = text_of(PAGE)
    mistakes, count = list(forgotten_scenarios()), 0
    for number, cells in rows(page or ""):
        count += 1
        if len(cells) != len(HEAD):
            mistakes.append("%s:%d: %d cells instead of %d" % (PAGE, number, len(cells), len(HEAD)))
            continue
        for why in [*missing_code(cells[2]), *missing_tests(cells[3])]:
            mistakes.append("%s:%d: %s" % (PAGE, number, why))
    print("\n".join(mistakes) if mistakes else "%d clauses have code and tests" % count)
    return 1 if mistakes or not count else 0


if __name__ == "__main__":
    sys.exit(main())
