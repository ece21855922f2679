#!/usr/bin/python3
"""
Failure reports, read by Python's email package and by the grammars of RFC 5965, RFC 6591 and RFC 9991.

    test_failure.py FAILURE_TOOL [unittest arguments]
"""
import email
import email.policy
import re
import subprocess
import sys
import unittest

TOOL = None

MESSAGE = {
    "policy_domain": "example.com", "policy_record": "v=DMARC1; p=reject; ruf=mailto:ruf@example.com", "source_ip": "192.0.2.1",
    "header_from": "news.example.com", "spf_domain": "bounce.example.com", "spf_result": "fail", "queue_id": "4Abc",
    "mail_from": "bounce+alice=example.net@bounce.example.com", "rcpt": "bob@receiver.example", "delivery_result": "reject",
    "authentication_results": "mx.receiver.example; spf=fail smtp.mailfrom=bounce+alice=example.net@bounce.example.com;"
                              " dmarc=fail header.from=news.example.com",
    "spf_record": "v=spf1 ip4:198.51.100.1 -all", "dkim_domain": "example.com", "dkim_selector": "sel",
    "dkim_identity": "@news.example.com", "dkim_result": "fail", "dkim_reason": "signature did not verify", "signature_aligned": "yes",
    "headers": "Received: from x (y [192.0.2.1])\r\n\tby mx.receiver.example for <bob@receiver.example>\r\n"
               "From: Alice <alice@news.example.com>\r\nTo: bob@receiver.example\r\nSubject: Your\r\n invoice\r\n"
               "Message-ID: <1.2@news.example.com>\r\n",
}

# RFC 5321 section 4.1.2 (without quoted strings, which are not written), RFC 5322 section 3.3 and 3.2.3
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
DOT_ATOM = r"%s(?:\.%s)*" % (ATOM, ATOM)
DOMAIN = r"[A-Za-z0-9_?-]+(?:\.[A-Za-z0-9_?-]+)*"
PATH = r"<(?:[!#-'*+\--:=?A-Z\[\]^-~@]*)>"
DATE = (r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3]\d (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4}"
        r" [0-2]\d:[0-5]\d:[0-6]\d \+0000")
TOKEN = r"[!#-'*+\--:=?@A-Z\[\]^-~]+"
GRAMMAR = {
    "Feedback-Type": r"auth-failure",
    "User-Agent": r"Trimilter/[0-9.]+",
    "Version": r"1",
    "Auth-Failure": r"dmarc|bodyhash|revoked|signature|spf",
    "Delivery-Result": r"delivered|spam|policy|reject|other",
    "Identity-Alignment": r"none|dkim|spf|dkim, spf",
    "Authentication-Results": r"[ -~]+",
    "DKIM-Domain": DOMAIN,
    "DKIM-Identity": r"(?:%s)?@%s" % (DOT_ATOM, DOMAIN),
    "DKIM-Selector": DOMAIN,
    "SPF-DNS": r'txt : %s : "(?:[ !#-\[\]-~]|\\["\\])*"' % DOMAIN,
    "Original-Envelope-Id": TOKEN,
    "Original-Mail-From": PATH,
    "Original-Rcpt-To": PATH,
    "Arrival-Date": DATE,
    "Reporting-MTA": r"dns; %s" % DOMAIN,
    "Source-IP": r"[0-9.]+|[0-9a-f:.]+",
    "Incidents": r"[1-9][0-9]{0,9}",
    "Reported-Domain": DOMAIN,
}
ALWAYS = ["Feedback-Type", "User-Agent", "Version", "Auth-Failure", "Delivery-Result", "Authentication-Results",
          "Original-Mail-From", "Arrival-Date", "Reporting-MTA", "Source-IP", "Reported-Domain"]


