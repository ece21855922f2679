#!/usr/bin/python3
"""
trimilterctl key: a key goes through its stages; whatever is signed on the way verifies; nothing moves early.

    test_rotation.py TRIMILTER TRIMILTERCTL [unittest arguments]
"""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, "milter")]
import test_daemon  # takes TRIMILTER off sys.argv
from keysite import Site, main

import dkim

DAY = 86400
START = 1763900000      # November 2025
BODY = b"Shall we meet at noon?\r\n" * 40


class Rotation(Site):
    def setUp(self):
        super().setUp()
        self.configure(more=f"PidFile {self.directory}/pid\n")
        (key,) = self.json("domain", "add", "-s", "old", "example.org")["keys"]
        self.publish(key["owner"], key["record"])
        self.old = key["key_file"]

    def rotate(self, *words):
        (key,) = self.json("key", "rotate", "example.org", "--now", str(START), *words)["keys"]
        return key

    def advance(self, now, *words, status=0, notes=False):
        """The stages after it."""
        done = self.run_ctl("key", "advance", "--json", "-c", "conf", "--now", str(START + now), *words)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        found = json.loads(done.stdout)["rotations"]
        return [rotation["note" if notes else "stage"] for rotation in found]

    def states(self):
        return {key["selector"]: key["state"] for key in self.json("key", "list")["keys"]}

    def daemon_has_reloaded(self):
        """As a daemon would say it."""
        self.write("pid", "1\n")
        os.utime(self.path("pid"), (time.time(), time.time() + 6))


