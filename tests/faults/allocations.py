#!/usr/bin/python3
"""
Each allocation fails once: the message is judged right, or not at all.

    allocations.py --library SO --ctl TRIMILTERCTL --daemon TRIMILTER [--step N] [--messages N] [--engine native]

`trimilterctl check` runs for three messages and every (N-th) allocation; then the daemon serves messages while each
allocation of its worker fails with a chance. There the answers of the DNS come from a zone file: libunbound 1.17 crashes
where it gets no memory, and the master starts another worker. Last line: "N passed, N failed".
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
import time

from orders import Orders
import parties
from parties import test_daemon

# Where OpenSSL 3.0 gets no memory for what it makes of itself at its first use, at the start, it follows a null pointer.
START = 200
CHANCES = (2000, 10000, 50000)    # of a million


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, problems):
        for problem in problems[:10]:
            print("FAIL %s: %s" % (what, problem))
        self.passed, self.failed = self.passed + (not problems), self.failed + bool(problems)


# ---- every allocation ----

def run(command, orders, number):
    orders.reset(alloc_nth=number)
    return subprocess.run(command, env=orders.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)


def every(command, orders, step):
    """(problems, what became of it): one run for each allocation."""
    done = run(command, orders, 0)
    right, n = parties.words(json.loads(done.stdout)), orders.done()["allocs"]
    problems, outcomes = [] if n else ["no allocation was seen"], collections.Counter()
    for number in range(1, n + 1, step):
        try:
            done = run(command, orders, number)
        except subprocess.TimeoutExpired:
            problems.append("allocation %d (%s): hangs" % (number, orders.done()["culprit"]))
            continue
        if done.returncode < 0:
            kind = "libspf2's abort()" if orders.is_known_abort() else "OpenSSL's start" if number < START else "crash"
            if kind == "crash":
                problems.append("allocation %d (%s): signal %d" % (number, orders.done()["culprit"], -done.returncode))
        elif done.returncode > 0:
            kind = "an error that is said"
            if not done.stderr:
                problems.append("allocation %d (%s): exit %d: %r" % (number, orders.done()["culprit"], done.returncode, done.stderr))
        else:
            got = parties.words(json.loads(done.stdout))
            kind = "judged as ever" if got == right else "temperror"
            why = parties.wrong(right, got)
            if why:
                problems.append("allocation %d (%s): %s" % (number, orders.done()["culprit"], why))
        outcomes[kind] += 1
    return problems, outcomes


def check_every(args, folder, orders, tally):
    zone, config, message = (os.path.join(folder, name) for name in ("zone", "conf", "message"))
    with open(zone, "w") as file:
        file.write(parties.ZONE)
    with open(config, "w") as file:
        file.write(parties.CONFIG.format(key=parties.private_key(folder)) + "DNSZoneFile %s\n" % zone)
    for what, fields, ip in (("genuine", parties.SIGNED, parties.GENUINE), ("forged", parties.FIELDS, parties.FORGER),
                             ("forwarded", parties.SIGNED, parties.FORGER)):
        with open(message, "wb") as file:
            file.write(parties.text([(name, value.replace("\n", "\r\n")) for name, value in fields]))
        problems, outcomes = every([args.ctl, "check", "-c", config, "--json", "--client-ip", ip, "--helo", "mail.example.org",
                                    "--mail-from", "a@example.org", message], orders, args.step)
        print("%s: %d allocations failed: %s" % (what, sum(outcomes.values()), ", ".join("%d %s" % (n, k) for k, n in outcomes.most_common())))
        tally.check(what, problems)


# ---- the daemon ----

def one(daemon, kind, number, seen):
    """Sends a message of that kind; what is wrong with its end, or None."""
    ip, fields = {"genuine": (parties.GENUINE, parties.SIGNED), "forged": (parties.FORGER, parties.FIELDS), "outgoing": ("127.0.0.1", parties.FIELDS)}[kind]
    try:
        with test_daemon.Milter(daemon.address, timeout=20) as milter:
            milter.connect("mail.example.org", ip)
            milter.helo("mail.example.org")
            got = milter.message("a@example.org", ["b@example.net"], fields, parties.BODY, queue_id="%s%d" % (kind, number))
    except TimeoutError:
        return "no answer in 20 s"
    except OSError:     # the MTA makes a 4xx of that
        seen["closed"] += 1
        return None
    seen[got.action] += 1
    if got.action == "tempfail":
        return None
    field = " ".join((got.header("Authentication-Results") or [""])[0].split())
    if kind == "forged":
        return None if got.action == "reject" else "%s %s" % (got.action, field)
    if got.action != "accept":
        return "%s %s" % (got.action, got.reply)
    if kind == "outgoing":
        return None if got.header("DKIM-Signature") else "unsigned"
    good = all(word in field for word in ("dkim=", "spf=", "dmarc=")) and "=fail" not in field and "=permerror" not in field
    return None if good else field


def told_too_often(log, seconds):
    """A cause has one line a minute and one at a worker's end; messages have their own."""
    most = (1 + len(re.findall(r"worker \d+ (?:died of|ended with)", log))) * (2 + seconds // 60)
    causes = collections.Counter(re.findall(r"(?m)^trimilter: error: (messages can be neither judged nor signed: .*?)(?: \(\d+ times .*)?$", log))
    return ["%d lines tell: %s" % (n, cause) for cause, n in causes.items() if n > most]


def is_back(log):
    """The next worker has started without a fault; while there are some it hardly would, however often it tries."""
    return "serves" in re.split(r"worker \d+ (?:died of|ended with)", log)[-1]


def serve(args, folder, orders, chance, internal_error):
    """Problems of args.messages messages with that chance for each allocation of the worker."""
    problems, seen, aborts, begin = [], collections.Counter(), 0, time.monotonic()
    zone = os.path.join(folder, "zone")
    with open(zone, "w") as file:
        file.write(parties.ZONE)
    os.environ.update(orders.environment("worker"))
    orders.reset()
    daemon = test_daemon.Daemon(folder, parties.CONFIG.format(key=parties.private_key(folder)) +
                                "DNSZoneFile %s\nSyslog no\n%s\n" % (zone, internal_error))
    try:
        daemon.start()
        (worker,) = daemon.workers()
        orders.give(alloc_chance=chance)
        for number in range(args.messages):
            kind = ("genuine", "forged", "outgoing")[number % 3]
            problem = one(daemon, kind, number, seen)
            if problem and not (internal_error and kind != "genuine" and problem.startswith(("accept", "unsigned"))):
                problems.append("message %d, %s: %s" % (number, kind, problem))
            if daemon.workers() != [worker]:
                if not orders.is_known_abort():
                    problems.append("the worker died: %s" % {k: v for k, v in orders.done().items() if k in ("culprit", "aborted")})
                aborts += 1
                orders.give(alloc_chance=0)     # not in the start of the next one
                (worker,) = test_daemon.wait_for(lambda: daemon.workers() if is_back(daemon.log()) else None, 60)
                orders.give(alloc_chance=chance)
        orders.give(alloc_chance=0)
        clean = collections.Counter()
        after = [one(daemon, kind, 0, clean) for kind in ("genuine", "forged", "outgoing")]
        if any(after) or clean["accept"] != 2 or clean["reject"] != 1:
            problems.append("afterwards: %s %s %s" % (dict(clean), after, daemon.log()[-900:]))
        n_failed = orders.done()["failed_allocs"]
        print("daemon (%s, 1 in %d%s): %d allocations failed, %d messages: %s; %d known aborts" % (
            test_daemon.ENGINE, 1000000 // chance, ", " + internal_error if internal_error else "", n_failed, args.messages,
            ", ".join("%d %s" % (n, k) for k, n in seen.most_common()), aborts))
        if not n_failed:
            problems.append("nothing failed")
        problems += told_too_often(daemon.log(), time.monotonic() - begin)
    finally:
        daemon.stop()
        for name in ("LD_PRELOAD", "FAULT_ORDERS", "FAULT_ROLE"):
            os.environ.pop(name, None)
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--ctl", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--messages", type=int, default=300, help="for the daemon, at each chance")
    parser.add_argument("--engine", action="append")
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    tally = Tally()
    test_daemon.PROGRAM = os.path.abspath(args.daemon)
    with tempfile.TemporaryDirectory(prefix="faults") as folder:
        orders = Orders(os.path.abspath(args.library), os.path.join(folder, "orders"))
        check_every(args, folder, orders, tally)
    for engine in args.engine or ("native", "libmilter"):
        test_daemon.ENGINE = engine
        for chance, option in [(chance, "") for chance in CHANCES] + [(CHANCES[-1], "On-InternalError accept")]:
            with tempfile.TemporaryDirectory(prefix="faults") as folder:
                orders = Orders(os.path.abspath(args.library), os.path.join(folder, "orders"))
                problems = serve(args, folder, orders, chance, option)
            tally.check("daemon, %s, chance %d of a million" % (engine, chance), problems)
    print("%d passed, %d failed" % (tally.passed, tally.failed))
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
