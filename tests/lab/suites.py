#!/usr/bin/python3
"""Run suites of test cases that others wrote, and hold each to the number it has reached: suites.py RUNNER CTL FLOOR

FLOOR has lines `suite count`. Prints the misses, a line for each suite, and `N passed, N failed`: the suites, not their
cases. A suite without a line, or a line whose suite did not run, fails.
"""
import re
import subprocess
import sys


def read_floor(path):
    with open(path) as file:
        rows = (line.split("#")[0].split() for line in file)
        return {row[0]: int(row[1]) for row in rows if row}


def main():
    runner, ctl, path = sys.argv[1:]
    floor = read_floor(path)
    done = subprocess.run([sys.executable, "-B", runner, "--ctl", ctl, "spf", "dkim", "dmarc"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    reached = {}
    for line in done.stdout.splitlines():
        if line.startswith("MISS "):
            print(line)
        row = re.fullmatch(r"(\S+)\s+(\d+) of (\d+)", line)
        if row:
            reached[row[1]] = int(row[2]), int(row[3])
    passed = failed = 0
    for suite in sorted(set(floor) | set(reached)):
        count, total = reached.get(suite, (0, 0))
        good = suite in floor and suite in reached and count >= floor[suite]
        passed, failed = passed + good, failed + (not good)
        print("%-4s %-12s %d of %d, at least %s" % ("ok" if good else "FAIL", suite, count, total, floor.get(suite, "?")))
        if suite in floor and count > floor[suite]:
            print("     the floor can be raised: `%s %d` in %s" % (suite, count, path))
    if not reached:
        print(done.stdout[-2000:])
        failed = failed or 1
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