class Stages(Rotation):
    def test_all(self):
        before = self.read("keytable")
        key = self.rotate()
        self.assertEqual((key["selector"], key["owner"]), ("202511", "202511._domainkey.example.org"))
        self.assertEqual(self.states(), {"old": "signing", "202511": "pending"})
        self.assertEqual(self.advance(0), ["pending"])
        self.publish(key["owner"], key["record"])
        # Seen now; an hour must pass.
        self.assertEqual(self.advance(100), ["pending"])
        self.assertEqual(self.advance(3699), ["pending"])
        self.assertEqual(self.read("keytable"), before)
        self.assertEqual(self.advance(3700), ["published"])
        self.assertEqual(self.read("keytable"), before)
        self.assertEqual(self.states(), {"old": "signing", "202511": "published"})
        self.assertEqual(self.advance(3701), ["signing"])
        new = os.path.join(os.path.dirname(self.old), "202511.example.org.private")
        self.assertEqual(self.read("keytable"), f"example.org example.org:202511:{new}\n")
        self.assertEqual(self.states(), {"202511": "signing", "old": "retiring"})
        # Not before the daemon has read it.
        self.assertEqual(self.advance(3702), ["signing"])
        self.daemon_has_reloaded()
        self.assertEqual(self.advance(4000), ["retiring"])
        self.assertEqual(self.advance(4000 + 7 * DAY - 1), ["retiring"])
        self.assertTrue(os.path.exists(self.old))
        (note,) = self.advance(4000 + 7 * DAY, notes=True)
        self.assertIn("remove old._domainkey.example.org from the DNS now", note)
        self.assertFalse(os.path.exists(self.old))
        self.assertEqual(self.states(), {"202511": "signing", "old": "gone"})
        self.assertEqual(self.advance(4000 + 8 * DAY), ["gone"])
        self.withdraw("old._domainkey.example.org")
        self.assertEqual(self.advance(4000 + 9 * DAY), ["done"])
        self.assertEqual(self.states(), {"202511": "signing"})
        self.assertEqual(self.advance(4000 + 9 * DAY), [])
        # The next one in the same month.
        self.assertEqual(self.rotate()["selector"], "202511-2")

    def test_the_record_must_stay_and_match(self):
        key = self.rotate("-s", "new")
        self.publish(key["owner"], key["record"].replace("p=MIIB", "p=MIIC"))
        self.assertEqual(self.advance(0), ["pending"])
        self.assertNotEqual(self.advance(4000), ["published"])
        self.withdraw(key["owner"])
        self.publish(key["owner"], key["record"])
        self.assertEqual(self.advance(5000), ["pending"])
        # Lost on the way: the time begins anew.
        self.withdraw(key["owner"])
        self.assertEqual(self.advance(7000), ["pending"])
        self.publish(key["owner"], key["record"])
        self.assertEqual(self.advance(8700), ["pending"])
        self.assertEqual(self.advance(8700 + 3600), ["published"])
        # Lost when it is to be signed with: not signed with.
        self.withdraw(key["owner"])
        self.assertEqual(self.advance(12400), ["pending"])
        self.assertIn(":old:", self.read("keytable"))
        # Two records: a verifier may take either.
        self.publish(key["owner"], key["record"])
        self.publish(key["owner"], "v=DKIM1; p=")
        self.assertIn("has 2 records", self.advance(12500, notes=True)[0])

    def test_the_ttl_counts(self):
        key = self.rotate("-s", "new")
        self.publish(key["owner"], key["record"])
        self.advance(0, "--wait", "0")
        self.assertEqual(self.advance(299, "--wait", "0"), ["pending"])     # a zone file's is 300
        self.assertEqual(self.advance(300, "--wait", "0"), ["published"])

    def test_stopped_between_table_and_rotations(self):
        """The table says new, the rotations' file says published: it goes on, and nothing is lost."""
        key = self.rotate("-s", "new")
        self.publish(key["owner"], key["record"])
        self.advance(0)
        self.advance(3600)
        kept = self.read("keytable.rotations")
        self.assertEqual(self.advance(3601), ["signing"])
        self.write("keytable.rotations", kept)
        self.assertEqual(self.advance(3602), ["signing"])
        self.assertIn(":new:", self.read("keytable"))

    def test_old_key_that_others_use_stays(self):
        self.write("keytable", self.read("keytable") + f"other other.example:old:{self.old}\n")
        key = self.rotate("-s", "new")
        self.publish(key["owner"], key["record"])
        for now in (0, 3600, 3601):
            self.advance(now)
        self.assertEqual(self.advance(3602, "--reloaded"), ["retiring"])
        self.assertEqual(self.advance(3602 + 7 * DAY), ["gone"])
        self.assertTrue(os.path.exists(self.old))
        self.ctl("conf", "check", "-c", "conf")

    def test_rows_keep_their_name(self):
        """Every row of the old selector gets the new key; what refers to it by name stays right."""
        row = self.read("keytable").split(None, 1)[1]
        self.write("keytable", "# ours\n" + self.read("keytable") + "list " + row)
        self.write("signingtable", self.read("signingtable") + "list@example.org list\n")
        key = self.rotate("-s", "new")
        self.publish(key["owner"], key["record"])
        for now in (0, 3600, 3601):
            self.advance(now)
        lines = self.read("keytable").splitlines()
        self.assertEqual([line.split(":")[0] for line in lines], ["# ours", "example.org example.org", "list example.org"])
        self.assertEqual(self.read("keytable").count(":new:"), 2)

    def test_both_kinds_go_together(self):
        self.configure(more="MultipleSignatures yes\n")
        self.ctl("domain", "add", "-c", "conf", "-s", "k", "--type", "both", "two.example")
        keys = self.json("key", "rotate", "two.example", "--now", str(START))["keys"]
        self.assertEqual([key["algorithm"] for key in keys], ["rsa", "ed25519"])
        self.assertEqual(len({key["selector"] for key in keys}), 2)
        self.publish(keys[0]["owner"], keys[0]["record"])
        self.advance(0)
        self.assertEqual(self.advance(3600), ["published", "pending"])
        self.assertEqual(self.advance(3601), ["signing", "pending"])
        self.assertEqual({key["selector"]: key["state"] for key in self.json("key", "list")["keys"]},
                         {"old": "signing", "k": "retiring", keys[0]["selector"]: "signing", "k-ed25519": "signing",
                          keys[1]["selector"]: "pending"})

    def test_cancel(self):
        before = self.tree()
        key = self.rotate()
        self.assertIn("is being rotated already", self.ctl("key", "rotate", "-c", "conf", "example.org", status=65))
        self.ctl("key", "cancel", "-c", "conf", "example.org")
        after = self.tree()
        self.assertEqual(after.pop("keytable.rotations")[0], b"")
        self.assertEqual(after, before)
        key = self.rotate()
        self.publish(key["owner"], key["record"])
        for now in (0, 3600, 3601):
            self.advance(now)
        self.assertIn("signs already", self.ctl("key", "cancel", "-c", "conf", "example.org", status=65))

    def test_mistakes(self):
        self.assertIn("no key of other.example", self.ctl("key", "rotate", "-c", "conf", "other.example", status=65))
        self.write("keytable.rotations", "{}\n")
        self.assertIn("keytable.rotations:1: not a line of ours", self.ctl("key", "list", "-c", "conf", status=65))
        for words in (["rotate"], ["list", "a.example"], ["turn"], ["advance", "--wait", "soon"], ["rotate", "a b"]):
            self.ctl("key", *words, "-c", "conf", status=64)

    def test_removing_the_domain_ends_its_rotation(self):
        self.rotate()
        self.ctl("domain", "remove", "-c", "conf", "--delete-keys", "example.org")
        self.assertEqual(self.advance(0), [])
        self.assertEqual(os.listdir(self.path("keys")), [])


