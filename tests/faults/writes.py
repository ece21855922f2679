#!/usr/bin/python3
"""
Writes, replies, threads, processes and descriptors that fail, keys and tables that go bad: what becomes of mail.

    writes.py --library SO --ctl TRIMILTERCTL --daemon TRIMILTER [--engine native] [--messages N] [--turns N]

Each case says in its first line what must come of it; outcome, line in the log and counter are looked at. The answers of
the DNS come from a zone file, but where the resolver itself is meant. Last line: "N passed, N failed".
"""
import argparse
import collections
import errno
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from orders import Orders
import parties
from parties import test_daemon
from resolver import Resolver, Zone

sys.path[:0] = [os.path.join(parties.HERE, "..", "report")]
from recording import read_spool  # noqa: E402

KINDS = {"genuine": (parties.GENUINE, parties.SIGNED, "accept"), "forged": (parties.FORGER, parties.FIELDS, "reject"),
         "outgoing": ("127.0.0.1", parties.FIELDS, "accept")}
CASES = []
wait_for = test_daemon.wait_for


class Wrong(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Wrong(text)


def case(function):
    CASES.append(function)
    return function


class Site:
    """A daemon that takes orders for faults. @role: the processes that do."""

    def __init__(self, args, folder, role, options="", nameserver=None):
        self.args, self.folder, self.n = args, folder, 0
        with open(os.path.join(folder, "zone"), "w") as file:
            file.write(parties.ZONE.replace("p=reject", "p=reject; rua=mailto:dmarc@example.org"))
        answers = "Nameservers 127.0.0.1@%d\nDNSTimeout 1" % nameserver if nameserver else "DNSZoneFile %s/zone" % folder
        self.options = parties.CONFIG.format(key=parties.private_key(folder)) + "Syslog no\n%s\n%s\n" % (answers, options)
        self.orders = Orders(os.path.abspath(args.library), os.path.join(folder, "orders"))
        self.daemon = test_daemon.Daemon(folder, self.options)
        wanted = self.orders.environment(role)
        os.environ.update(wanted)
        try:
            self.daemon.start()
        finally:
            for name in ("LD_PRELOAD", "FAULT_ORDERS", "FAULT_ROLE"):
                os.environ.pop(name, None)

    def send(self, kind, timeout=20):
        """The action; "closed" where the connection was ended, which the MTA makes a 4xx of."""
        ip, fields, _ = KINDS[kind]
        self.n += 1
        try:
            with test_daemon.Milter(self.daemon.address, timeout=timeout) as milter:
                milter.connect("mail.example.org", ip)
                milter.helo("mail.example.org")
                got = milter.message("a@example.org", ["b@example.net"], fields, parties.BODY, queue_id="Q%dQ" % self.n)
        except TimeoutError:
            raise Wrong("message %d: no answer in %d s" % (self.n, timeout))
        except OSError:
            return "closed"
        if kind == "outgoing" and got.action == "accept":
            check(got.header("DKIM-Signature"), "message %d left unsigned" % self.n)
        return got.action

    def send_all(self, n, may=()):
        """@n messages of all kinds, each with its own end or one of @may; how often each."""
        seen = collections.Counter()
        for i in range(n):
            kind = list(KINDS)[i % 3]
            action = self.send(kind)
            seen[action] += 1
            check(action == KINDS[kind][2] or action in may, "message %d, %s: %s" % (i, kind, action))
        return seen

    def lines(self, text):
        return [line for line in self.daemon.log().splitlines() if re.search(text, line)]

    def check_told(self, text, n=1):
        wait_for(lambda: self.lines(text))
        check(len(self.lines(text)) == n, "%d lines tell it: %s" % (len(self.lines(text)), self.lines(text)[:3]))

    def stop(self):
        """The counters at the end."""
        check(self.daemon.stop() == 0, "it ended with %s" % self.daemon.process.returncode)
        return self.counters()

    def counters(self):
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", self.lines("stats: ")[-1])}

    def spool(self):
        return os.path.join(self.folder, "spool")


# ---- the spool ----

def spool_fails(args, folder, error, chance):
    site = Site(args, folder, "worker", "AggregateReports yes\nReportAddress r@example.net")
    try:
        site.send_all(3)
        site.orders.give(write_chance=chance, write_error=error)
        site.send_all(args.messages)
        site.orders.give(write_chance=0)
        failed = site.orders.done()["failed_writes"]
        site.send_all(3)
        site.check_told("messages could not be recorded in ")
        counters = site.stop()
    finally:
        site.daemon.stop()
    records, torn = read_spool(site.spool())
    wanted = (args.messages + 6) * 2 // 3       # what leaves is not recorded
    check(failed > 0, "nothing failed")
    check(torn == 0, "%d torn lines" % torn)
    check(counters["records"] + counters["records_dropped"] == wanted and counters["records"] == len(records),
          "%s, %d records in the spool of %d" % (counters, len(records), wanted))
    check(counters["records_dropped"] > 0, "nothing was dropped")
    return "%d writes failed, %d of %d records dropped and counted, one line" % (failed, counters["records_dropped"], wanted)


@case
def spool_full(args, folder):
    """Disk full, pieces written: mail flows, records are dropped and counted, no line of the spool is torn."""
    return spool_fails(args, folder, errno.ENOSPC, 500000)


@case
def spool_broken(args, folder):
    """No write to the spool succeeds (EIO): the same."""
    return spool_fails(args, folder, errno.EIO, 1000000)


# ---- the store ----

@case
def store_fails(args, folder):
    """Writes of the courier's turn fail (EIO, ENOSPC with pieces): each turn ends well or says why, every record counts once."""
    site = Site(args, folder, "nobody", "AggregateReports yes\nReportAddress r@example.net")
    n = 30
    with site.daemon.milter():
        site.send_all(n)
    site.stop()
    ended, failed = collections.Counter(), 0
    command = [args.ctl, "report", "send", "-c", site.daemon.file]
    for turn in range(args.turns):
        site.orders.reset(write_chance=(20000, 100000, 1000000)[turn % 3], write_error=(errno.EIO, errno.ENOSPC)[turn % 2])
        done = subprocess.run(command, env=site.orders.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        failed += site.orders.done()["failed_writes"]
        check(done.returncode >= 0, "signal %d" % -done.returncode)
        check(done.returncode == 0 or done.stderr, "exit %d, and nothing is said" % done.returncode)
        ended[done.returncode] += 1
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, done.stderr)
    stats = json.loads(subprocess.run([args.ctl, "report", "stats", "--json", "-c", site.daemon.file], capture_output=True, text=True,
                                      timeout=60).stdout)
    check(failed > 0, "nothing failed")
    check(stats["messages"] == n * 2 // 3 and stats["spool"]["files"] == 0, "%d messages counted of %d, %s" % (
        stats["messages"], n * 2 // 3, stats["spool"]))
    return "%d writes failed in %d turns (exit status %s), then all %d messages counted once" % (
        failed, args.turns, ", ".join("%d: %d times" % one for one in sorted(ended.items())), stats["messages"])


@case
def courier_fails(args, folder):
    """The courier itself cannot open its store: it says so and stays; mail knows nothing of it."""
    site = Site(args, folder, "nobody", "AggregateReports yes\nReportAddress r@example.net")
    site.daemon.stop()
    for name in os.listdir(folder):
        if name.startswith("reports.db"):
            os.unlink(os.path.join(folder, name))
    os.mkdir(os.path.join(folder, "reports.db"))
    try:
        site.daemon.start()
        site.check_told("report store: ")
        site.send_all(6)
        check(len(site.daemon.children("courier")) == 1, "the courier has gone")
        site.stop()
    finally:
        site.daemon.stop()
    return "one line, mail as ever"


# ---- replies to the MTA ----

@case
def replies_fail(args, folder):
    """Replies are cut short or the connection breaks (native): whole replies or a connection that ends, nothing is kept open."""
    if test_daemon.ENGINE != "native":
        return None     # libmilter writes with calls of its own
    site = Site(args, folder, "worker")
    try:
        (worker,) = site.daemon.workers()
        site.send_all(3)
        before = len(os.listdir("/proc/%d/fd" % worker))
        site.orders.give(send_chance=150000)
        seen = site.send_all(args.messages, may=("closed",))
        site.orders.give(send_chance=0)
        failed = site.orders.done()["failed_sends"]
        site.send_all(3)
        wait_for(lambda: len(os.listdir("/proc/%d/fd" % worker)) <= before + 1)
        check(site.daemon.workers() == [worker], "another worker")
        check(failed and seen["closed"] and seen["accept"], "%d failed: %s" % (failed, dict(seen)))
        site.stop()
    finally:
        site.daemon.stop()
    return "%d replies failed or went out in part, %s; descriptors as before" % (failed, dict(seen))


@case
def log_is_full(args, folder):
    """Standard error is a full disk: mail as ever."""
    site = Site(args, folder, "nobody")
    site.daemon.stop()
    with open("/dev/full", "w") as full:
        site.daemon.process = subprocess.Popen(site.daemon.command(), stdin=subprocess.DEVNULL, stderr=full)
    try:
        wait_for(lambda: site.daemon.workers() and os.path.exists(site.daemon.path))
        seen = site.send_all(6)
        check(site.daemon.stop() == 0, "it ended with %s" % site.daemon.process.returncode)
    finally:
        site.daemon.stop()
    return "%d messages" % sum(seen.values())


# ---- threads and processes ----

@case
def no_thread_for_dns(args, folder):
    """The resolver's thread cannot be made: temperror and 4xx, one line; right again as soon as it can."""
    resolver = Resolver(Zone(parties.ZONE)).start()
    site = Site(args, folder, "worker", nameserver=resolver.port)
    try:
        milters = [site.daemon.milter() for _ in range(8)]      # libmilter has its threads now
        site.orders.give(thread_chance=1000000)
        for i in range(12 if test_daemon.ENGINE == "native" else 4):
            try:
                action = site.send("genuine", timeout=5)
            except Wrong:
                # libmilter wants a thread of its own, without which a connection may wait.
                action = "closed" if test_daemon.ENGINE == "libmilter" else "no answer"
            check(action in ("tempfail", "closed"), "genuine: %s" % action)
        site.orders.give(thread_chance=0)
        failed = site.orders.done()["failed_threads"]
        for milter in milters:
            milter.close()
        wait_for(lambda: site.send("genuine") == "accept", 20)
        site.send_all(6)
        check(failed, "nothing failed")
        if test_daemon.ENGINE == "native":
            site.check_told("DNS: cannot start the resolver")
        site.stop()
    finally:
        site.daemon.stop()
        resolver.close()
    return "%d threads not made" % failed


@case
def no_process(args, folder):
    """The worker dies and no other can be forked: tried again twice a second, one line; mail waits, then flows."""
    site = Site(args, folder, None)
    try:
        site.send_all(3)
        (worker,) = site.daemon.workers()
        site.orders.give(fork_chance=1000000)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: site.orders.done()["failed_forks"] >= 3)
        site.check_told("cannot start a worker: ")
        site.orders.give(fork_chance=0)
        begin = time.monotonic()
        check(site.send("genuine") == "accept", "it was not accepted")
        took = time.monotonic() - begin
        site.send_all(3)
        site.stop()
    finally:
        site.daemon.stop()
    return "%d forks failed, the message that waited was judged after %.1f s" % (site.orders.done()["failed_forks"], took)


@case
def no_thread_at_start(args, folder):
    """The next worker cannot make its threads: it ends with a word, is tried again, and serves as soon as it can."""
    site = Site(args, folder, "worker")
    try:
        site.send_all(3)
        (worker,) = site.daemon.workers()
        site.orders.give(thread_chance=1000000)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: len(site.lines("cannot make a thread: ")) >= 2)
        check(len(site.lines(r"worker \d+ ended with status 71: the next one starts in")) >= 1, site.daemon.log()[-600:])
        site.orders.give(thread_chance=0)
        check(site.send("genuine", timeout=40) == "accept", "it was not accepted")
        site.send_all(3)
        site.stop()
    finally:
        site.daemon.stop()
    return "%d threads not made" % site.orders.done()["failed_threads"]


