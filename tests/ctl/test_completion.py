#!/usr/bin/python3
"""
The completion for bash offers every verb and option that trimilterctl's help names, and none that it refuses.

    test_completion.py TRIMILTERCTL COMPLETION [unittest arguments]
"""
import os
import re
import subprocess
import sys
import unittest

CTL = os.path.abspath(sys.argv.pop(1))
COMPLETION = os.path.abspath(sys.argv.pop(1))


def complete(*words):
    """What is offered for the last word."""
    script = 'source "$0"; COMP_WORDS=(trimilterctl "$@"); COMP_CWORD=$#; _trimilterctl; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script, COMPLETION, *words], capture_output=True, text=True, cwd="/", timeout=30)
    if done.stderr:
        raise AssertionError(done.stderr)
    return [word for word in done.stdout.split("\n") if word]


def ctl(*words):
    return subprocess.run([CTL, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)


def verbs():
    return re.findall(r"^  ([a-z]+) ", ctl("--help").stdout, re.M)


class Completion(unittest.TestCase):
    def check(self, *verb):
        offered = set(complete(*verb, "--"))
        named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", ctl(*verb, "--help").stdout))
        self.assertLessEqual(named, offered, verb)
        for option in offered - {"--help"}:
            # Where it takes a value, that is the first --help; nothing is ever done.
            self.assertNotIn("unrecognized option", ctl(*verb, option, "--help", "--help").stderr, (verb, option))
        return offered

    def test_verbs(self):
        self.assertEqual(sorted(complete("")), sorted(verbs() + ["--help", "--version"]))
        self.assertEqual(complete("gen"), ["genkey", "genzone"])

    def test_options(self):
        count = 0
        for verb in verbs():
            with self.subTest(verb=verb):
                if verb != "report":
                    count += len(self.check(verb))
        self.assertGreater(count, 80)

    def test_words(self):
        self.assertEqual(complete("key", ""), ["advance", "cancel", "list", "rotate"])
        self.assertEqual(complete("domain", "r"), ["remove"])
        self.assertIn("check", complete("conf", ""))
        for word in complete("report", ""):
            with self.subTest(word=word):
                self.check("report", word)

    def test_values(self):
        self.assertEqual(complete("domain", "add", "--type", "e"), ["ed25519"])
        self.assertIn("/etc", complete("check", "-c", "/et"))
        self.assertIn("/etc", complete("check", "/et"))


if __name__ == "__main__":
    unittest.main()
