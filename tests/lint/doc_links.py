#!/usr/bin/python3
"""Every link of the documentation to a file of the project leads to one."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    n, mistakes = 0, []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text()):
            n += 1
            if not (page.parent / target).exists():
                mistakes.append("%s: there is no %s" % (page.relative_to(ROOT), target))
    print("\n".join(mistakes) or "%d links lead somewhere" % n)
    return 1 if mistakes or not n else 0


if __name__ == "__main__":
    sys.exit(main())