# ---- descriptors ----

def limit_files(worker, more):
    """The worker may open @more than it has; what to restore."""
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir("/proc/%d/fd" % worker))
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (highest + 1 + more, before[1]))
    return before


@case
def no_descriptor_to_accept(args, folder):
    """EMFILE at accept: connections wait in the backlog, one line (native); they are served when there is room."""
    site = Site(args, folder, "worker")
    try:
        site.send_all(3)
        (worker,) = site.daemon.workers()
        before = limit_files(worker, 0)
        waiting = subprocess.Popen([sys.executable, "-c", "import socket,time\ns=socket.socket(socket.AF_UNIX)\ns.connect(%r)\n"
                                    "s.sendall(b'x')\ntime.sleep(60)" % site.daemon.path])
        try:
            if test_daemon.ENGINE == "native":
                site.check_told("Too many open files: further connections of the MTA wait")
            time.sleep(1)
        finally:
            waiting.kill()
            waiting.wait()
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        wait_for(lambda: site.send("genuine") == "accept", 20)
        site.send_all(6)
        check(site.daemon.workers() == [worker], "another worker: " + site.daemon.log()[-600:])
        if test_daemon.ENGINE == "native":
            site.check_told("further connections of the MTA wait")
        site.stop()
    finally:
        site.daemon.stop()
    return "the worker is the same one"


