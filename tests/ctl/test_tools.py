#!/usr/bin/python3
"""
trimilterctl sign, showkeys, genzone, explain.

    test_tools.py TRIMILTERCTL [unittest arguments]
"""
import json
import re
import subprocess

from keysite import CTL, Site, main

import dkim

MESSAGE = "From: Alice <a@example.org>\nTo: b@example.net\nSubject: one\n two\nDate: Fri, 21 Nov 2025 10:00:00 +0000\n" \
          "Message-ID: <1@example.org>\n\nShall we meet?\n\nAlice\n"


class Tools(Site):
    def setUp(self):
        super().setUp()
        (self.key,) = self.json("domain", "add", "-s", "s1", "example.org")["keys"]
        self.publish(self.key["owner"], self.key["record"])
        self.write("message", MESSAGE)

    def records(self):
        found = dict(re.findall(r"^(\S+) TXT (.*)$", self.read("zone"), re.M))
        return {name + ".": "".join(re.findall('"([^"]*)"', strings)).encode() for name, strings in found.items()}

    def verifies(self, text):
        message = text if b"\r\n" in text else text.replace(b"\n", b"\r\n")
        return dkim.verify(message, dnsfunc=lambda name, timeout=5: self.records().get(name.decode()))


class Sign(Tools):
    def test_by_the_tables(self):
        for verb in ("sign", "testmsg"):
            signed = self.ctl(verb, "-c", "conf", "message")
            self.assertTrue(signed.endswith(MESSAGE))
            self.assertTrue(self.verifies(signed.encode()))
        self.write("signed", signed)
        self.assertEqual(self.json("check", "signed")["dkim"][0]["result"], "pass")

    def test_line_ends_and_envelope_line(self):
        raw = MESSAGE.replace("\n", "\r\n").encode()
        with open(self.path("crlf"), "wb") as file:
            file.write(b"From a@example.org Fri Nov 21 10:00:00 2025\r\n" + raw)
        signed = subprocess.run([CTL, "sign", "-c", "conf", "crlf"], cwd=self.directory, capture_output=True, check=True).stdout
        self.assertEqual(signed.count(b"\n"), signed.count(b"\r\n"))
        self.assertTrue(signed.endswith(raw) and b"From a@" not in signed)
        self.assertTrue(self.verifies(signed))

    def test_by_a_key(self):
        words = ("-d", "example.org", "-s", "s1", "-k", self.key["key_file"])
        signed = self.ctl("sign", *words, "message")
        self.assertTrue(self.verifies(signed.encode()))
        self.assertEqual(json.loads(self.ctl("sign", *words, "--json", "message"))["signatures"], 1)
        self.ctl("sign", *words[:4], "message", status=64)
        self.ctl("sign", "-d", "example.org", "-s", "s1", "-k", "/nowhere/key", "message", status=78)

    def test_not_signed(self):
        self.write("message", MESSAGE.replace("a@example.org", "a@other.example"))
        done = self.run_ctl("sign", "-c", "conf", "message")
        self.assertEqual((done.returncode, done.stdout), (65, ""))
        self.assertIn("no signing table match for 'a@other.example'", done.stderr)


class Publish(Tools):
    def setUp(self):
        super().setUp()
        (self.new,) = self.json("key", "rotate", "-s", "s2", "example.org")["keys"]
        self.wanted = {key["owner"]: key["record"] for key in (self.key, self.new)}

    def test_showkeys(self):
        keys = self.json("showkeys")["keys"]
        self.assertEqual({key["owner"]: key["record"] for key in keys}, self.wanted)
        self.assertEqual([key["stage"] for key in keys], [None, "pending"])
        text = self.ctl("showkeys", "-c", "conf", "-s", "s2")
        self.assertIn("s2._domainkey.example.org (rsa, 2048 bits, pending)", text)
        self.assertNotIn("s1._domainkey", text)
        self.ctl("showkeys", "-c", "conf", "-d", "other.example", status=78)

    def test_genzone(self):
        def parsed(text):
            lines = re.findall(r"^(\S+) (?:(\d+) )?IN TXT \( (.*) \)$", text, re.M)
            self.assertEqual(len(lines), len(text.splitlines()))
            for _, _, strings in lines:
                self.assertTrue(all(len(part) <= 255 for part in re.findall('"([^"]*)"', strings)))
            return {name: ("".join(re.findall('"([^"]*)"', strings)), ttl) for name, ttl, strings in lines}

        full = parsed(self.ctl("genzone", "-c", "conf"))
        self.assertEqual(full, {name + ".": (record, "") for name, record in self.wanted.items()})
        short = parsed(self.ctl("genzone", "-c", "conf", "-D", "-d", "example.org", "-t", "600"))
        self.assertEqual(short, {name.removesuffix(".example.org"): (record, "600") for name, record in self.wanted.items()})
        self.assertEqual(self.ctl("genzone", "-c", "conf", "-o", "out"), "")
        self.assertEqual(parsed(self.read("out")), full)
        for words in (["-D"], ["-t", "soon"], ["stray"]):
            self.ctl("genzone", "-c", "conf", *words, status=64)
        self.assertEqual(self.json("genzone")["records"][0]["record"], self.key["record"])

    def test_nsupdate(self):
        text = self.ctl("genzone", "-c", "conf", "-u", "-s", "s2")
        self.assertRegex(text, r'^update delete s2._domainkey.example.org. TXT\nupdate add s2._domainkey.example.org. 3600 TXT "v=DKIM1')
        self.assertEqual("".join(re.findall('"([^"]*)"', text)), self.new["record"])

    def test_percent(self):
        self.write("keytable", self.read("keytable") + f"any %:s9:{self.key['key_file']}\n")
        done = self.run_ctl("showkeys", "-c", "conf")
        self.assertIn("depends on the author's domain", done.stderr)
        self.assertNotIn("s9._domainkey", done.stdout)
        self.assertIn("s9._domainkey.other.example (", self.ctl("showkeys", "-c", "conf", "-d", "other.example"))


