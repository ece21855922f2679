#!/usr/bin/python3
"""
What the daemon records of messages, from outside: each once, whatever is killed or full.

    recording.py PROGRAM [--kills N] [unittest arguments]

PROGRAM is trimilter. The lines are read here by their description, docs/report-records.md, not by the program's own
reader. N: how often a worker is killed at a random instant; 10, a few seconds; 200 for a long proof.
"""
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import unittest
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "milter"))
KILLS = int(sys.argv.pop(sys.argv.index("--kills") + 1)) if "--kills" in sys.argv else 10
if "--kills" in sys.argv:
    sys.argv.remove("--kills")

import test_daemon  # noqa: E402
from test_daemon import Case, wait_for  # noqa: E402

PAGE = os.path.join(HERE, "..", "..", "docs", "report-records.md")
CONFIG = """AuthservID mx.example.net
DNSZoneFile {top}/zone
RejectFailures yes
IgnoreHosts 192.0.2.66
"""
ZONE = """example.org TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc.example.org TXT "v=DMARC1; p=reject; rua=mailto:dmarc@example.org"
"""
FROM = ("From", " a@example.org")


def check_line(line):
    """The record of a line; ValueError where it is none."""
    match = re.fullmatch(rb'\{"length":(\d+),"crc32":"([0-9a-f]{8})","record":(.*)\}\n', line, re.S)
    if not match or int(match[1]) != len(match[3]) or int(match[2], 16) != zlib.crc32(match[3]):
        raise ValueError(line)
    return json.loads(match[3])


def read_spool(directory):
    """(records, torn lines) of all files; a torn line anywhere but at the end of a file is an error."""
    records, torn = [], 0
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        with open(os.path.join(directory, name), "rb") as file:
            lines = file.readlines()
        for i, line in enumerate(lines):
            try:
                records.append(check_line(line))
            except ValueError:
                if i + 1 < len(lines) or line.endswith(b"\n"):
                    raise
                torn += 1
    return records, torn