@case
def no_descriptor_for_dns(args, folder):
    """EMFILE from the first question on: temperror and 4xx, one line; six seconds after there is room all is right again."""
    resolver = Resolver(Zone(parties.ZONE)).start()
    site = Site(args, folder, "worker", nameserver=resolver.port)
    try:
        with site.daemon.milter() as milter:
            (worker,) = site.daemon.workers()
            before = limit_files(worker, 0)
            actions = {milter.message("a@example.org", ["b@example.net"], parties.SIGNED, parties.BODY, queue_id="E%d" % i).action
                       for i in range(6)}
            resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        check(actions == {"tempfail"}, actions)
        begin = time.monotonic()
        wait_for(lambda: site.send("genuine") == "accept", 20)
        took = time.monotonic() - begin
        site.send_all(6)
        check(site.daemon.workers() == [worker], "another worker: " + site.daemon.log()[-600:])
        site.check_told("DNS: SERVFAIL")
        counters = site.stop()
        check(counters["dns_failures"] > 0, counters)
    finally:
        site.daemon.stop()
        resolver.close()
    return "right again after %.1f s, dns_failures=%d" % (took, counters["dns_failures"])


@case
def no_descriptor_for_spool(args, folder):
    """EMFILE where the spool's file is opened: mail flows, records are dropped and counted, one line."""
    site = Site(args, folder, "worker", "AggregateReports yes\nReportAddress r@example.net")
    try:
        with site.daemon.milter() as milter:
            (worker,) = site.daemon.workers()
            before = limit_files(worker, 0)
            actions = [milter.message("a@example.org", ["b@example.net"], parties.SIGNED, parties.BODY, queue_id="E%d" % i).action
                       for i in range(6)]
            resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        check(set(actions) == {"accept"}, actions)
        site.check_told("messages could not be recorded in .*Too many open files")
        site.send_all(6)
        counters = site.stop()
        check((counters["records_dropped"], counters["records"]) == (6, 4), counters)
    finally:
        site.daemon.stop()
    return "6 records dropped and counted"