def run(fields, status=0):
    data = b"".join(part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
                    for name, value in fields.items() for part in (name, b"\0", value, b"\0"))
    done = subprocess.run([TOOL], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    if done.returncode != status:
        raise AssertionError("exit %d: %s" % (done.returncode, done.stderr.decode()))
    sender, _, message = done.stdout.partition(b"\n")
    return sender.decode(), message


def message_of(**fields):
    return run({**MESSAGE, **fields})[1]


class Arf(unittest.TestCase):
    def parts(self, raw, grammar=None):
        """The message, and what its three parts hold; each must be what RFC 6522 and RFC 5965 say."""
        self.assertNotRegex(raw, rb"[^\r]\n|\r[^\n]", "a bare CR or LF")
        self.assertLessEqual(max(map(len, raw.split(b"\r\n"))), 998)
        message = email.message_from_bytes(raw, policy=email.policy.SMTP)
        self.assertEqual(message.defects, [])
        self.assertEqual(message.get_content_type(), "multipart/report")
        self.assertEqual(message.get_param("report-type"), "feedback-report")
        self.assertEqual(message["Auto-Submitted"], "auto-generated")
        self.assertEqual(message["From"], "reports@receiver.example")
        for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"):
            self.assertEqual(len(message.get_all(name)), 1, name)
        self.assertEqual(sorted(set(message.keys())), sorted(message.keys()))
        self.assertEqual([part.get_content_type() for part in message.iter_parts()],
                         ["text/plain", "message/feedback-report", "text/rfc822-headers"])
        text, feedback, headers = message.iter_parts()
        self.assertEqual(feedback.defects, [])
        return message, text.get_content(), self.fields(raw, grammar or GRAMMAR), headers.get_payload(decode=True)

    def fields(self, raw, grammar):
        """message/feedback-report by its grammar, from the bytes as they are, not as a forgiving parser takes them."""
        boundary = re.search(rb'boundary="([^"]+)"', raw)[1]
        part = raw.split(b"--" + boundary)[2]
        head, body = part.split(b"\r\n\r\n", 1)
        self.assertIn(b"Content-Transfer-Encoding: 7bit", head)
        body = body.decode("ascii").rstrip("\r\n")
        found = {}
        for field in re.split(r"\r\n(?![ \t])", body):
            self.assertRegex(field, r"^[A-Za-z-]+: ")
            name, value = field.split(":", 1)
            value = re.sub(r"\r\n(?=[ \t])", "", value).strip()
            self.assertIn(name, grammar)
            self.assertNotIn(name, found, "twice")
            self.assertRegex(value, r"^(?:%s)\Z" % grammar[name], name)
            found[name] = value
        for name in ALWAYS:
            self.assertIn(name, found)
        return found

    def test_dmarc(self):
        message, text, fields, headers = self.parts(message_of())
        self.assertEqual(fields, {
            "Feedback-Type": "auth-failure", "User-Agent": fields["User-Agent"], "Version": "1", "Auth-Failure": "dmarc",
            "Delivery-Result": "reject", "Identity-Alignment": "dkim, spf",
            "Authentication-Results": MESSAGE["authentication_results"],
            "DKIM-Domain": "example.com", "DKIM-Identity": "@news.example.com", "DKIM-Selector": "sel",
            "SPF-DNS": 'txt : bounce.example.com : "v=spf1 ip4:198.51.100.1 -all"', "Original-Envelope-Id": "4Abc",
            "Original-Mail-From": "<bounce+alice=example.net@bounce.example.com>", "Original-Rcpt-To": "<bob@receiver.example>",
            "Arrival-Date": "Tue, 14 Nov 2023 22:13:20 +0000", "Reporting-MTA": "dns; mx.receiver.example",
            "Source-IP": "192.0.2.1", "Reported-Domain": "news.example.com"})
        self.assertEqual(message["Subject"], "FW: Your invoice")
        self.assertEqual(message["To"], "ruf@example.com")
        self.assertEqual(headers, MESSAGE["headers"].encode())
        for words in ("IP 192.0.2.1", "news.example.com", "SPF:  fail for bounce.example.com", "DKIM: fail for example.com",
                      "Delivery: reject", "its body is not included"):
            self.assertIn(words, text)
        self.assertNotIn("further", text)

    def test_alignment(self):
        for dkim, spf, wanted in (("", "", "dkim, spf"), ("yes", "", "spf"), ("", "yes", "dkim"), ("yes", "yes", "none")):
            fields = self.parts(message_of(dkim_aligned=dkim, spf_aligned=spf))[2]
            self.assertEqual(fields["Identity-Alignment"], wanted)

    def test_kinds(self):
        """Which report fo= asks for."""
        fo = MESSAGE["policy_record"] + "; fo="
        passing = {"dkim_aligned": "yes", "spf_aligned": "yes", "signature_aligned": "no"}
        rows = [({}, "dmarc"),
                ({"policy_record": fo + "d", **passing}, "signature"),
                ({"policy_record": fo + "d:s", **passing}, "signature"),
                ({"policy_record": fo + "d", "dkim_reason": "body hash did not verify", **passing}, "bodyhash"),
                ({"policy_record": fo + "d", "dkim_result": "permerror", "dkim_reason": "key revoked", **passing}, "revoked"),
                ({"policy_record": fo + "s", **passing}, "spf"),
                ({"policy_record": fo + "1", **passing, "spf_aligned": "no"}, "dmarc")]
        for given, wanted in rows:
            fields = self.parts(message_of(**given))[2]
            self.assertEqual(fields["Auth-Failure"], wanted, given)
            self.assertEqual("Identity-Alignment" in fields, wanted == "dmarc")
            self.assertEqual("SPF-DNS" in fields, wanted in ("dmarc", "spf"))
            # a signature that was nothing to the author is not the author's failure
            self.assertEqual("DKIM-Domain" in fields,
                             wanted != "spf" and (wanted != "dmarc" or given.get("signature_aligned") != "no"))

    def test_dkim_report(self):
        message, _, fields, _ = self.parts(message_of(dkim="yes", dkim_domain="signer.example", dkim_identity="@signer.example",
                                                      to="dkim@signer.example", policy_domain="", policy_record=""))
        self.assertEqual((fields["Auth-Failure"], fields["Reported-Domain"], fields["DKIM-Domain"]),
                         ("signature", "signer.example", "signer.example"))
        self.assertNotIn("SPF-DNS", fields)
        self.assertEqual(message["To"], "dkim@signer.example")

    def test_nothing_known(self):
        _, text, fields, headers = self.parts(run({"authentication_results": "mx; none", "source_ip": "2001:db8::1",
                                                   "header_from": "example.com"})[1])
        self.assertEqual(sorted(fields), sorted(ALWAYS + ["Identity-Alignment"]))
        self.assertEqual(fields["Original-Mail-From"], "<>")
        self.assertEqual(fields["Delivery-Result"], "other")
        self.assertEqual(fields["Source-IP"], "2001:db8::1")
        self.assertEqual(headers.strip(), b"")

    def test_incidents(self):
        for given, wanted in (("0", None), ("1", "2"), ("41", "42"), ("4294967294", "4294967295"), ("99999999999", "4294967295")):
            _, text, fields, _ = self.parts(message_of(incidents=given))
            self.assertEqual(fields.get("Incidents"), wanted)
            self.assertEqual("further messages" in text, wanted is not None)

    def test_sender(self):
        self.assertEqual(run(MESSAGE)[0], "")
        self.assertEqual(run({**MESSAGE, "verp": "yes"})[0], "reports+ruf=example.com@receiver.example")
        self.assertEqual(run({**MESSAGE, "failure_from": "dmarc@receiver.example", "verp": "yes"})[0],
                         "dmarc+ruf=example.com@receiver.example")

    def test_message_id(self):
        """The same at each attempt, another one for each that gets it."""
        one, again, other = message_of(), message_of(), message_of(to="b@example.com")
        self.assertEqual(one, again)
        ids = [email.message_from_bytes(raw)["Message-ID"] for raw in (one, other)]
        self.assertNotEqual(*ids)
        self.assertRegex(ids[0], r"^<%s@receiver\.example>\Z" % DOT_ATOM)

    def test_subject(self):
        rows = {"Subject: =?utf-8?q?f=C3=BC?=": "FW: fü", "From: a": "Authentication failure report for news.example.com",
                "Subject:": "Authentication failure report for news.example.com", "Subject: für": "FW: für",
                "Subject: a\r\n\tb": "FW: a b", "sUbject : x": "FW: x"}
        for given, wanted in rows.items():
            self.assertEqual(self.parts(message_of(headers=given + "\r\n"))[0]["Subject"], wanted, given)
        for character in ("x", "ü", "€"):
            subject = self.parts(message_of(headers="Subject: a" + character * 5000 + "\r\n"))[0]["Subject"]
            self.assertRegex(subject, "^FW: a%s{60,199}\\Z" % character)

    def test_injection(self):
        """Nothing that a message holds adds a field, a part or a recipient to the report."""
        clean = self.parts(message_of())
        attacks = ["x\r\nBcc: victim@example.net", "x\nBcc: victim@example.net", "x\r\n\r\n--=_", "x\r\nReported-Domain: bank.example",
                   "x>\r\nSource-IP: 198.51.100.9\r\n\r\n", "\r\n", "\x1b[31m\x07", "x\u2028Bcc: y", "ü\udcff\udcfe", "\\\"", "\"", "<", ">", "a b",
                   "(comment", "x; y", "x" * 5000, "x " * 3000]
        names = ["queue_id", "id", "policy_domain", "source_ip", "header_from", "spf_domain", "spf_result", "mail_from", "rcpt",
                 "delivery_result", "authentication_results", "spf_record", "dkim_domain", "dkim_selector", "dkim_identity", "reporter",
                 "headers"]
        # What should be a domain is the attacker's text here: it stays one word. A very long one is cut into several.
        one_word = {"Source-IP": TOKEN, "DKIM-Domain": TOKEN, "DKIM-Identity": TOKEN, "DKIM-Selector": TOKEN, "Reported-Domain": TOKEN,
                    "SPF-DNS": r"txt : %s : .*" % TOKEN, "Reporting-MTA": r"dns; %s" % TOKEN}
        for name in names:
            for attack in attacks:
                raw = message_of(**{name: ("Subject: " if name == "headers" else "") + attack})
                with self.subTest(name=name, attack=attack[:40]):
                    grammar = dict.fromkeys(GRAMMAR, r"[ -~]+") if len(attack) > 900 else {**GRAMMAR, **one_word}
                    message, _, fields, _ = self.parts(raw, grammar)
                    self.assertEqual(message["To"], "ruf@example.com")
                    self.assertLessEqual(set(fields), set(clean[2]))
                    self.assertEqual(sorted(message.keys()), sorted(clean[0].keys()))

    def test_headers_verbatim(self):
        """What was there is there, whatever it was; the boundary does not occur in it."""
        rows = [b"Subject: \xff\xfe\r\n", b"X: " + b"y" * 5000 + b"\r\n", b"X: --=_0123\r\n--=_0123--\r\n", "Subject: grün\r\n".encode(),
                b"X: \x01\x1b\r\n", b"A: b\r\n" * 3000]
        for given in rows:
            raw = message_of(headers=given)
            self.assertEqual(self.parts(raw)[3].rstrip(b"\r\n"), given.rstrip(b"\r\n"))
        self.assertIn("as far as it was kept", self.parts(message_of(headers_cut="yes"))[1])

    def test_redaction(self):
        raw = message_of(redact="yes", dkim_identity="alice@news.example.com", mail_from="alice@news.example.com",
                         headers=MESSAGE["headers"] + "X-Note: bob@receiver.example\r\nSubject: alice@news.example.com\r\n")
        message, text, fields, headers = self.parts(raw)
        for secret in (b"alice@", b"bob@", b"alice=example.net"):
            self.assertNotIn(secret, raw)
            self.assertNotIn(secret, headers)
        # the same name is the same everywhere
        alice = re.fullmatch(r"<(.{16})@news\.example\.com>", fields["Original-Mail-From"])[1]
        self.assertEqual(fields["DKIM-Identity"], alice + "@news.example.com")
        self.assertIn(("From: Alice <%s@news.example.com>\r\n" % alice).encode(), headers)
        bob = re.fullmatch(r"<(.{16})@receiver\.example>", fields["Original-Rcpt-To"])[1]
        self.assertEqual(headers.count(bob.encode() + b"@receiver.example"), 3)
        self.assertNotEqual(alice, bob)
        self.assertIn(b"<1.2@news.example.com>", headers)
        self.assertIn("RFC 6590", text)
        self.assertNotIn(alice.encode(), message_of(redact="yes", redaction_key="other", mail_from="alice@news.example.com"))


if __name__ == "__main__":
    TOOL = sys.argv.pop(1)
    unittest.main()
