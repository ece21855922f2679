#!/usr/bin/python3
"""Run `meson test` in a build directory and say in few lines what it found: mesontest.py DIR [argument of meson test]...

The output of a test that failed is shown; last line `N passed, N failed`.
"""
import json
import os
import subprocess
import sys

SHOWN = 30      # lines of a failed test
GOOD = ("OK", "EXPECTEDFAIL")


def main():
    build, arguments = sys.argv[1], sys.argv[2:]
    log = os.path.join(build, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    environment = {**os.environ, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
                   "ASAN_OPTIONS": "detect_stack_use_after_return=1",
                   "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
                   "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"}
    done = subprocess.run(["/usr/bin/meson", "test", "-C", build, "--no-rebuild", *arguments], env=environment,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not os.path.exists(log):
        print(done.stdout.strip())
        print("0 passed, 1 failed")
        return 1
    with open(log, encoding="utf-8", errors="replace") as file:
        tests = [json.loads(line) for line in file]
    passed = skipped = 0
    failed = []
    for test in tests:
        if test["result"] in GOOD:
            passed += 1
        elif test["result"] == "SKIP":
            skipped += 1
            print("skip %s" % test["name"])
        else:
            failed.append(test)
    for test in failed:
        output = (test.get("stdout", "") + test.get("stderr", "")).rstrip().splitlines()
        print("FAIL %s: %s" % (test["name"], test["result"].lower()))
        print("\n".join("     " + line for line in output[-SHOWN:]))
    slowest = max(tests, key=lambda test: test["duration"], default=None)
    if slowest and slowest["duration"] > 10:
        print("slowest: %s, %.0f s" % (slowest["name"], slowest["duration"]))
    print("%d passed, %d failed" % (passed, len(failed)))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
