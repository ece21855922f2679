#!/usr/bin/python3
"""The man pages know every verb of trimilterctl and every option that the programs take, and no others; and every reason
why a destination gets no report."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LONG = re.compile(r'\{"([a-z][a-z-]*)",\s*(?:no|required|optional)_argument')
SHORT = re.compile(r'getopt(?:_long)?\([^;]*?"([+:a-zA-Z]+)"', re.S)
VERB = re.compile(r'\{"([a-z]+)",\s*ctl_((?:report_)?)[a-z]+,')

# Not for people: how the master starts its children.
INTERNAL = {"src/milter": "W"}
# page: the folder whose options it has to know
PAGES = {"docs/man/trimilterctl.1": "src/ctl", "docs/man/trimilter.8": "src/milter"}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def plain(roff):
    """The page's text without fonts and escapes, as far as words matter."""
    text = re.sub(r"\\f.", "", roff).replace("\\-", "-").replace("\\&", "")
    return re.sub(r'(?m)^\.[A-Z]+ ?', "", text).replace('"', "")


def check(page, folder):
    sources = sorted(os.path.join(folder, name) for name in os.listdir(os.path.join(ROOT, folder)) if name.endswith((".c", ".h")))
    code = "\n".join(read(path) for path in sources)
    text = plain(read(page))
    known = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", text))
    wanted = set(LONG.findall(code))
    mistakes = ["%s: --%s is not there" % (page, name) for name in sorted(wanted - known - {"help"})]
    mistakes += ["%s: no program takes --%s" % (page, name) for name in sorted(known - wanted - {"help"})]
    short = {c for letters in SHORT.findall(code) for c in letters if c.isalpha()}
    short -= set(INTERNAL.get(folder, "") + "h")
    mistakes += ["%s: -%s is not there" % (page, c) for c in sorted(short)
                 if not re.search(r"(?<![\w-])-%s(?![\w-])" % c, text)]
    verbs = [("report " if above else "") + verb for verb, above in VERB.findall(code)]
    mistakes += ["%s: the verb %s is not there" % (page, verb) for verb in verbs
                 if not re.search(r"(?m)^(?:trimilterctl )?%s\b" % verb, text)]
    return mistakes, len(wanted) + len(short)


def reasons():
    """What destinations are refused for is text between quotes, of several words."""
    code = "".join(read("src/report/" + name) for name in ("destination.c", "destination_uri.c"))
    text = " ".join(plain(read("docs/man/trimilter-report.5")).split())
    found = re.findall(r'"([a-z][^"%]* [^"%]*)"', code)
    mistakes = ["docs/man/trimilter-report.5: %r is not there" % reason for reason in found if reason not in text]
    return mistakes or ([] if found else ["src/report/destination.c: no reasons are found there"])


def main():
    mistakes, count = reasons(), 0
    for page, folder in PAGES.items():
        found, n = check(page, folder)
        mistakes, count = mistakes + found, count + n
    print("\n".join(mistakes) if mistakes else "%d options stand in the man pages" % count)
    return 1 if mistakes or not count else 0


if __name__ == "__main__":
    sys.exit(main())