class Servers(Rotation):
    def server(self, zone):
        """One that answers from that file."""
        ready = self.path(zone + ".ready")
        process = subprocess.Popen([sys.executable, os.path.join(TESTS, "lab", "dns.py"), "--zone", self.path(zone), "--port", "0", "--ready", ready],
                                   stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        test_daemon.wait_for(lambda: os.path.exists(ready) and self.read(zone + ".ready").strip())
        return process, "127.0.0.1@" + self.read(zone + ".ready").strip()

    def test_every_server_must_have_it(self):
        key = self.rotate("-s", "new")
        self.publish(key["owner"], key["record"])
        self.write("there", self.read("zone"))
        self.write("late", "example.org A 192.0.2.1\n")
        (_, first), (second, late) = self.server("there"), self.server("late")
        asked = ["--nameserver", first, "--nameserver", late]
        (note,) = self.advance(0, *asked, notes=True)
        self.assertRegex(note, f"waits for .*{late}: has no such record")
        self.assertEqual(self.advance(4000, *asked), ["pending"])
        self.write("late", self.read("zone"))
        second.send_signal(signal.SIGHUP)
        test_daemon.wait_for(lambda: "seconds more" in self.advance(5000, *asked, notes=True)[0])
        self.assertEqual(self.advance(8600, *asked), ["published"])
        second.terminate()
        second.wait()
        self.assertEqual(self.advance(8700, *asked, "--dns-timeout", "0.5"), ["pending"])
        self.assertIn(":old:", self.read("keytable"))


class Traffic(Rotation):
    """A daemon signs while tables are switched under it and it reloads."""

    def setUp(self):
        super().setUp()
        with open(self.path("conf")) as file:
            config = file.read()
        self.daemon = test_daemon.Daemon(self.directory, config)
        self.addCleanup(self.daemon.stop)
        self.daemon.start()
        self.messages, self.failures, self.done = [], [], threading.Event()

    def sign(self, number):
        fields = [("From", " a@example.org"), ("To", " b@example.net"), ("Subject", f" {number}"),
                  ("Date", " Fri, 21 Nov 2025 10:00:00 +0000"), ("Message-ID", f" <{number}@example.org>")]
        milter = test_daemon.Milter(self.daemon.address)
        milter.connect("localhost", "127.0.0.1")
        milter.helo("localhost")
        with milter:
            result = milter.message("a@example.org", ["b@example.net"], fields, BODY, queue_id=f"S{number}")
        text = "".join(f"{name}:{value}\n" for name, value in result.headers)
        return text.replace("\r\n", "\n").replace("\n", "\r\n").encode() + b"\r\n" + BODY

    def work(self, number):
        count = 0
        while not self.done.is_set():
            count += 1
            try:
                self.messages.append(self.sign(f"{number}.{count}"))
            except Exception as error:  # noqa: BLE001
                self.failures.append(repr(error))
            time.sleep(0.005)

    def selectors(self):
        return [re.search(rb"DKIM-Signature:[^:]*?\bs=([^;\s]+)", message).group(1).decode() for message in self.messages]

    def wait_for_more(self):
        count = len(self.messages)
        test_daemon.wait_for(lambda: len(self.messages) >= count + 20 or self.failures, 30)

    def test_every_message_verifies(self):
        threads = [threading.Thread(target=self.work, args=(n,)) for n in range(4)]
        self.addCleanup(self.done.set)
        for thread in threads:
            thread.start()
        self.wait_for_more()
        key = self.rotate("-s", "new")
        self.assertEqual(self.advance(0, "--reload"), ["pending"])
        self.assertIn('"reloaded":true', self.ctl("reload", "--json", "-c", "conf"))
        self.wait_for_more()
        self.assertEqual(set(self.selectors()), {"old"})
        self.publish(key["owner"], key["record"])
        self.assertEqual(self.advance(10, "--reload"), ["pending"])
        self.assertEqual(self.advance(3610, "--reload"), ["published"])
        self.ctl("reload", "-c", "conf")
        self.wait_for_more()
        self.assertEqual(set(self.selectors()), {"old"})
        self.assertEqual(self.advance(3620, "--reload"), ["signing"])
        n = len(self.messages) + len(threads)
        self.wait_for_more()
        self.assertEqual(set(self.selectors()[n:]), {"new"})
        # It might have begun to read before: sure in a while alone.
        self.assertEqual(self.advance(3630, "--reload"), ["signing"])
        time.sleep(5)
        self.assertEqual(self.advance(3640), ["signing"])
        self.assertEqual(self.advance(3640, "--reload"), ["retiring"])
        self.assertEqual(self.advance(3640 + 7 * DAY, "--reload"), ["gone"])
        self.wait_for_more()
        self.done.set()
        for thread in threads:
            thread.join()
        self.assertEqual(self.failures, [])
        # By another implementation, each against what is published when the old record is still due.
        records = dict(re.findall(r"^(\S+) TXT (.*)$", self.read("zone"), re.M))
        records = {name + ".": "".join(re.findall('"([^"]*)"', strings)).encode() for name, strings in records.items()}
        bad = [message for message in self.messages
               if not dkim.verify(message, dnsfunc=lambda name, timeout=5: records.get(name.decode()))]
        self.assertEqual(bad, [])
        print(len(self.messages), "messages", file=sys.stderr)

    def test_reload_tells(self):
        self.assertIn("new configuration is in force", self.ctl("reload", "-c", "conf"))
        self.assertEqual(self.read("pid"), f"{self.daemon.process.pid}\n")
        good = self.read("keytable")
        self.write("keytable", good + "broken broken.example:s:/nowhere/key\n")
        self.assertIn("/nowhere/key", self.ctl("reload", "-c", "conf", status=78))
        self.assertNotIn("not reloaded", self.daemon.log())
        self.write("keytable", good)
        self.daemon.stop()
        self.assertIn("is the daemon running?", self.ctl("reload", "-c", "conf", status=69))
        self.write("pid", f"{os.getpid()}\n")
        self.assertIn("names no running trimilter", self.ctl("reload", "-c", "conf", status=69))
        self.configure()
        self.assertIn("sets no PidFile", self.ctl("reload", "-c", "conf", status=78))


if __name__ == "__main__":
    main()
