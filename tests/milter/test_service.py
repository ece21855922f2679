"""
The real daemon over a milter socket: what the processes do to real verdicts.

    test_service.py PROGRAM [unittest arguments]

Scenarios judge the verdicts themselves; here it is about keys at start and at reload, and about sessions that
share a worker while it is reloaded and replaced.
"""
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

import test_daemon
from test_daemon import Case, wait_for

FIELDS = [("From", " a@example.org"), ("To", " b@example.net"), ("Subject", " one\n two"), ("Date", " Fri, 21 Nov 2025 10:00:00 +0000"),
          ("Message-ID", " <1@example.org>")]
BODY = b"Shall we meet at noon?\r\n" * 40

CONFIG = """AuthservID mx.example.net
Domain example.org
Selector sel
KeyFile {top}/key.pem
RejectFailures yes
DNSZoneFile {top}/zone
"""


class Service(Case):
    def setUp(self):
        super().setUp()
        self.key = os.path.join(self.directory, "key.pem")
        self.make_key(2048)
        public = subprocess.run(["openssl", "rsa", "-in", self.key, "-pubout"], capture_output=True, text=True, check=True).stdout
        record = "".join(public.splitlines()[1:-1])
        with open(os.path.join(self.directory, "zone"), "w") as file:
            file.write('example.org TXT "v=spf1 ip4:192.0.2.0/24 -all"\n'
                       '_dmarc.example.org TXT "v=DMARC1; p=reject"\n'
                       f'sel._domainkey.example.org TXT "v=DKIM1; k=rsa; p={record}"\n')
        self.config = CONFIG.format(top=self.directory)

    def make_key(self, bits):
        subprocess.run(["openssl", "genrsa", "-out", self.key, str(bits)], capture_output=True, check=True)
        os.chmod(self.key, 0o600)

    def session(self, daemon, name="mail.example.org", ip="192.0.2.1"):
        milter = test_daemon.Milter(daemon.address)
        milter.connect(name, ip)
        milter.helo(name)
        return milter

    def signed(self, daemon):
        with self.session(daemon, "localhost", "127.0.0.1") as milter:
            result = milter.message("a@example.org", ["b@example.net"], FIELDS, BODY, queue_id="S1")
        self.assertEqual(len(result.header("DKIM-Signature")), 1, daemon.log())
        return result.headers

    def test_signs_verifies_refuses(self):
        daemon = self.daemon(self.config).start()
        headers = self.signed(daemon)
        with self.session(daemon) as milter:
            result = milter.message("a@example.org", ["b@example.net"], headers, BODY, queue_id="V1")
            (field,) = result.header("Authentication-Results")
            for word in ("mx.example.net", "dkim=pass", "spf=pass", "dmarc=pass"):
                self.assertIn(word, field)
            self.assertEqual(result.headers[0][0], "Authentication-Results")
        with self.session(daemon, "evil.example", "198.51.100.1") as milter:
            result = milter.message("x@evil.example", ["b@example.net"], FIELDS, BODY, queue_id="R1")
            self.assertEqual(result.action, "reject")
            self.assertRegex(result.reply, r"^550 5\.7\.1 .*example\.org")
        for line in ("S1: client=", "V1: client=", "R1: client="):
            self.assertEqual(daemon.log().count(line), 1)

    def test_a_reload_reads_the_zone_file_again(self):
        daemon = self.daemon(self.config).start()

        def spf():
            with self.session(daemon) as milter:
                (field,) = milter.message("a@example.org", ["b@example.net"], self.headers, BODY).header("Authentication-Results")
            return re.search(r"spf=(\w+)", field)[1]

        self.headers = self.signed(daemon)
        path = os.path.join(self.directory, "zone")
        with open(path) as file:
            zone = file.read()
        for n, (text, told, want) in enumerate([(zone.replace("ip4:192.0.2.0/24 -all", "?all"), "configuration reloaded", "neutral"),
                                                (zone + "broken.example TXT\n", "the old one stays in force", "neutral"),
                                                (zone, "configuration reloaded", "pass")]):
            with open(path, "w") as file:
                file.write(text)
            told_before = daemon.log().count(told)
            daemon.signal(signal.SIGHUP)
            wait_for(lambda: daemon.log().count(told) > told_before)
            self.assertEqual(spf(), want, n)
        self.assertRegex(daemon.log(), r"error: DNS: .*/zone:4: TXT without a value")

    def test_sandbox(self):
        for text, mode in (("", 2), ("Sandbox no\n", 0)):
            daemon = self.daemon(self.config + text).start()
            self.signed(daemon)
            (worker,) = daemon.workers()
            with open(f"/proc/{worker}/maps") as file:
                sanitized = re.search("lib[at]san", file.read()) is not None
            with open(f"/proc/{worker}/status") as file:
                found = int(re.search(r"^Seccomp:\s+(\d)", file.read(), re.M).group(1))
            self.assertEqual(found, 0 if sanitized else mode, text)
            daemon.stop()

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_state_directories(self):
        """Root makes them for UserID, who could not; what is there stays as it is."""
        top = os.path.join(self.directory, "var")
        for where in ("var", "run"):
            os.mkdir(os.path.join(self.directory, where), 0o755)
        os.chmod(self.directory, 0o755)
        os.chown(os.path.join(self.directory, "run"), 65534, 65534)
        os.chmod(self.key, 0o644)
        daemon = self.daemon(self.config + "UserID nobody\nRequireSafeKeys no\n")
        with open(daemon.file) as file:
            text = file.read()
        for old, new in ((daemon.path, f"{self.directory}/run/sock"), (f"{self.directory}/spool", f"{top}/state/spool"),
                         (f"{self.directory}/reports.db", f"{top}/store/reports.db")):
            text = text.replace(old, new)
        with open(daemon.file, "w") as file:
            file.write(text)
        self.assertNotIn("reports", daemon.check().stderr)
        self.assertEqual(os.listdir(top), [])
        daemon.start()
        for path in ("state", "state/spool", "store"):
            found = os.stat(os.path.join(top, path))
            self.assertEqual((found.st_uid, found.st_mode & 0o777), (65534, 0o700), path)
        self.assertNotIn("reports: cannot", daemon.log())
        daemon.stop()
        os.chown(os.path.join(top, "store"), 0, 0)
        daemon.start()
        self.assertEqual(os.stat(os.path.join(top, "store")).st_uid, 0)

    def test_broken_keys(self):
        def too_open():
            os.chmod(self.key, 0o644)

        def empty():
            with open(self.key, "w") as file:
                file.write("not a key\n")

        # OpenSSL makes none below 512.
        for spoil in (too_open, empty, lambda: self.make_key(512), lambda: os.unlink(self.key)):
            self.make_key(2048)
            daemon = self.daemon(self.config).start()
            spoil()
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("the old one stays in force")
            self.assertIn("key.pem", daemon.log())
            self.signed(daemon)
            daemon.stop()
            os.unlink(daemon.log_path)
            for arguments in (("-f",), ("-n",)):
                daemon.arguments = arguments
                done = daemon.run()
                self.assertEqual(done.returncode, 78)
                self.assertRegex(done.stderr, r"conf:\d+: .*key\.pem")

    def test_a_key_is_rotated_without_a_lost_message(self):
        daemon = self.daemon(self.config).start()
        headers = self.signed(daemon)
        self.make_key(3072)
        with self.session(daemon, "localhost", "127.0.0.1") as held:
            before = held.message("a@example.org", ["b@example.net"], FIELDS, BODY)
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("configuration reloaded")
            after = held.message("a@example.org", ["b@example.net"], FIELDS, BODY)
        self.assertEqual([before.action, after.action], ["accept"] * 2)
        self.assertGreater(len(after.header("DKIM-Signature")[0]), len(before.header("DKIM-Signature")[0]) + 100)
        self.assertTrue(headers)

    def test_sessions_across_reload_and_replacement(self):
        daemon = self.daemon(self.config).start()
        headers = self.signed(daemon)
        failures = []

        def work(number):
            try:
                with self.session(daemon) as milter:
                    for k in range(25):
                        good = milter.message("a@example.org", ["b@example.net"], headers, BODY, queue_id=f"G{number}.{k}")
                        bad = milter.message("a@example.net", ["b@example.net"], FIELDS, BODY, queue_id=f"B{number}.{k}")
                        if good.action != "accept" or "dkim=pass" not in good.header("Authentication-Results")[0]:
                            failures.append(good)
                        if bad.action != "reject":
                            failures.append(bad)
            except Exception as error:  # noqa: BLE001
                failures.append(repr(error))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
        for thread in threads:
            thread.start()
        for n in range(5):
            daemon.signal(signal.SIGUSR2 if n in (1, 3) else signal.SIGHUP)
            time.sleep(0.2)
        for thread in threads:
            thread.join(120)
        self.assertEqual(failures, [])
        lines = daemon.log().splitlines()
        for kind in "GB":
            self.assertEqual(sum(line.startswith(f"trimilter: {kind}") and "action=" in line for line in lines), 500)
        wait_for(lambda: len(daemon.workers()) == 1, 20)


if __name__ == "__main__":
    unittest.main()
