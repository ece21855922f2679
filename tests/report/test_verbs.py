"""
trimilterctl report list, preview, send, retry, expire and stats, over a real store and an SMTP server that counts.

    test_verbs.py COURIER_TOOL TRIMILTERCTL [unittest arguments]
"""
import contextlib
import json
import os
import pwd
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

import test_courier
from lab import postgres
from test_courier import DAY, HOUR, NEXT, RECORD, Case

XML_HEAD = '<?xml version="1.0"'


class Verbs(Case):
    def ctl(self, *words, status=0, user=None):
        """(standard output, standard error) of a verb."""
        done = subprocess.run([test_courier.CTL, "report", words[0], "-c", self.top + "/conf", *map(str, words[1:])],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                              user=user)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def json(self, *words, status=0):
        return json.loads(self.ctl(words[0], "--json", *words[1:], status=status)[0])

    def states(self, *words):
        return {row["address"]: row["state"] for row in self.json("list", *words)["deliveries"]}

    def content(self):
        with sqlite3.connect(self.state + "/reports.db") as database:
            return list(database.iterdump())


    def store(self, sql, *values, path=None):
        with contextlib.closing(sqlite3.connect(path or self.state + "/reports.db")) as database, database:
            return database.execute(sql, values).fetchall()


class Preview(Verbs):
    def test_shows_what_is_sent(self):
        self.record("example.com", RECORD % "rua@example.com,mailto:x@third.example,mailto:y@fourth.example", 3)
        self.record("example.net", RECORD % "rua@example.net", 5)
        self.zone("example.com._report._dmarc.third.example TXT v=DMARC1")
        self.turn(DAY + 2 * HOUR)
        before = self.content()
        text, errors = self.ctl("preview", "example.com")
        for line in ("Report about example.com", "2025-11-21 00:00:00 to 2025-11-21 23:59:59 UTC", "3 messages in 1 rows",
                     "to           rua@example.com", "to           x@third.example",
                     "not to       y@fourth.example: another organization, which does not consent", XML_HEAD):
            self.assertIn(line, text)
        self.assertEqual(errors, "")
        (shown,) = self.json("preview", "EXAMPLE.com")["reports"]
        self.assertEqual((self.content(), self.sink.messages), (before, []))
        self.turn()
        parsed, name, root, rows = self.report(self.messages("rua@example.com")[0])
        self.assertEqual((shown["file_name"], shown["subject"], shown["messages"]), (name, parsed["subject"], 3))
        self.assertEqual({one["address"] for one in shown["destinations"] if one["refused"] is None},
                         {to for message in self.sink.messages for to in message.recipients} - {"rua@example.net"})
        attached = [part for part in parsed.walk() if part.get_content_type() == "application/gzip"][0].get_content()
        self.assertEqual(shown["xml"].encode(), test_courier.gzip.decompress(attached))
        self.assertEqual(self.json("preview", "example.com")["reports"], [])

    def test_nothing(self):
        self.record("example.com", "v=DMARC1; p=none", 3)
        self.turn(DAY + 2 * HOUR)
        text, _ = self.ctl("preview", "example.com")
        self.assertIn("nobody", text)
        self.assertNotIn(XML_HEAD, text)
        self.record("example.net", RECORD % "rua@example.net")
        text, errors = self.ctl("preview", "example.net")
        self.assertIn("nothing to report about example.net", text)
        self.assertIn("not counted yet", errors)
        self.assertIn("DOMAIN is needed", self.ctl("preview", status=64)[1])
        self.assertIn("not a domain", self.ctl("preview", "a..b", status=64)[1])


