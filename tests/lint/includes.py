#!/usr/bin/python3
"""Each folder of src/ includes only what docs/architecture.md lets it, and a foreign header stands in one adapter file.

Reads two tables of that page: `| folder | may include |` and `| header | file |`. A new library's header has to be
entered there, or this says so.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = "docs/architecture.md"
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')

# What the C library and the kernel bring along belongs to nobody.
SYSTEM = re.compile(r"""^(
    (sys|net|netinet|arpa|linux|asm)/.* | resolv\.h
  | (assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|stdalign|stdarg|stdatomic
    |stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|tgmath|threads|time|uchar|wchar|wctype)\.h
  | (dirent|endian|err|fcntl|fnmatch|getopt|glob|grp|ifaddrs|libgen|malloc|netdb|poll|pthread|pwd|regex|sched|search
    |semaphore|spawn|stdio_ext|syslog|sysexits|termios|ucontext|unistd|utime)\.h
)$""", re.X)


class Page:
    """The two tables."""

    def __init__(self, text):
        self.allowed, self.adapters = {}, {}
        table = None
        for line in text.splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else None
            if cells is None:
                table = None
            elif cells == ["folder", "may include"]:
                table = self.allowed
            elif cells == ["header", "file"]:
                table = self.adapters
            elif table is not None and len(cells) == 2 and not set(cells[0]) <= set("-: "):
                values = [value.strip("` ") for value in cells[1].split(",") if value.strip("` ")]
                table.setdefault(cells[0].strip("`"), []).extend(values)

    def adapter_of(self, header):
        """The files that may include it, None where the page does not know it."""
        for name, files in self.adapters.items():
            if header == name or name.endswith("/") and header.startswith(name):
                return files
        return None


def own_mistake(page, folder, header):
    """What is wrong with a file of `folder` including a header of ours; None: nothing."""
    target = header.split("/")[0]
    if "/" not in header:
        return "write it as \"folder/%s\", rooted in src/" % header
    if target == folder or target in page.allowed[folder] or header in page.allowed[folder]:
        return None
    return "%s may include %s" % (folder, ", ".join(page.allowed[folder]) or "nothing")


def foreign_mistake(page, path, header):
    if SYSTEM.match(header):
        return None
    files = page.adapter_of(header)
    if files is None:
        return "%s does not name the file that may include it" % PAGE
    return None if path in files else "only %s may include it" % ", ".join(files)


def sources(root):
    for folder, _, names in sorted(os.walk(os.path.join(root, "src"))):
        for name in sorted(names):
            if name.endswith((".c", ".h", ".def")):
                yield os.path.relpath(os.path.join(folder, name), root)


def check(root):
    """(mistakes, number of includes looked at)"""
    with open(os.path.join(root, PAGE), encoding="utf-8") as file:
        page = Page(file.read())
    if not page.allowed or not page.adapters:
        return ["%s: the tables `| folder | may include |` and `| header | file |` are not there" % PAGE], 0
    mistakes, looked_at = [], 0
    for name, files in page.adapters.items():
        mistakes += ["%s: %s: %s is not there" % (PAGE, name, f) for f in files if not os.path.exists(os.path.join(root, f))]
    for path in sources(root):
        folder = path.split("/")[1]
        if folder not in page.allowed:
            mistakes.append("%s: %s has no row for src/%s" % (path, PAGE, folder))
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                found = INCLUDE.match(line)
                if not found:
                    continue
                looked_at += 1
                why = own_mistake(page, folder, found[1]) if found[1] else foreign_mistake(page, path, found[2])
                if why:
                    mistakes.append("%s:%d: %s: %s" % (path, number, found[1] or found[2], why))
    return mistakes, looked_at


def main():
    mistakes, looked_at = check(ROOT)
    print("\n".join(mistakes) if mistakes else "%d includes keep to %s" % (looked_at, PAGE))
    return 1 if mistakes or not looked_at else 0


if __name__ == "__main__":
    sys.exit(main())
