"""
The snippets of a guide in docs/, so that tests can run what a reader copies.

A fenced block that is to be run has a line before it: <!-- run: NAME -->
"""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def text(name):
    with open(os.path.join(ROOT, "docs", name + ".md")) as file:
        return file.read()


def blocks(name):
    """{name: text} of the blocks of a guide, in their order."""
    return dict(re.findall(r"(?m)^<!-- run: (\S+) -->\n```.*\n((?:(?!```).*\n)*)```$", text(name)))


def block(name, which):
    return blocks(name)[which]


def n_fenced(name):
    """How many fenced blocks there are, to be run or not."""
    return len(re.findall(r"(?m)^```", text(name))) // 2


def settings(block_text):
    """[(name, value)] of "name = value" lines, as in main.cf; comments are left out."""
    lines = [line for line in block_text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(part.strip() for part in line.split("=", 1)) for line in lines]


def options(block_text):
    """[(name, value)] of "Name value" lines, as in trimilter.conf."""
    lines = [line for line in block_text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(None, 1)) for line in lines]