class Send(Verbs):
    def test_without_the_daemon(self):
        self.configure(ReportJitter=3600)
        self.record("example.com", RECORD % "rua@example.com", 3)
        self.record("example.net", RECORD % "rua@example.net", 5)
        self.assertEqual(self.json("send", "--now", DAY + 2 * HOUR)["records"], 8)
        self.assertEqual(self.sink.messages, [])
        done = self.json("send", "--now", NEXT, "example.NET")
        self.assertEqual((done["built"], done["sent"], done["pending"]), (1, 1, 0))
        text, errors = self.ctl("send", "--verbose", "--now", NEXT)
        self.assertIn("sent       1,", text)
        self.assertIn("report: example.com to rua@example.com: 3 messages, 1 row, sent (250", errors)
        self.assertEqual([m.recipients for m in self.sink.messages], [["rua@example.net"], ["rua@example.com"]])
        self.assertEqual(self.json("send", "--now", NEXT)["sent"], 0)

    def test_another_is_at_it(self):
        self.record("example.com", RECORD % "rua@example.com")
        self.turn(DAY + 2 * HOUR)
        until = int(time.time()) + 3600
        self.store("INSERT INTO lease (name, holder, expires) VALUES ('courier', 'mx2/77', ?)", until)
        # Whatever time it is to act for: the other is at it now.
        for now in (NEXT, until + 86400):
            text, errors = self.ctl("send", "--now", now, status=75)
            self.assertIn("mx2/77 (host/process) builds and sends now", errors)
            self.assertIn(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(until)), errors)
        self.assertEqual(self.sink.messages, [])
        self.assertTrue(self.json("send", "--now", NEXT, status=75)["elsewhere"])
        self.assertEqual(self.json("stats", "--now", NEXT)["courier"], "mx2/77")
        self.store("UPDATE lease SET expires = ?", int(time.time()))
        self.assertEqual(self.json("send", "--now", NEXT)["sent"], 1)

    def test_killed_while_it_acts_for_another_time(self):
        """Other hosts wait for it as for any: by the clock."""
        for now in (NEXT, int(time.time()) + 10 * 86400):
            with self.subTest(now=now):
                self.sink.messages.clear()
                self.record("example.com", RECORD % "rua@example.com", at=now - 86400)
                self.sink.hook = lambda message: time.sleep(60)
                process = subprocess.Popen([test_courier.CTL, "report", "send", "-c", self.top + "/conf", "--now", str(now)],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                test_courier.wait.until("a report", lambda: self.sink.messages, 30)
                process.kill()
                process.wait()
                self.sink.hook = None
                (lease,) = self.store("SELECT expires FROM lease")
                (claim,) = self.store("SELECT claimed FROM delivery WHERE state = 0")
                for until, (least, most) in ((lease[0], (300, 600)), (claim[0], (1, 600))):
                    self.assertTrue(least <= until - time.time() <= most, until - time.time())
                self.store("DELETE FROM lease")
                self.store("DELETE FROM delivery")

    def test_interrupted(self):
        """The lease is given back, and the next one goes on."""
        for i in range(4):
            self.record("d%d.example" % i, RECORD % ("ok@d%d.example" % i))
        self.sink.hook = lambda message: time.sleep(1)
        process = subprocess.Popen([test_courier.CTL, "report", "send", "-c", self.top + "/conf", "--now", str(NEXT)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        test_courier.wait.until("a report", lambda: self.sink.messages, 30)
        process.terminate()
        text, errors = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 75, text + errors)
        self.sink.hook = None
        first = len(self.sink.messages)
        self.assertLess(first, 4)
        self.assertEqual(self.json("send", "--now", NEXT)["sent"], 4 - first)
        self.assertEqual(len({tuple(m.recipients) for m in self.sink.messages}), 4)


class ListAndRetry(Verbs):
    def test_states(self):
        for domain in ("ok", "later", "refused"):
            self.record(domain + ".example", RECORD % ("%s@%s.example,mailto:%s@third.example" % (domain, domain, domain)))
        self.record("silent.example", "v=DMARC1; p=none")
        self.ctl("send", "--now", NEXT)
        third = {"%s@third.example" % word: "refused" for word in ("ok", "later", "refused")}
        self.assertEqual(self.states(), {"ok@ok.example": "sent", "later@later.example": "pending",
                                         "refused@refused.example": "refused", **third})
        self.assertEqual(self.states("--state", "pending"), {"later@later.example": "pending"})
        self.assertEqual(self.states("OK.example"), {"ok@ok.example": "sent", "ok@third.example": "refused"})
        self.assertEqual(len(self.states("--limit", "2")), 2)
        self.assertTrue(self.json("list", "--limit", "5")["more"])
        self.assertFalse(self.json("list", "--limit", "6")["more"])
        text, _ = self.ctl("list")
        self.assertRegex(text, r"2025-11-21 00:00:00  later\.example: 1 message\n"
                               r"    pending  later@later\.example, after 1 attempt; again 2025-11-22 00:30:00 \(.*450")
        self.assertIn("refused  ok@third.example, 2025-11-22 00:15:00 (another organization, which does not consent)", text)
        self.assertNotIn("silent.example", text)
        self.assertIn("nobody asks for a report", self.ctl("list", "silent.example")[0])
        self.assertIn("none of pending", self.ctl("list", "--state", "lost", status=64)[1])
        self.assertIn("not a number", self.ctl("list", "--limit", "0", status=64)[1])

        # Without consent nobody gets anything by this either.
        self.assertEqual(self.json("retry", "--now", NEXT, "refused.example"), {"retried": 1})
        self.assertEqual(self.states("refused.example")["refused@refused.example"], "pending")
        self.assertEqual(self.json("retry", "--now", NEXT), {"retried": 2})
        tried = len([line for line in self.sink.commands if line.startswith("RCPT")])
        self.assertEqual(self.json("send", "--now", NEXT)["deferred"], 1)
        self.assertEqual(len([line for line in self.sink.commands if line.startswith("RCPT")]) - tried, 2)
        self.assertFalse([line for line in self.sink.commands if "third.example" in line])

    def test_expire(self):
        self.record("ok.example", RECORD % "ok@ok.example")
        self.record("later.example", RECORD % "later@later.example")
        self.ctl("send", "--now", NEXT)
        self.assertEqual(self.json("expire", "--now", NEXT + 6 * 86400), {"expired": 0})
        self.assertEqual(self.json("expire", "--now", NEXT + 6 * 86400, "--days", "5"), {"expired": 1})
        self.assertEqual(self.states(), {"later@later.example": "pending"})
        self.assertIn("no DOMAIN", self.ctl("expire", "ok.example", status=64)[1])

    def test_stats(self):
        self.record("example.com", RECORD % "rua@example.com", 3)
        self.record("later.example", RECORD % "later@later.example", 4, at=DAY - HOUR)
        self.ctl("send", "--now", DAY + HOUR)
        self.record("example.com", RECORD % "rua@example.com", 2)
        stats = self.json("stats", "--now", DAY + HOUR)
        self.assertEqual((stats["messages"], stats["open"], stats["oldest_open"], stats["reports"], stats["pending"]),
                         (7, 1, DAY, 1, 1))
        self.assertEqual(stats["spool"]["files"], 1)
        self.assertGreater(stats["spool"]["bytes"], 100)
        self.assertLess(abs(stats["spool"]["oldest"] - time.time()), 60)
        text, _ = self.ctl("stats")
        self.assertRegex(text, r"reports to be built +1  the oldest period begins 2025-11-21 00:00:00\n")
        self.assertRegex(text, r"files not yet imported +1  the oldest was begun at 20")


class Rights(Verbs):
    def test_no_store_yet(self):
        for verb in ("list", "preview", "retry", "expire", "stats"):
            errors = self.ctl(verb, *(["example.com"] if verb == "preview" else []), status=66)[1]
            self.assertIn("there is no store yet at %s/reports.db" % self.state, errors)
        self.assertFalse(os.path.exists(self.state + "/reports.db"))

    def test_no_such_server(self):
        self.configure(ReportStore="postgresql://nobody:secret@127.0.0.1:1/none")
        errors = self.ctl("stats", status=75)[1]
        self.assertIn("127.0.0.1", errors)
        self.assertNotIn("secret", errors)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_others_users(self):
        self.record("example.com", RECORD % "rua@example.com")
        self.ctl("send", "--now", NEXT)
        for path in (self.top, self.state):
            os.chmod(path, 0o755)
        errors = self.ctl("stats", status=77, user="nobody")[1]
        self.assertIn("belongs to user root, and user nobody may not write it", errors)
        self.assertIn("chown", errors)
        self.configure(UserID="nobody")
        self.assertIn("chown", self.ctl("stats", status=77)[1])
        os.chmod(self.state, 0o700)
        self.assertIn("nobody may not look into its directory", self.ctl("stats", status=77)[1])

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_root_becomes_the_daemons_user(self):
        uid = pwd.getpwnam("nobody").pw_uid
        os.chmod(self.top, 0o755)
        os.chown(self.state, uid, -1)
        self.configure(UserID="nobody")
        self.ctl("send", "--now", NEXT)
        self.assertEqual({os.stat(os.path.join(self.state, name)).st_uid for name in os.listdir(self.state)}, {uid})


class Faults(Verbs):
    """Nothing is lost, and nothing built or sent twice but what was handed over in the instant of the fault."""
    DOMAINS = 45
    # As if ten minutes had gone by, after which nobody waits any more for who has not finished.
    LATER = ("UPDATE lease SET expires = 1", "UPDATE delivery SET claimed = 0")

    def fill(self):
        for i in range(self.DOMAINS):
            self.record("d%d.example" % i, RECORD % ("ok@d%d.example" % i), 20 + i, source="2001:db8::")
        self.assertEqual(self.json("send", "--now", DAY + 2 * HOUR)["records"], sum(20 + i for i in range(self.DOMAINS)))

    def check_all(self, doubled=0):
        sent = {}
        for message in self.sink.messages:
            (to,) = message.recipients
            parsed, _, _, rows = self.report(message)
            sent.setdefault(to, []).append((parsed["message-id"], sum(rows.values()), len(rows)))
        self.assertEqual({to: set((n, rows) for _, n, rows in them) for to, them in sent.items()},
                         {"ok@d%d.example" % i: {(20 + i, 20 + i)} for i in range(self.DOMAINS)})
        self.assertEqual([to for to, them in sent.items() if len({ident for ident, _, _ in them}) > 1], [])
        self.assertLessEqual(len(self.sink.messages) - self.DOMAINS, doubled)

    @unittest.skipIf(os.geteuid() != 0, "only root may mount a small disk")
    def test_full_disk(self):
        disk = os.path.join(self.top, "disk")
        os.mkdir(disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", disk])
        self.configure(ReportStore="sqlite:%s/reports.db" % disk)
        self.fill()
        # Full before anything is built, in the middle of building, in the middle of sending.
        used, failed = os.stat(disk + "/reports.db").st_blocks // 2, 0
        for turn, room in enumerate((60, 140, 220, 300, 380, 460)):
            subprocess.run(["mount", "-o", "remount,size=%dk" % (used + room), disk], check=True)
            # The lease could not be given back either, and ends by itself.
            with contextlib.suppress(sqlite3.OperationalError):
                for sql in self.LATER:
                    self.store(sql, path=disk + "/reports.db")
            done = subprocess.run([test_courier.CTL, "report", "send", "-c", self.top + "/conf", "--now", str(NEXT + turn * 700)],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
            self.assertIn(done.returncode, (0, 75), done.stderr)
            failed += done.returncode == 75 and "full" in done.stderr
        self.assertGreater(failed, 0)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        for sql in self.LATER:
            self.store(sql, path=disk + "/reports.db")
        self.ctl("send", "--now", NEXT + 10 * 700)
        self.check_all(doubled=failed)

    def test_database_stopped_and_started(self):
        with postgres.Postgres() as server:
            self.configure(ReportStore=server.url())
            self.fill()
            # In the middle of sending; SIGQUIT is a crash.
            self.sink.hook = lambda message: len(self.sink.messages) == 20 and server.stop(signal.SIGQUIT) and None
            self.assertIn("127.0.0.1", self.ctl("send", "--now", NEXT, status=75)[1])
            self.assertEqual(len(self.sink.messages), 20)
            self.ctl("stats", status=75)
            server.start()
            # The one of which nobody knows whether it has gone is claimed for ten minutes.
            server.sql(";".join(self.LATER))
            self.ctl("send", "--now", NEXT)
            self.check_all(doubled=1)
            self.assertEqual(self.json("stats")["sent"], self.DOMAINS)


if __name__ == "__main__":
    test_courier.TOOL, test_courier.CTL = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
