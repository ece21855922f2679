#!/usr/bin/python3
"""Write the completion for bash: what follows each verb of trimilterctl, read from the tables in its sources.

    generate.py TEMPLATE OUTPUT src/ctl
"""
import os
import re
import sys

OPTION = re.compile(r'\{"([a-z][a-z-]*)",\s*(?:no|required|optional)_argument')
VERB = re.compile(r'\{"([a-z]+)",\s*(ctl_[a-z_]+),')
# A verb's own words: rows of its table of actions, or what it compares its first word with.
ACTION = re.compile(r'^\t\{"([a-z]+)",(?![^\n]*_argument|\s*ctl_)[^"\n]*\},?$', re.M)
COMPARED = re.compile(r'strcmp\(what, "([a-z]+)"\)')
# Verbs whose command line another file reads.
READER = {"check.c": "message.c", "explain.c": "message.c"}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def options(files, text, function):
    tables = dict(re.findall(r"^static const struct option ([a-z_]+)\[\] = \{(.*?)^\};", text, re.M | re.S))
    body = re.search(r"^int %s\(int argc.*?^}" % function, text, re.M | re.S)
    # Several verbs in one file: those tables that this one names.
    own = [table for name, table in tables.items() if body and re.search(r"\b%s\b" % name, body.group())]
    text = "".join(own or tables.values())
    found = set(OPTION.findall(text))
    for name, list_ in re.findall(r"#define (CTL_[A-Z_]*OPTIONS)\b((?:.*\\\n)*.*)", files["command_line.h"]):
        if name in text:
            found |= set(OPTION.findall(list_))
    return ["--" + option for option in sorted(found | {"help"})]


def definition(files, function):
    """The text that has the verb, and the one that reads its command line."""
    for name, text in files.items():
        if name.endswith(".c") and re.search(r"^int %s\(int argc" % function, text, re.M):
            return text, files[READER.get(name, name)]
    sys.exit("no source defines %s" % function)


def lines(files):
    for verb, function in VERB.findall(files["main.c"]):
        text, reader = definition(files, function)
        below = VERB.findall(text)
        words = [name for name, _ in below] + ACTION.findall(text) + COMPARED.findall(text)
        yield "%s: %s" % (verb, " ".join(sorted(set(words)) + options(files, reader, function)))
        for name, own in below:
            yield "%s %s: %s" % (verb, name, " ".join(options(files, definition(files, own)[1], own)))


def main():
    template, output, folder = sys.argv[1:]
    files = {name: read(os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name.endswith((".c", ".h"))}
    with open(output, "w", encoding="utf-8") as file:
        file.write(read(template).replace("@WORDS@", "\n".join(lines(files))))


if __name__ == "__main__":
    main()