# ---- reload ----

@case
def bad_at_reload(args, folder):
    """A key that vanished, a table that is broken: the old ones stay, the line names the file, the counter moves."""
    table = os.path.join(folder, "table")
    with open(table, "w") as file:
        file.write("*@example.org k1\n")
    site = Site(args, folder, "worker")
    try:
        key = os.path.join(folder, "key.pem")
        keys = os.path.join(folder, "keytable")

        def spoil_key():
            os.rename(key, key + ".away")
            return lambda: os.rename(key + ".away", key), "key.pem"

        def spoil_table():
            with open(keys, "w") as file:
                file.write("k1 example.org\n")
            site.daemon.configure(site.options + "KeyTable %s\nSigningTable refile:%s\n" % (keys, table))
            return lambda: site.daemon.configure(site.options), "keytable:1"

        def spoil_option():
            site.daemon.configure(site.options + "Modee v\n")
            return lambda: site.daemon.configure(site.options), "Modee"

        for n, spoil in enumerate((spoil_key, spoil_table, spoil_option), 1):
            mend, named = spoil()
            site.daemon.signal(signal.SIGHUP)
            wait_for(lambda: len(site.lines("the old one stays in force")) == n)
            check(site.lines("error: .*" + named), "nothing names %s: %s" % (named, site.daemon.log()[-500:]))
            site.send_all(3)
            mend()
        site.daemon.signal(signal.SIGHUP)
        site.daemon.wait_log("configuration reloaded")
        site.send_all(3)
        counters = site.stop()
        check((counters["reloads"], counters["reloads_failed"]) == (1, 3), counters)
    finally:
        site.daemon.stop()
    return "three that were refused, one that was taken"


