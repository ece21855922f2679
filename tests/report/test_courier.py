"""
The courier's turns with a real store and an SMTP server that counts (lab/sink.py): what is built, who gets it, what is
tried again, and that a kill at any point loses nothing and doubles nothing but what SMTP must.

    test_courier.py COURIER_TOOL TRIMILTERCTL [unittest arguments]
"""
import collections
import email
import email.policy
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from lab import mail, sink, wait  # noqa: E402

TOOL = CTL = None
DAY = 1763683200  # 2025-11-21 00:00 UTC
NEXT = DAY + 86400 + 900
HOUR = 3600
HEADERS = "From: joe@%s\r\nTo: ann@example.org\r\nSubject: forged\r\n"
RECORD = "v=DMARC1; p=reject; rua=mailto:%s"
RUF = "v=DMARC1; p=reject; ruf=mailto:%s"


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="courier")
        self.addCleanup(folder.cleanup)
        self.top, self.zone_lines, self.options = folder.name, [], {}
        self.renew()

    def renew(self, name="state"):
        """An empty spool and store, and a server that has taken nothing."""
        self.state = os.path.join(self.top, name)
        os.mkdir(self.state)
        self.sink = sink.Sink()
        self.addCleanup(self.sink.close)
        self.configure()

    def configure(self, **options):
        self.options.update(options)
        lines = {"AuthservID": "mx.example", "ReportAddress": "reports@mx.example", "ReportSpool": self.state + "/spool",
                 "ReportStore": "sqlite:%s/reports.db" % self.state, "ReportServer": "127.0.0.1:%d" % self.sink.port,
                 "DNSZoneFile": self.top + "/zone", "ReportJitter": "0", "UserID": None, **self.options}
        with open(self.top + "/conf", "w") as file:
            file.write("".join("%s %s\n" % item for item in lines.items() if item[1] is not None))
        self.zone()

    def zone(self, *lines):
        self.zone_lines = list(lines) or self.zone_lines
        with open(self.top + "/zone", "w") as file:
            file.write("\n".join(["mx.example A 192.0.2.25"] + self.zone_lines) + "\n")

    def run_tool(self, *words, status=0, **environment):
        done = subprocess.run([TOOL, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=120, env={**os.environ, **{key: str(value) for key, value in environment.items()}})
        self.log = done.stderr
        if status is not None:
            self.assertEqual(done.returncode, status, done.stderr)
        self.status = done.returncode
        return done.stdout

    def record(self, domain, record, n=1, at=DAY + HOUR, source="192.0.2.1"):
        self.run_tool("record", self.top + "/conf", at, n, domain, record, source)

    def failed(self, domain, record, n=1, at=DAY + HOUR, rcpt="ann@example.org", headers=None):
        self.run_tool("fail", self.top + "/conf", at, n, domain, record, rcpt, headers or HEADERS % domain)

    def turns(self, at, count, step=60, **environment):
        """What each of the turns counted, without zeroes."""
        lines = self.run_tool("turn", self.top + "/conf", at, count, step, **environment).splitlines()
        return [{key: int(value) for key, value in re.findall(r"(\w+)=([1-9]\d*)", line)} for line in lines]

    def turn(self, at=NEXT, **environment):
        return self.turns(at, 1, **environment)[0]

    def report(self, message):
        """{source: count} of an aggregate report, and what stands around it."""
        parsed = email.message_from_bytes(message.data, policy=email.policy.default)
        attached = [part for part in parsed.walk() if part.get_content_type() == "application/gzip"]
        self.assertEqual(len(attached), 1)
        root = xml.fromstring(re.sub(rb' xmlns="[^"]*"', b"", gzip.decompress(attached[0].get_content())))
        rows = collections.Counter()
        for row in root.iter("record"):
            rows[row.findtext("row/source_ip")] += int(row.findtext("row/count"))
        return parsed, attached[0].get_filename(), root, dict(rows)

    def messages(self, to):
        return [message for message in self.sink.messages if to in message.recipients]


class Aggregate(Case):
    def test_a_day(self):
        self.record("example.com", RECORD % "rua@example.com", 3)
        self.record("example.com", RECORD % "rua@example.com", 4, at=DAY + 23 * HOUR, source="192.0.2.2")
        self.record("example.net", RECORD % "rua@example.net,mailto:other@example.net", 2)
        self.record("example.edu", "v=DMARC1; p=none", 5)
        self.assertEqual(self.turn(DAY + 12 * HOUR), {"records": 14})
        self.assertEqual(self.turn(DAY + 86400 + 60), {}, "other hosts may not have imported theirs yet")
        self.assertEqual(self.turn(), {"built": 2, "sent": 3})
        self.assertIn("report: example.com to rua@example.com: 7 messages, 2 rows, sent (250 2.0.0 taken as", self.log)
        (message,) = self.messages("rua@example.com")
        parsed, name, root, rows = self.report(message)
        self.assertEqual((message.sender, rows), ("", {"192.0.2.1": 3, "192.0.2.2": 4}))
        self.assertRegex(name, r"^mx\.example!example\.com!%d!%d!\w+\.xml\.gz$" % (DAY, DAY + 86399))
        self.assertRegex(parsed["subject"], r"^Report Domain: example\.com Submitter: mx\.example Report-ID: <\S+>$")
        self.assertEqual((parsed["from"], parsed["to"]), ("reports@mx.example", "rua@example.com"))
        text = parsed.get_body(("plain",)).get_content()
        self.assertIn("7 messages", text)
        self.assertEqual(len(self.messages("rua@example.net") + self.messages("other@example.net")), 2)
        self.assertEqual(len({email.message_from_bytes(m.data)["message-id"] for m in self.sink.messages}), 3)
        self.assertEqual(self.turn(NEXT + 86400), {})

    def test_late_records_get_a_report_of_their_own(self):
        self.record("example.com", RECORD % "rua@example.com", 3)
        self.assertEqual(self.turn(), {"records": 3, "built": 1, "sent": 1})
        self.record("example.com", RECORD % "rua@example.com", 2)
        self.assertEqual(self.turn(NEXT + HOUR), {"records": 2, "built": 1, "sent": 1})
        self.assertEqual([self.report(m)[3] for m in self.sink.messages], [{"192.0.2.1": 3}, {"192.0.2.1": 2}])
        self.assertEqual(len({self.report(m)[1] for m in self.sink.messages}), 2)

    def test_jitter(self):
        self.configure(ReportJitter=3600)
        for i in range(20):
            self.record("d%d.example" % i, RECORD % ("rua@d%d.example" % i))
        built = self.turn()
        self.assertEqual(built["built"], 20)
        sent = [built.get("sent", 0)] + [self.turn(NEXT + 600 * i).get("sent", 0) for i in range(1, 7)]
        self.assertEqual(sum(sent), 20)
        self.assertGreater(sum(n > 0 for n in sent), 3, sent)
        self.assertLess(max(sent), 15, sent)

    def test_several_pieces(self):
        self.configure(ReportMaximumSize=16384, ReportFormat="rfc7489")
        self.record("example.com", RECORD % "rua@example.com,mailto:small@example.com!1k", 5000, source="2001:db8::")
        done = self.turn()
        parts = [self.report(message) for message in self.sink.messages]
        self.assertGreater(len(parts), 2)
        self.assertEqual((done["built"], done["sent"]), (len(parts), len(parts)))
        self.assertLess(max(len(message.data) for message in self.sink.messages), 16384 * 1.5)
        rows = collections.Counter()
        for part in parts:
            rows.update(part[3])
        self.assertEqual((len(rows), set(rows.values())), (5000, {1}))
        self.assertEqual(len({part[1] for part in parts}), len(parts), "file names")
        self.assertEqual(self.messages("small@example.com"), [], "they are larger than it takes")

    def test_sizes_are_of_the_past(self):
        self.record("example.com", RECORD % "small@example.com!1", 1)
        self.assertEqual(self.turn()["sent"], 1)

    def test_copies_for_the_operator(self):
        self.configure(ReportBccAddress="copy@mx.example")
        self.record("example.com", RECORD % "rua@example.com", 3)
        self.record("example.edu", "v=DMARC1; p=none", 5)
        self.record("example.net", RECORD % "rua@third.example", 5)
        self.assertEqual(self.turn(), {"records": 13, "built": 1, "sent": 2})
        self.assertEqual({m.recipients[0] for m in self.sink.messages}, {"rua@example.com", "copy@mx.example"})

    def test_consent(self):
        record = RECORD % "rua@third.example"
        for domain in ("example.com", "example.net"):
            self.record(domain, record, 3)
        self.zone("example.com._report._dmarc.third.example TXT v=DMARC1")
        self.assertEqual(self.turn(), {"records": 6, "built": 1, "sent": 1})
        self.assertEqual(self.report(self.sink.messages[0])[2].findtext("policy_published/domain"), "example.com")

    def test_consent_that_cannot_be_looked_up(self):
        self.record("example.com", RECORD % "rua@third.example", 3)
        self.zone("example.com._report._dmarc.third.example RCODE SERVFAIL")
        self.assertEqual(self.turn(), {"records": 3})
        self.assertEqual(self.turn(NEXT + HOUR), {})
        self.zone("example.com._report._dmarc.third.example TXT v=DMARC1")
        self.assertEqual(self.turn(NEXT + 2 * HOUR), {"built": 1, "sent": 1})

    def test_consent_that_never_comes(self):
        self.record("example.com", RECORD % "rua@third.example,mailto:rua@example.com", 3)
        self.zone("example.com._report._dmarc.third.example RCODE SERVFAIL")
        self.assertEqual(self.turn(), {"records": 3})
        self.assertEqual(self.turn(NEXT + 6 * HOUR), {"built": 1, "sent": 1})
        self.assertEqual(self.sink.to("rua@example.com"), 1)

    def test_waits_between_attempts_at_the_dns(self):
        """A quarter of an hour, while other turns go on."""
        self.record("example.com", RECORD % "rua@third.example", 3)
        self.zone("example.com._report._dmarc.third.example RCODE SERVFAIL")
        listing = self.state + "/calls"

        def looked():
            with open(listing) as file:
                return sum(line.endswith("before store_batches\n") for line in file)
        self.assertEqual(self.turns(NEXT, 1, DIE_LIST=listing), [{"records": 3}])
        once = looked()
        os.unlink(listing)
        self.assertEqual(self.turns(NEXT, 15, DIE_LIST=listing), [{}] * 15)
        self.assertEqual(looked(), once)
        os.unlink(listing)
        self.turns(NEXT, 16, DIE_LIST=listing)
        self.assertEqual(looked(), 2 * once)

    def test_signed(self):
        key = self.top + "/key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        os.chmod(key, 0o600)
        self.configure(Domain="mx.example", Selector="sel", KeyFile=key)
        self.record("example.com", RECORD % "rua@example.com")
        self.turn()
        self.assertNotIn("unsigned", self.log)
        public = subprocess.run(["openssl", "rsa", "-in", key, "-pubout"], capture_output=True, text=True, check=True).stdout
        record = ("v=DKIM1; p=" + "".join(public.splitlines()[1:-1])).encode()
        self.assertEqual(mail.verify_python(self.sink.messages[0].data, lambda name: record), [("mx.example", "sel", "rsa-sha256", True)])

    def test_unsigned_is_said(self):
        self.record("example.com", RECORD % "rua@example.com")
        self.assertEqual(self.turn()["sent"], 1)
        self.assertIn("reports leave unsigned: no key is configured for reports@mx.example", self.log)

    def test_verp_and_bounce(self):
        self.configure(ReportVERP="yes")
        self.record("example.com", RECORD % "rua@example.com")
        self.turn()
        self.assertEqual(self.sink.messages[0].sender, "reports+rua=example.com@mx.example")


class Hosts(Case):
    """Several that share a store."""

    def lease(self, at):
        return self.run_tool("lease", self.top + "/conf", at).strip()

    def test_one_at_a_time(self):
        self.record("example.com", RECORD % "rua@example.com")
        self.assertEqual(self.lease(NEXT), "yes")
        self.assertEqual(self.turn(NEXT), {"records": 1}, "each imports what it has recorded")
        self.assertEqual(self.turn(NEXT + 700), {"built": 1, "sent": 1}, "the other one is dead")

    def test_the_next_one_at_once(self):
        self.record("example.com", RECORD % "rua@example.com")
        self.turn(NEXT)
        self.assertEqual(self.lease(NEXT), "yes")

    def test_others_wait_for_a_dead_one(self):
        self.record("example.com", RECORD % "rua@example.com")
        self.run_tool("turn", self.top + "/conf", NEXT, status=None, DIE_AT=10)
        self.assertEqual(self.status, -signal.SIGKILL)
        self.assertEqual(self.lease(NEXT), "no")
        self.assertEqual(self.lease(NEXT + 700), "yes")


class Delivery(Case):
    def one(self, to, **options):
        self.configure(**options)
        self.record("example.com", RECORD % to)

    def test_back_off_and_expiry(self):
        self.one("later@example.com", ReportExpireHours="24")
        self.assertEqual(self.turn(), {"records": 1, "built": 1, "deferred": 1})
        self.assertIn("deferred (450 4.2.0 later@example.com: greylisted)", self.log)
        attempts = [(5 * i + 5, *done) for i, done in enumerate(self.turns(NEXT + 300, 360, 300)) if done]
        self.assertEqual(attempts, [(15, "deferred"), (45, "deferred"), (105, "deferred"), (225, "deferred"), (465, "deferred"),
                                    (825, "deferred"), (1185, "deferred"), (1545, "expired")])
        self.assertEqual(self.sink.messages, [])

    def test_refused(self):
        self.one("refused@example.com")
        self.assertEqual(self.turn(), {"records": 1, "built": 1, "refused": 1})
        self.assertIn("refused (550 5.1.1 refused@example.com: 5.1.1 no such user)", self.log)
        self.assertEqual(self.turn(NEXT + 10 * HOUR), {})

    def test_server_away(self):
        for i in range(5):
            self.record("d%d.example" % i, RECORD % ("rua@d%d.example" % i))
        self.sink.close()
        self.assertEqual(self.turn(), {"records": 5, "built": 5, "deferred": 3})
        self.assertEqual(self.log.count("Connection refused"), 1, self.log)
        self.sink = sink.Sink(self.sink.port)
        self.addCleanup(self.sink.close)
        self.assertEqual(self.turn(NEXT + 60), {"sent": 2})
        self.assertEqual(self.turn(NEXT + 16 * 60), {"sent": 3})
        self.assertEqual([self.sink.to("rua@d%d.example" % i) for i in range(5)], [1] * 5)

    def test_one_recipient_does_not_hold_up_others(self):
        self.record("example.com", RECORD % "drop@example.com,mailto:kept-drop@example.com,mailto:later@example.com,mailto:ok@example.com")
        self.assertEqual(self.turn(), {"records": 1, "built": 1, "deferred": 3, "sent": 1})

    def test_not_noted_is_not_sent_again(self):
        self.one("rua@example.com")
        self.assertEqual(self.turns(NEXT, 3, 700, STORE_DOWN="store_delivery_done"), [{"records": 1, "built": 1, "sent": 1}, {}, {}])
        self.assertEqual(self.sink.to("rua@example.com"), 1)
        self.assertIn("report store:", self.log)

    def test_command(self):
        with open(self.top + "/command", "w") as file:
            file.write("#!/bin/sh\nprintf '%%s ' \"$@\" > %s/arguments; cat > %s/input\n" % (self.top, self.top))
        os.chmod(self.top + "/command", 0o755)
        self.one("rua@example.com", ReportCommand=self.top + "/command -i")
        self.assertEqual(self.turn()["sent"], 1)
        with open(self.top + "/arguments") as file:
            self.assertEqual(file.read(), "-i -- rua@example.com ")
        with open(self.top + "/input", "rb") as file:
            parsed = self.report(sink.Message("", [], file.read()))
        self.assertEqual(parsed[3], {"192.0.2.1": 1})


class Failures(Case):
    def setUp(self):
        super().setUp()
        self.configure(FailureReports="yes", AggregateReports="no", FailureReportsTo="operator@mx.example")

    def test_to_the_domain_and_the_operator(self):
        self.zone("example.com TXT v=spf1 -all")
        self.failed("example.com", RUF % "ruf@example.com")
        self.assertEqual(self.turn(DAY + HOUR), {"records": 1, "failures": 2, "sent": 2})
        self.assertEqual({m.recipients[0] for m in self.sink.messages}, {"ruf@example.com", "operator@mx.example"})
        text = self.messages("ruf@example.com")[0].data.decode()
        for wanted in ("Auth-Failure: dmarc", "Feedback-Type: auth-failure", "SPF-DNS: txt : example.com : \"v=spf1 -all\"", "Subject: forged"):
            self.assertIn(wanted, text)
        self.assertIn("report: example.com to ruf@example.com: failure report, sent", self.log)
        self.assertEqual(self.turn(DAY + 2 * HOUR), {})

    def test_operator_where_nobody_else(self):
        self.failed("example.com", "v=DMARC1; p=reject")
        self.failed("example.net", RUF % "ruf@third.example")
        self.failed("example.edu", "v=DMARC1; p=reject; psd=y; ruf=mailto:ruf@example.edu")
        self.assertEqual(self.turn(DAY + HOUR)["sent"], 3)
        self.assertEqual([m.recipients for m in self.sink.messages], [["operator@mx.example"]] * 3)

    def test_quota_and_incidents(self):
        self.configure(FailureReportsPerHour=2)
        self.failed("example.com", RUF % "ruf@example.com", 7)
        self.assertEqual(self.turn(DAY + HOUR)["sent"], 4)
        self.failed("example.com", RUF % "ruf@example.com", 1, at=DAY + 3 * HOUR)
        self.assertEqual(self.turn(DAY + 3 * HOUR)["sent"], 2)
        self.assertEqual(len(self.messages("ruf@example.com")), 3)
        self.assertIn(b"Incidents: 6", self.messages("ruf@example.com")[2].data)

    def test_a_flood_does_not_hold_up_other_reports(self):
        self.configure(AggregateReports="yes", FailureReportsPerHour=100)
        self.record("example.net", RECORD % "rua@example.net")
        self.failed("example.com", "v=DMARC1; p=reject", 10)
        first = self.turn(STORE_SLOW="store_failure_done")
        self.assertEqual((first["failures"], len(self.messages("rua@example.net"))), (3, 1))
        self.assertEqual(self.turn(NEXT + 60)["failures"], 7)

    def test_reports_about_us_make_none(self):
        for rcpt in ("reports@mx.example", "Operator@MX.example"):
            self.failed("example.com", RUF % "ruf@example.com", rcpt=rcpt)
        self.failed("example.com", RUF % "ruf@example.com", headers="Content-Type: multipart/report\r\n" + HEADERS % "example.com")
        self.assertEqual(self.turn(DAY + HOUR), {"records": 3})

    def test_sent_by(self):
        self.configure(FailureReportsSentBy="failures@mx.example")
        self.failed("example.com", RUF % "ruf@example.com")
        self.turn(DAY + HOUR)
        self.assertIn(b"From: <failures@mx.example>", self.sink.messages[0].data)

    def test_signers_that_ask(self):
        self.configure(FailureReports="no", SendReports="yes")
        self.zone("_report._domainkey.example.com TXT ra=dkim; rr=all", "example.net TXT x")
        self.failed("example.com", "v=DMARC1; p=reject")
        self.failed("example.net", "v=DMARC1; p=reject")
        self.assertEqual(self.turn(DAY + HOUR), {"records": 2, "failures": 1, "sent": 1})
        self.assertEqual(self.sink.messages[0].recipients, ["dkim@example.com"])
        self.assertIn(b"Auth-Failure: bodyhash", self.sink.messages[0].data)

    def test_consent_that_cannot_be_looked_up(self):
        self.failed("example.com", RUF % "ruf@third.example")
        self.zone("example.com._report._dmarc.third.example RCODE SERVFAIL")
        self.assertEqual(self.turn(DAY + HOUR), {"records": 1})
        self.zone("example.com._report._dmarc.third.example TXT v=DMARC1")
        self.assertEqual(self.turn(DAY + HOUR + 60), {}, "claimed")
        self.assertEqual(self.turn(DAY + HOUR + 700)["sent"], 2)


class Killed(Case):
    def expect_once(self, wanted, may_double):
        """Every wanted recipient has one message, but for one where the kill fell between mail and store."""
        counts = collections.Counter(m.recipients[0] for m in self.sink.messages)
        ids = {email.message_from_bytes(m.data)["message-id"] for m in self.sink.messages}
        self.assertEqual(set(counts), set(wanted))
        self.assertEqual(len(ids), len(wanted), "a second attempt has the same Message-ID")
        self.assertLessEqual(sum(counts.values()) - len(wanted), int(may_double), counts)

    def test_at_every_point(self):
        self.configure(FailureReports="yes", FailureReportsTo="operator@mx.example")
        points, n, doubled = [], 0, 0
        for i in range(2):
            self.record("d%d.example" % i, RECORD % ("rua@d%d.example" % i), 3)
        self.failed("d2.example", "v=DMARC1; p=reject; rua=mailto:rua@d2.example; ruf=mailto:ruf@d2.example")
        recorded = self.state + "/spool"
        while True:
            self.renew("state-%d" % n)
            shutil.copytree(recorded, self.state + "/spool")
            listing = self.state + "/points"
            # Killed, then again after the claims have run out.
            self.run_tool("turn", self.top + "/conf", NEXT, status=None, DIE_AT=n, DIE_LIST=listing)
            with open(listing) as file:
                points = [line.split() for line in file]
            killed = self.status == -signal.SIGKILL
            self.assertTrue(killed or self.status == 0, self.log)
            self.turns(NEXT + 700, 2, 700)
            with self.subTest(point=points[-1]):
                at_risk = killed and points[-1][1:] in (["behind", "mail_submit"], ["before", "store_delivery_done"])
                self.expect_once(["rua@d0.example", "rua@d1.example", "rua@d2.example", "ruf@d2.example", "operator@mx.example"], at_risk)
                doubled += len(self.sink.messages) - 5
                for i in range(3):
                    rows = self.report(self.messages("rua@d%d.example" % i)[0])[3]
                    self.assertEqual(rows, {"192.0.2.1": 1 if i == 2 else 3})
                self.assertEqual(os.listdir(self.state + "/spool"), [])
            if not killed:
                break
            n += 1
        self.assertGreater(n, 40)
        self.assertGreater(doubled, 0, "the window that SMTP leaves was not hit: the points are not where they should be")


class Bounced(Case):
    def bounce(self, *words, data="", status=0):
        done = subprocess.run([CTL, "report", "bounce", "-c", self.top + "/conf", *words], input=data, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_gets_nothing_for_a_while(self):
        said = self.bounce("--sender", "reports+rua=example.com@mx.example", "--now", str(DAY))
        self.assertIn("rua@example.com", said)
        self.record("example.com", RECORD % "rua@example.com,mailto:other@example.com", at=DAY - HOUR)
        self.assertEqual(self.turn(DAY + 900), {"records": 1, "built": 1, "sent": 1, "deferred": 1})
        self.assertEqual(self.turn(DAY + 23 * HOUR), {})
        self.assertEqual(self.turn(DAY + 24 * HOUR + 60), {"sent": 1})

    def test_json(self):
        said = json.loads(self.bounce("--json", "--sender", "reports+rua=example.com@mx.example", "--now", str(DAY)))
        self.assertEqual(said, {"address": "rua@example.com", "suppressed_until": DAY + 86400, "note": None})

    def test_not_a_bounce(self):
        said = self.bounce(data="From: a@example.com\r\nSubject: Hello\r\n\r\nHello.\r\n", status=65)
        self.assertIn("not", said)
        said = self.bounce(data="To: reports+rua=example.com@mx.example\r\nAuto-Submitted: auto-replied\r\n\r\nAway.\r\n")
        self.assertIn("nothing", said)


if __name__ == "__main__":
    TOOL, CTL = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