class Recording(Case):
    def setUp(self):
        super().setUp()
        with open(os.path.join(self.directory, "zone"), "w") as file:
            file.write(ZONE)
        self.config = CONFIG.format(top=self.directory)
        self.spool = os.path.join(self.directory, "spool")
        # A store that cannot be opened: the lines stay where they are.
        self.store = os.path.join(self.directory, "reports.db")
        os.mkdir(self.store)

    def send(self, daemon, queue_id, ip="192.0.2.1", rcpt="b@example.net", fields=(FROM,)):
        with test_daemon.Milter(daemon.address) as milter:
            milter.connect("mail.example.org", ip)
            milter.helo("mail.example.org")
            return milter.message("a@example.org", [rcpt], list(fields), b"text\r\n", queue_id=queue_id)

    def recorded(self):
        records, torn = read_spool(self.spool)
        self.assertEqual(torn, 0)
        return [record["queue_id"] for record in records]

    # ---- what is recorded ----

    def test_judged_messages_are_recorded(self):
        daemon = self.daemon(self.config + "IgnoreMailTo reports@example.net\n").start()
        self.assertFalse(os.listdir(self.spool))
        self.assertEqual(self.send(daemon, "PASS").action, "accept")
        self.assertEqual(self.send(daemon, "FAIL", "198.51.100.1").action, "reject")
        self.assertEqual(self.send(daemon, "IGNOREDHOST", "192.0.2.66").action, "accept")
        self.assertEqual(self.send(daemon, "INTERNAL", "127.0.0.1").action, "accept")
        self.assertEqual(self.send(daemon, "NOPOLICY", fields=[("From", " a@example.com")]).action, "accept")
        self.assertEqual(self.send(daemon, "IGNOREDTO", rcpt="reports@example.net").action, "accept")
        # At once, not at the end of a minute or of the daemon.
        passed, failed = read_spool(self.spool)[0]
        self.assertEqual([passed["queue_id"], failed["queue_id"]], ["PASS", "FAIL"])
        self.assertEqual(passed["reporter"], "mx.example.net")
        self.assertEqual(passed["policy"], {"domain": "example.org", "discovery": "treewalk",
                                            "record": "v=DMARC1; p=reject; rua=mailto:dmarc@example.org"})
        self.assertEqual(passed["row"], {
            "source_ip": "192.0.2.1", "disposition": "pass", "dkim_aligned": False, "spf_aligned": True, "reasons": [],
            "header_from": "example.org", "envelope_from": "example.org", "envelope_to": "example.net", "dkim": [],
            "spf": {"domain": "example.org", "result": "pass"}})
        self.assertEqual(failed["row"]["disposition"], "reject")
        self.assertEqual(failed["row"]["reasons"], [])
        self.assertNotIn("failure", failed)
        self.assertNotEqual(passed["id"], failed["id"])
        self.assertLess(abs(passed["time"] - time.time()), 60)

    def test_a_failure_goes_with_it(self):
        daemon = self.daemon(self.config + "FailureReports yes\nFailureReportsHeaderSize 1K\n").start()
        fields = [FROM, ("Subject", " one\n two"), ("X-Long", " " + "x" * 2000), ("To", " b@example.net")]
        self.send(daemon, "PASS", fields=fields)
        self.send(daemon, "FAIL", "198.51.100.1", fields=fields)
        passed, failed = read_spool(self.spool)[0]
        self.assertNotIn("failure", passed)
        failure = failed["failure"]
        self.assertEqual(failure["headers"], "From: a@example.org\r\nSubject: one\r\n two\r\n")
        self.assertTrue(failure["headers_cut"])
        self.assertEqual((failure["mail_from"], failure["rcpt"]), ("a@example.org", "b@example.net"))
        self.assertEqual(failure["delivery_result"], "reject")
        self.assertIn("dmarc=fail", failure["authentication_results"])

    def test_switched_off_and_on(self):
        daemon = self.daemon(self.config + "AggregateReports no\n").start()
        self.send(daemon, "OFF")
        self.assertFalse(os.path.exists(self.spool))
        daemon.configure(self.config)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration reloaded")
        self.send(daemon, "ON")
        daemon.configure(self.config + "AggregateReports no\n")
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: daemon.log().count("configuration reloaded") == 2)
        self.send(daemon, "OFF2")
        self.assertEqual(self.recorded(), ["ON"])

    # ---- where nothing can be written ----

    def test_no_directory(self):
        with open(self.spool, "w"):
            pass
        daemon = self.daemon(self.config)
        daemon.arguments = ("-n",)
        done = daemon.run()
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"reports: cannot write {self.spool}: Not a directory. Mail is handled as always", done.stderr)
        daemon.arguments = ("-f",)
        daemon.start()
        self.assertEqual(self.send(daemon, "A").action, "accept")
        self.assertEqual(self.send(daemon, "B").action, "accept")
        self.assertEqual(daemon.log().count("warning: reports: cannot write"), 1, daemon.log())
        os.unlink(self.spool)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration reloaded")
        self.send(daemon, "C")
        self.assertEqual(self.recorded(), ["C"])
        self.assertEqual(daemon.log().count("can be written now, so messages are recorded"), 1)
        self.assertEqual(daemon.log().count("warning: reports: cannot write"), 1, daemon.log())

    def test_a_check_makes_nothing(self):
        daemon = self.daemon(self.config)
        daemon.arguments = ("-n",)
        done = daemon.run()
        self.assertEqual((done.returncode, "reports:" in done.stderr), (0, False))
        self.assertFalse(os.path.exists(self.spool))

    @unittest.skipUnless(os.geteuid() == 0, "only root has another user")
    def test_not_ours_to_write(self):
        os.mkdir(self.spool, 0o700)
        daemon = self.daemon(self.config + "UserID nobody\nUMask 000\n")
        os.chmod(self.directory, 0o777)
        # The worker runs the program anew, as a user who may not be let into the checkout.
        program = shutil.copy2(test_daemon.PROGRAM, self.directory)
        daemon.command = lambda: [program, *daemon.arguments, "-c", daemon.file]
        daemon.start()
        self.assertIn(f"reports: cannot write {self.spool}: Permission denied", daemon.log())
        self.assertEqual(self.send(daemon, "A").action, "accept")

    def check_full(self, daemon, directory, fill, empty):
        """Mail flows while there is no room; no record is torn, and there are records again when there is."""
        self.send(daemon, "BEFORE")
        fill()
        for i in range(30):
            self.assertEqual(self.send(daemon, f"FULL{i}").action, "accept")
        empty()
        self.send(daemon, "AFTER")
        records, torn = read_spool(directory)
        ids = [record["queue_id"] for record in records]
        self.assertEqual(torn, 0)
        self.assertEqual((ids[0], ids[-1], len(set(ids))), ("BEFORE", "AFTER", len(ids)))
        self.assertLess(len(ids), 32)

    def test_full_disk(self):
        """A small tmpfs in a mount namespace of the daemon's own."""
        os.mkdir(self.spool)
        daemon = self.daemon(self.config)
        plain = daemon.command()
        daemon.command = lambda: ["unshare", "-m", "sh", "-c",
                                  'mount -t tmpfs -o size=64k none "$0" && exec "$@"', self.spool, *plain]
        if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", self.spool], capture_output=True).returncode:
            self.skipTest("no right to mount")
        daemon.start()
        inside = f"/proc/{daemon.process.pid}/root{self.spool}"
        filler = os.path.join(inside, "filler")

        def fill():
            with open(filler, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 4096)
                except OSError:
                    pass
        self.check_full(daemon, inside, fill, lambda: os.unlink(filler))
        self.assertEqual(daemon.log().count("messages could not be recorded in "), 1)
        self.assertIn("No space left on device", daemon.log())

    def test_files_may_not_grow(self):
        """The same by a limit for the process, which makes the last write a short one. (It holds for the log too.)"""
        daemon = self.daemon(self.config).start()
        (worker,) = daemon.workers()
        limits = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        self.check_full(daemon, self.spool,
                        lambda: resource.prlimit(worker, resource.RLIMIT_FSIZE, (1800, limits[1])),
                        lambda: resource.prlimit(worker, resource.RLIMIT_FSIZE, limits))

    # ---- killed ----

    def kill_and_kill(self, daemon):
        """Queue ids of the messages whose verdict came, while worker, courier and master were killed KILLS times."""
        answered, over, failures = set(), threading.Event(), []
        lock = threading.Lock()
        fields = [FROM, ("Subject", " " + "x" * 5000)]  # more than a page, and a failure has it in its record

        def work(number):
            i = 0
            while not over.is_set():
                try:
                    with test_daemon.Milter(daemon.address) as milter:
                        milter.connect("mail.example.org", "198.51.100.1")
                        milter.helo("mail.example.org")
                        while not over.is_set():
                            i += 1
                            result = milter.message("a@example.org", ["b@example.net"], fields, b"", queue_id=f"{number}.{i}")
                            if result.action != "reject":
                                failures.append(result)
                            with lock:
                                answered.add(f"{number}.{i}")
                except OSError:  # the worker was killed
                    time.sleep(0.001)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            for i in range(KILLS + 1):
                count = len(answered)
                wait_for(lambda: len(answered) > count + 5, 30)
                if i == KILLS:
                    break
                time.sleep(random.random() * 0.05)
                # The master too, which would wait longer each time before it starts another one.
                daemon.signal(signal.SIGSTOP)
                for pid in [*daemon.workers(), *daemon.children("courier"), daemon.process.pid]:
                    os.kill(pid, signal.SIGKILL)
                daemon.process.wait()
                daemon.start()
        finally:
            over.set()
            for thread in threads:
                thread.join(60)
        daemon.stop()
        self.assertEqual(failures, [])
        return answered

    def test_killed_at_any_instant(self):
        """No message whose verdict was given is lost, none is there twice."""
        daemon = self.daemon(self.config + "FailureReports yes\n").start()
        answered = self.kill_and_kill(daemon)
        records, torn = read_spool(self.spool)
        ids = [record["queue_id"] for record in records]
        unique = [record["id"] for record in records]
        print(f"{KILLS} kills: {len(answered)} answered, {len(ids)} recorded, {torn} torn")
        self.assertEqual(answered - set(ids), set(), "lost")
        self.assertEqual(len(ids), len(set(ids)), "a message twice")
        self.assertEqual(len(unique), len(set(unique)), "an id twice")
        # What is more was recorded before its writer was killed: at most a message on each connection and kill.
        self.assertLessEqual(len(ids) - len(answered), KILLS * 4)
        self.assertGreaterEqual(len(os.listdir(self.spool)), KILLS)

    def test_killed_while_imported(self):
        """The same with a store: what is in it and what still is in the spool are all of them."""
        os.rmdir(self.store)
        daemon = self.daemon(self.config + "ReportServer 127.0.0.1:1\n").start()
        answered = self.kill_and_kill(daemon)
        # A courier that is killed each time may not have come to it.
        count = daemon.log().count("reports: records=")
        daemon.start()
        wait_for(lambda: daemon.log().count("reports: records=") > count, 20)
        daemon.stop()
        with contextlib.closing(sqlite3.connect(self.store)) as store:
            (stored,) = store.execute("SELECT coalesce(sum(messages), 0) FROM batch").fetchone()
            positions = dict(store.execute("SELECT name, position FROM source"))
        left = 0
        for name in os.listdir(self.spool):
            with open(os.path.join(self.spool, name), "rb") as file:
                file.seek(positions.get(name, 0))
                left += sum(line.endswith(b"\n") for line in file)
        print(f"{KILLS} kills: {len(answered)} answered, {stored} stored, {left} left in the spool")
        self.assertGreater(stored, 0)
        self.assertGreaterEqual(stored + left, len(answered))
        self.assertLessEqual(stored + left, len(answered) + KILLS * 4)

    def test_upgrade_and_stop(self):
        """A drained worker's file and its successor's."""
        daemon = self.daemon(self.config).start()
        for i in range(3):
            self.send(daemon, f"A{i}")
            (old,) = daemon.workers()
            daemon.signal(signal.SIGUSR2)
            wait_for(lambda: len(daemon.workers()) == 1 and old not in daemon.workers(), 20)
        self.send(daemon, "B")
        daemon.stop()
        self.assertEqual(sorted(self.recorded()), ["A0", "A1", "A2", "B"])
        self.assertEqual(len(os.listdir(self.spool)), 4)

    # ---- the page ----

    def test_the_page(self):
        """Its jq commands work as they stand, and its tables name every member there is."""
        with open(PAGE, encoding="utf-8") as file:
            page = file.read()
        daemon = self.daemon(self.config + "FailureReports yes\nRejectFailures no\n").start()
        for i in range(2):
            self.send(daemon, f"P{i}")
        self.send(daemon, "F", "198.51.100.1", fields=[FROM, ("DKIM-Signature", " v=1; d=example.org; s=x")])
        first, second = re.findall(r"```sh\n(.*?)```", page, re.S)

        def run(command):
            command = command.replace("/var/lib/trimilter/spool", self.spool)
            return subprocess.run(["sh", "-ec", command], capture_output=True, text=True, check=True).stdout.split("\n")
        self.assertEqual(sorted(line.strip() for line in run(first)), [
            "", "1 198.51.100.1\texample.org\tnone", "2 192.0.2.1\texample.org\tpass"])
        self.assertEqual(run(second), ["F example.org: local_policy", ""])
        named = set(re.findall(r"`([a-z0-9_]+)`", page))

        def members(value):
            if isinstance(value, dict):
                for name, member in value.items():
                    yield name
                    yield from members(member)
            elif isinstance(value, list):
                for element in value:
                    yield from members(element)
        found = set(members(read_spool(self.spool)[0]))
        self.assertGreater(len(found), 30)
        self.assertEqual(found - named, set())


if __name__ == "__main__":
    unittest.main(warnings="ignore")