@case
def bad_database(args, folder):
    """A database of a data set goes bad: the old rows stay, one line, the counter moves; taken again when it is mended."""
    path = os.path.join(folder, "hosts.db")
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (k TEXT)")
        database.execute("INSERT INTO t VALUES ('127.0.0.1')")
    database.close()
    site = Site(args, folder, "worker", "InternalHosts sqlite:%s?table=t&keycol=k\nDataSetRefresh 1" % path)
    try:
        site.send_all(3)
        shutil.copy(path, path + ".good")
        with open(path, "wb") as file:
            file.write(b"no database" * 1000)
        site.check_told("data sets not refreshed, the old rows stay in force: ")
        time.sleep(2.5)
        site.check_told("data sets not refreshed, the old rows stay in force: ")
        site.send_all(3)
        os.rename(path + ".good", path)
        site.check_told("data sets can be refreshed again")
        site.send_all(3)
        counters = site.stop()
        check(counters["reloads_failed"] >= 2, counters)
    finally:
        site.daemon.stop()
    return "%d refreshes failed, one line" % counters["reloads_failed"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--ctl", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--engine", action="append")
    parser.add_argument("--messages", type=int, default=150)
    parser.add_argument("--turns", type=int, default=60, help="of the courier")
    parser.add_argument("--case", action="append", choices=[function.__name__ for function in CASES])
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    test_daemon.PROGRAM, args.ctl = os.path.abspath(args.daemon), os.path.abspath(args.ctl)
    args.messages -= args.messages % 3
    passed = failed = 0
    for engine in args.engine or ("native", "libmilter"):
        test_daemon.ENGINE = engine
        for function in CASES:
            if args.case and function.__name__ not in args.case:
                continue
            folder = tempfile.mkdtemp(prefix="faults")
            try:
                told = function(args, folder)
                if told is not None:
                    print("ok   %s, %s: %s" % (engine, function.__name__, told))
                    passed += 1
            except (Wrong, AssertionError, OSError, ValueError, subprocess.TimeoutExpired) as error:
                print("FAIL %s, %s: %s\n     %s" % (engine, function.__name__, error, function.__doc__))
                failed += 1
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