class Explain(Tools):
    """What it says agrees with what check finds; the words of each case."""

    CASES = [
        # options of the configuration, options of the command, what it says, what it does not
        ("RejectFailures yes", ["--client-ip", "198.51.100.9", "--mail-from", "x@evil.example"],
         [r"refused, because of the DMARC policy.*, with the reply\n    550 5\.7\.1 ", "evil.example, has no SPF record",
          "DKIM: it is not signed", "asks for reject where mail fails, by the record at _dmarc.example.org:\n    v=DMARC1; p=reject",
          "nothing shows that the message comes from its author's domain", "would change it: .*IgnoreMailFrom"], ["accepted"]),
        ("RejectFailures no", ["--client-ip", "198.51.100.9", "--mail-from", "x@evil.example"],
         ["would be accepted", "Something else is done than the domain asks for"], ["refused"]),
        ("RejectFailures yes", ["--client-ip", "192.0.2.1", "--mail-from", "a@example.org"],
         ["would be accepted", r"may send for it, by ip4:192", "SPF's pass is for the author's own domain"], ["would change it"]),
        ("RejectSPF fail", ["--client-ip", "192.0.2.77", "--mail-from", "x@strict.example"],
         ["refused, because of SPF", "may not send for it, by -all", "RejectSPF and RejectSPFHELO say"], []),
        ("", ["--client-ip", "192.0.2.1", "--auth", "alice"], ["The client has authenticated"], ["DMARC:"]),
    ]

    def test_cases(self):
        for owner, record in (("example.org", "v=spf1 ip4:192.0.2.1 -all"), ("_dmarc.example.org", "v=DMARC1; p=reject"),
                              ("strict.example", "v=spf1 -all")):
            self.publish(owner, record)
        for option, words, says, not_says in self.CASES:
            with self.subTest(option=option, words=words):
                self.configure(more=option + "\n")
                text = self.ctl("explain", "-c", "conf", *words, "message")
                for pattern in says:
                    self.assertRegex(text, pattern)
                for pattern in not_says:
                    self.assertNotRegex(text, pattern)
                action = self.json("check", *words, "message")["verdict"]["action"]
                found = self.json("explain", *words, "message")
                self.assertEqual(found["action"], action)
                self.assertEqual(found["sentences"][0], text.splitlines()[0])


class MailFrom(Tools):
    def test_a_path_in_brackets_is_read_as_the_mta_gives_it(self):
        self.publish("example.org", "v=spf1 ip4:192.0.2.1 -all")
        self.publish("mx.example.org", "v=spf1 ip4:192.0.2.2 -all")
        for path, client, domain in (("a@example.org", "192.0.2.1", "example.org"), ("<a@example.org>", "192.0.2.1", "example.org"),
                                     ("", "192.0.2.2", "mx.example.org"), ("<>", "192.0.2.2", "mx.example.org")):
            words = ["--client-ip", client, "--helo", "mx.example.org", "--mail-from", path]
            for found in (self.json("spf", *words), self.json("check", *words, "message")["spf"]):
                self.assertEqual((found["result"], found["domain"]), ("pass", domain), path)


if __name__ == "__main__":
    main()
