#!/usr/bin/python3
"""Run `meson test` in a build directory and say in few lines what it found: mesontest.py DIR [--threads] [argument of meson test]...

--threads: of these tests those alone whose programs can make a thread; in the others there is nothing for TSan to see.
Daemons are waited for more than they compute, so twice as many tests as processors run at a time.

Up to AGAIN tests that fail run once more, one after another with nothing beside them. What passes then is counted as
passed, but shown as `unsteady`, with what it said the first time: it wants mending, be it the test or the program. What a
sanitizer found is never tried again. The output of a test that failed is shown; last line `N passed, N failed`.
"""
import json
import os
import re
import subprocess
import sys

SHOWN = 30      # lines of a failed test
AGAIN = 2       # tests; where more fail, it is not chance
GOOD = ("OK", "EXPECTEDFAIL")
PROCESSES = 2 * len(os.sched_getaffinity(0))
SANITIZER = re.compile(r"Sanitizer|runtime error: ")


def makes_threads(test, build):
    """Whether a program of ours that the test runs, or is given, takes pthread_create() from the C library."""
    for word in test["cmd"]:
        path = os.path.normpath(os.path.join(build, word))
        if path.startswith(build + "/") and os.path.isfile(path):
            with open(path, "rb") as file:
                if file.read(4) != b"\x7fELF":
                    continue
            taken = subprocess.run(["nm", "-D", "--undefined-only", path], stdout=subprocess.PIPE, text=True, check=True).stdout
            if re.search(r"\bpthread_create\b", taken):
                return True
    return False


def with_threads(build):
    """Their names, as `meson test` takes them."""
    tests = json.loads(subprocess.run(["/usr/bin/meson", "introspect", build, "--tests"], stdout=subprocess.PIPE, check=True).stdout)
    return [test["name"] for test in tests if makes_threads(test, os.path.realpath(build))]


def run(build, *arguments, processes=PROCESSES):
    """(tests, what meson printed); tests is None where it ran none."""
    log = os.path.join(build, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    environment = {**os.environ, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
                   "ASAN_OPTIONS": "detect_stack_use_after_return=1",
                   "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
                   # A process that ends while it has threads waits a second for their races, unless told to make it shorter.
                   "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:atexit_sleep_ms=20"}
    done = subprocess.run(["/usr/bin/meson", "test", "-C", build, "--no-rebuild", "--num-processes", str(processes), *arguments],
                          env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not os.path.exists(log):
        return None, done.stdout
    with open(log, encoding="utf-8", errors="replace") as file:
        return [json.loads(line) for line in file], done.stdout


def output(test):
    return (test.get("stdout", "") + test.get("stderr", "")).rstrip()


def show(word, test):
    print("%s %s: %s" % (word, test["name"], test["result"].lower()))
    print("\n".join("     " + line for line in output(test).splitlines()[-SHOWN:]))


def passes_alone(build, multiplier, test):
    """Whether the test passes when it runs once more. Its name is `project:suite / name`."""
    project, _, name = re.fullmatch(r"([^:/ ]+)(:\S+)? / (.+)", test["name"]).groups()
    tests, _ = run(build, *multiplier, "%s:%s" % (project, name), processes=1)
    return bool(tests) and all(again["result"] in GOOD for again in tests)


def main():
    build, arguments = sys.argv[1], sys.argv[2:]
    names = []
    if "--threads" in arguments:
        arguments.remove("--threads")
        names = with_threads(build)
    tests, printed = run(build, *arguments, *names)
    if tests is None:
        print(printed.strip())
        print("0 passed, 1 failed")
        return 1
    passed = sum(test["result"] in GOOD for test in tests)
    failed = [test for test in tests if test["result"] not in (*GOOD, "SKIP")]
    for test in tests:
        if test["result"] == "SKIP":
            print("skip %s" % test["name"])
    multiplier = arguments[arguments.index("-t"):][:2] if "-t" in arguments else []
    by_chance = len(failed) <= AGAIN
    for test in list(failed):
        if by_chance and not SANITIZER.search(output(test)) and passes_alone(build, multiplier, test):
            failed.remove(test)
            passed += 1
            show("unsteady", test)
        else:
            show("FAIL", test)
    slowest = max(tests, key=lambda test: test["duration"], default=None)
    if slowest and slowest["duration"] > 10:
        print("slowest: %s, %.0f s" % (slowest["name"], slowest["duration"]))
    print("%d passed, %d failed" % (passed, len(failed)))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
