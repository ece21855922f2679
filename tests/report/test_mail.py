"""
Messages of ours, read by others: Python's email package, python3-dkim, opendkim; and how they are handed over, to an
SMTP server that behaves in every way (lab/sink.py) and to commands that do.

    test_mail.py MAIL_TOOL [unittest arguments]
"""
import email
import email.policy
import email.utils
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from lab import mail, sink, wait  # noqa: E402

TOOL = None
EXTRA = os.dup(2)
FROM, TO = "reports@example.org", "rua@example.com"
REPORT = "report; report-type=feedback-report"


def run(*words, data=b"", status=0):
    """With a descriptor more than it should have."""
    done = subprocess.run([TOOL, *words], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, pass_fds=[EXTRA])
    if done.returncode != status:
        raise AssertionError("%s: exit %d: %s" % (words, done.returncode, done.stderr.decode()))
    return done.stdout, done.stderr.decode()


def lines(part):
    """Text with LF, whatever it came with."""
    return part.get_content().replace("\r\n", "\n")


class Temporary(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = folder.name

    def file(self, name, data, mode=0o600):
        path = os.path.join(self.top, name)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        return path


class Composed(Temporary):
    def write(self, parts=(), subject="Report Domain: example.com", multipart="mixed", to=TO, message_id="1@example.org", key=None,
              status=0):
        words = ["write", "-m", multipart] + (["-k", key] if key else []) + [FROM, to, subject, message_id]
        for i, (kind, name, data) in enumerate(parts):
            words += [kind, name, self.file("part%d" % i, data)]
        out, said = run(*words, status=status)
        return out, said.strip()

    def read(self, *arguments, **options):
        out, _ = self.write(*arguments, **options)
        self.assertNotRegex(out, rb"[^\r]\n|\r[^\n]", "a bare CR or LF")
        self.assertLessEqual(max(map(len, out.split(b"\r\n"))), 998)
        message = email.message_from_bytes(out, policy=email.policy.default)
        self.assertEqual([part.defects for part in message.walk() if part.defects], [])
        return message

    def test_fields(self):
        message = self.read([("text/plain; charset=utf-8", "", b"Hello.\n")])
        self.assertEqual((message["from"].addresses[0].addr_spec, message["to"].addresses[0].addr_spec), (FROM, TO))
        self.assertEqual(message["date"].datetime.timestamp(), 1700000000)
        self.assertEqual(message["date"], email.utils.format_datetime(message["date"].datetime))
        self.assertEqual(message["auto-submitted"], "auto-generated")
        self.assertEqual(message["message-id"], "<1@example.org>")
        self.assertEqual(message["mime-version"], "1.0")
        self.assertEqual([len(message.get_all(name)) for name in ("from", "to", "date", "subject", "message-id", "content-type")],
                         [1] * 6)

    def test_parts_come_back_as_they_were(self):
        binary = bytes(range(256)) * 41
        parts = [("text/plain; charset=utf-8", "", b"One.\n.\n..\nFrom here\n--=_0000\nlast, without an end"),
                 ("application/gzip", "a!example.com!1!2.xml.gz", binary),
                 ("text/plain; charset=utf-8", "", "Grüße\n".encode()),
                 ("text/rfc822-headers", "", b"Subject: " + b"x" * 3000 + b"\r\nFrom: \xe9@example.org\r\n"),
                 ("message/feedback-report", "", b"Feedback-Type: auth-failure\r\nUser-Agent: " + b"y" * 1500 + b"\xff\r\n"),
                 ("application/octet-stream", "empty", b""),
                 ("text/plain; charset=us-ascii", "", b"z" * 998 + b"\n"),
                 ("text/plain; charset=us-ascii", "", b"z" * 999 + b"\n")]
        message = self.read(parts, multipart=REPORT)
        got = list(message.iter_parts())
        self.assertEqual([part.get_content_type() for part in got], [part[0].split(";")[0] for part in parts])
        self.assertEqual(lines(got[0]), "One.\n.\n..\nFrom here\n--=_0000\nlast, without an end\n")
        self.assertEqual((got[1].get_content(), got[1].get_filename(), got[1].get_content_disposition()),
                         (binary, "a!example.com!1!2.xml.gz", "attachment"))
        self.assertEqual(lines(got[2]), "Grüße\n")
        self.assertEqual(got[3].get_payload(decode=True), parts[3][2])
        self.assertEqual(got[4]["content-transfer-encoding"], "7bit")
        self.assertIn("Feedback-Type: auth-failure", got[4].as_string())
        self.assertEqual((got[5].get_content(), got[5].get_filename()), (b"", "empty"))
        self.assertEqual([part["content-transfer-encoding"] for part in got[6:]], ["7bit", "base64"])
        self.assertEqual([len(lines(part)) for part in got[6:]], [999, 1000])
        self.assertEqual(message.get_param("report-type"), "feedback-report")

    def test_boundary_stands_in_no_part(self):
        parts = [("text/plain; charset=us-ascii", "", b"first\n")]
        boundary = self.read(parts).get_boundary()
        message = self.read([("text/plain; charset=us-ascii", "", b"--%s--\nstill the first\n" % boundary.encode())])
        self.assertNotEqual(message.get_boundary(), boundary)
        self.assertEqual(lines(next(message.iter_parts())), "--%s--\nstill the first\n" % boundary)

    def test_same_message_same_bytes(self):
        parts = [("text/plain", "", b"x\n")]
        self.assertEqual(self.write(parts)[0], self.write(parts)[0])
        self.assertNotEqual(self.write(parts)[0], self.write(parts, message_id="2@example.org")[0])

    def test_subjects(self):
        long = "Report Domain: %s.example Submitter: %s.example Report-ID: <%s@example.org>" % ("a" * 200, "b" * 200, "1" * 40)
        cases = {
            "plain": "plain",
            long: long,
            "x\r\nBcc: victim@example.net\r\n\r\nbody": "x??Bcc: victim@example.net????body",
            "Prüfung von müller.example, eine recht lange Zeile, die gefaltet werden muss: 日本語の報告": None,
            "w" * 3000: " ".join(["w" * 920] * 3 + ["w" * 240]),
            "\x01\x7f": "??",
        }
        for given, wanted in cases.items():
            with self.subTest(given[:40]):
                message = self.read([("text/plain", "", b"x\n")], subject=given)
                self.assertEqual(message["subject"], wanted or given)
                self.assertEqual(message["bcc"], None)

    def test_file_names(self):
        for given, wanted in {'a"b\\c/../d': "a_b_c_.._d", "a\r\nX: y": "a__X:_y", "é.xml": "__.xml"}.items():
            message = self.read([("application/gzip", given, b"x")])
            self.assertEqual(next(message.iter_parts()).get_filename(), wanted)

    def test_bad_addresses_are_refused(self):
        for to in ["a b@example.com", "a@example.com\r\nBcc: b@example.net", "<a@example.com>", "a@example.com,b@example.com", "a"]:
            out, said = self.write([("text/plain", "", b"x\n")], to=to, status=78)
            self.assertEqual(out, b"", to)

    def test_signed(self):
        """Both key types, folded subject, a body of every kind; verified by two others."""
        parts = [("text/plain; charset=utf-8", "", b"Hello.\n \n\n.\ntrailing \t\n\n\n"), ("application/gzip", "x.gz", os.urandom(5000))]
        for algorithm, generate in {"rsa": ["genrsa", "2048"], "ed25519": ["genpkey", "-algorithm", "ed25519"]}.items():
            key = os.path.join(self.top, algorithm)
            with open(key, "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(subprocess.run(["openssl", *generate], capture_output=True, check=True).stdout)
            der = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
            public = email.base64mime.body_encode(der if algorithm == "rsa" else der[-32:], maxlinelen=9999, eol="").strip()
            record = ("v=DKIM1; k=%s; p=%s" % (algorithm, public)).encode()
            out, said = self.write(parts, subject="Report Domain: " + "long." * 30 + " Submitter: example.org", key=key)
            self.assertEqual(said, "signed")
            name = "sel._domainkey.example.org"
            found = mail.verify_python(out, lambda asked: record if asked == name else None)
            self.assertEqual(found, [("example.org", "sel", algorithm + "-sha256", True)])
            changed = mail.verify_python(out.replace(b"Hello", b"hello"), lambda asked: record)
            self.assertEqual(changed[0][3], False)
            if algorithm == "rsa" and shutil.which("opendkim", path="/usr/sbin:/usr/bin"):
                self.assertIn("verification (s=sel, d=example.org, 2048-bit key) succeeded", mail.verify_opendkim(out, {name: record}))
            self.assertTrue(out.startswith(b"DKIM-Signature: "))
            for field in (b"from", b"to", b"subject", b"date", b"message-id", b"auto-submitted"):
                if field != b"auto-submitted":
                    self.assertRegex(re.search(rb"h=([^;]*);", out)[1].lower().replace(b"\r\n", b""), rb"\b%s\b" % field)

    def test_unsigned_without_key(self):
        self.assertEqual(self.write([("text/plain", "", b"x\n")])[1], "unsigned")


class Addresses(unittest.TestCase):
    def test_usable(self):
        good = ["a@example.org", "dmarc+x=y@example.org", '"a b"@example.org', '"a\\"b"@example.org', "a.b.c@x-y.example.org",
                "%s@example.org" % ("x" * 64), "!#$%&'*/=?^_`{|}~@example.org"]
        bad = ["", "a", "@example.org", "a@", "a@b@example.org", "-f@example.org", ".a@example.org", "a.@example.org", "a..b@example.org",
               "a b@example.org", "a@exam ple.org", "<a@example.org>", "a@example.org>", "a@[192.0.2.1]", "a@example.org\r",
               "a\x00@example.org", "\u00e9@example.org", "a@\u00e9xample.org", '"a@example.org', '"a"b"@example.org', '"a\\"@example.org',
               "%s@example.org" % ("x" * 65), "a@%s.example.org" % ("x" * 64), "a@" + ".".join(["x" * 60] * 5), "a,b@example.org",
               "a@example.org,b@example.org"]
        answers = run("usable", data="".join(line + "\n" for line in good + bad).encode())[0].decode().split()
        for address, answer in zip(good + bad, answers):
            self.assertEqual(answer, "yes" if address in good else "no", address)

    def test_verp(self):
        cases = {
            ("reports@mx.example", "alice@example.org"): "reports+alice=example.org@mx.example",
            ("reports@mx.example", "a+b=c@example.org"): "reports+a+b=3Dc=example.org@mx.example",
            ("reports@mx.example", "a%b!c@example.org"): "reports+a=25b=21c=example.org@mx.example",
            ("reports@mx.example", '"a..b"@example.org'): "reports+=22a=2E=2Eb=22=example.org@mx.example",
            ("reports@mx.example", '".a. b"@example.org'): "reports+=22.a.=20b=22=example.org@mx.example",
        }
        for (address, recipient), sender in cases.items():
            got, back = run("verp", address, recipient)[0].decode().splitlines()
            self.assertEqual((got, back), (sender, recipient))
            self.assertEqual(run("usable", data=sender.encode() + b"\n")[0], b"yes\n")

    def test_verp_too_long(self):
        got, back = run("verp", "reports@mx.example", "%s@example.org" % ("x" * 60))[0].decode().splitlines()
        self.assertEqual((got, back), ("reports@mx.example", "-"))


class Submitted(Temporary):
    def submit(self, to, server=None, sender="", seconds=20, data=b"Subject: x\r\n\r\nHello.\r\n", command=()):
        begin = time.monotonic()
        out, _ = run("submit", server or "127.0.0.1:%d" % self.sink.port, sender, to, str(seconds), *command, data=data)
        self.took = time.monotonic() - begin
        outcome, note = out.decode().splitlines()
        self.assertRegex(note, r"^[ -~]{1,600}$")
        return outcome, note

    def start(self, **options):
        self.sink = sink.Sink(**options)
        self.addCleanup(self.sink.close)
        return self.sink


class Smtp(Submitted):
    def test_taken(self):
        self.start()
        text = b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\nlong\r\n" + b"z" * 500000 + b"\r\n.\r\n"
        self.assertEqual(self.submit("ok@example.org", data=text), ("accepted", "250 2.0.0 taken as 1"))
        self.assertEqual(self.sink.messages, [sink.Message("", ["ok@example.org"], text)])
        self.assertEqual(self.sink.commands[-1], "QUIT")
        self.assertEqual(self.sink.commands[0], "EHLO mx.example")
        self.assertIn("MAIL FROM:<> SIZE=%d" % len(text), self.sink.commands)
        self.assertEqual(self.sink.complaints, [])

    def test_text_that_begins_with_a_dot(self):
        self.start()
        self.submit("ok@example.org", data=b".x\r\n.\r\n")
        self.assertEqual(self.sink.messages[0].data, b".x\r\n.\r\n")

    def test_sender(self):
        self.start()
        self.submit("ok@example.org", sender="reports+ok=example.org@mx.example")
        self.assertEqual(self.sink.messages[0].sender, "reports+ok=example.org@mx.example")

    def test_outcomes(self):
        self.start()
        for to, (outcome, note) in {
                "later": ("later", "450 4.2.0 later@example.org: greylisted"),
                "refused": ("refused", "550 5.1.1 refused@example.org: 5.1.1 no such user"),
                "data-later": ("later", "451 4.3.0 not now"),
                "text-refused": ("refused", "554 5.6.0 not this"),
                "text-later": ("later", "452 4.3.1 disk full"),
                "busy": ("unreachable", "421 4.3.2 busy@example.org: shutting down"),
                "drop": ("unreachable", "127.0.0.1:%d: the connection was closed"),
                "drop-text": ("unreachable", "127.0.0.1:%d: the connection was closed"),
                "kept-drop": ("later", "127.0.0.1:%d: the connection was closed"),
                "nonsense": ("unreachable", "127.0.0.1:%d: an answer that is no SMTP")}.items():
            with self.subTest(to):
                # Large enough that the connection's buffers do not hold it.
                data = b"x" * 70 + b"\r\n" if to != "drop-text" else (b"x" * 70 + b"\r\n") * 200000
                wanted = note % self.sink.port if "%d" in note else note
                self.assertEqual(self.submit(to + "@example.org", data=data), (outcome, wanted))
        self.assertEqual([message.recipients for message in self.sink.messages], [["kept-drop@example.org"]])

    def test_deadline_is_for_the_whole(self):
        self.start()
        for to, outcome in {"silent": "unreachable", "drip": "unreachable", "kept-silent": "later"}.items():
            with self.subTest(to):
                self.assertEqual(self.submit(to + "@example.org", seconds=1)[0], outcome)
                self.assertTrue(0.9 < self.took < 10, self.took)

    def test_server_out_of_order(self):
        for options, outcome in [
                ({"greeting": b"554 no mail here\r\n"}, "unreachable"),
                ({"greeting": b"220-first\r\n220 second\r\n"}, "accepted"),
                ({"greeting": b"HTTP/1.1 400 Bad Request\r\n"}, "unreachable"),
                ({"greeting": b"220 " + b"x" * 3000 + b"\r\n"}, "unreachable"),
                ({"greeting": b"220-x\r\n" * 101 + b"220 x\r\n"}, "unreachable"),
                ({"ehlo": b"500 what?\r\n"}, "accepted"),
                ({"ehlo": b"421 not now\r\n"}, "unreachable"),
                ({"ehlo": b"250-sink\r\n250 SIZE\r\n"}, "accepted"),
                ({"ehlo": b"250-sink\r\n250 SIZE 0\r\n"}, "accepted"),
                ({"ehlo": b"250-sink\r\n250 SIZE 10\r\n"}, "refused"),
                ({"mail": b"550 5.7.1 no null sender\r\n"}, "later"),
                ({"mail": b"552 5.3.4 too large\r\n"}, "refused"),
                ({"mail": b"452 4.3.1 no space\r\n"}, "later")]:
            with self.subTest(str(options)[:60]):
                self.start(**options)
                self.assertEqual(self.submit("ok@example.org")[0], outcome)
                self.assertEqual(len(self.sink.messages), outcome == "accepted")

    def test_nobody_there(self):
        self.assertEqual(self.submit("ok@example.org", server="127.0.0.1:%d" % wait.free_port())[0], "unreachable")
        self.assertIn("Connection refused", self.submit("ok@example.org", server="localhost:1")[1])

    def test_no_address(self):
        self.start()
        for to in ["ok@example.org>\r\nDATA", "ok@example.org> <x@example.org", "ok", ""]:
            self.assertEqual(self.submit(to)[0], "refused")
        self.assertEqual(self.sink.commands, [])


class Command(Submitted):
    def command(self, script):
        return self.file("command", b"#!/bin/sh\n" + script.encode(), 0o700)

    def run_command(self, script, *arguments, **options):
        options.setdefault("to", "ok@example.org")
        return self.submit(server="none:1", command=[self.command(script), *arguments], **options)

    def test_arguments_and_input(self):
        script = 'printf "%s|" "$#" "$@" > {0}/arguments; cat > {0}/input; env > {0}/environment; exec ls /proc/self/fd > {0}/fds'
        for arguments, wanted in [(["-f", "<>"], "4|-f|<>|--|ok@example.org|"), (["-f", "<>", "-t"], "3|-f|<>|-t|"), ([], "2|--|ok@example.org|")]:
            outcome, note = self.run_command(script.format(self.top), *arguments, data=b"a: b\r\n\r\n.\r\nlast\r\n")
            self.assertEqual((outcome, note), ("accepted", self.top + "/command: exit 0"))
            with open(self.top + "/arguments") as file:
                self.assertEqual(file.read(), wanted)
            with open(self.top + "/input", "rb") as file:
                self.assertEqual(file.read(), b"a: b\n\n.\nlast\n")
            with open(self.top + "/environment") as file:
                self.assertEqual({line.split("=")[0] for line in file} - {"PWD", "SHLVL", "_", "OLDPWD"}, {"LC_ALL", "PATH"})
            with open(self.top + "/fds") as file:
                self.assertLessEqual({int(fd) for fd in file.read().split()}, {0, 1, 2, 3}, "3 is ls's own")

    def test_outcomes(self):
        for script, outcome, note in [
                ("exit 0", "accepted", "exit 0"),
                ("echo no such user >&2; exit 67", "refused", "exit 67: no such user"),
                ("exit 65", "refused", "exit 65"),
                ("exit 75", "later", "exit 75"),
                ("exit 64", "later", "exit 64"),
                ("kill -TERM $$", "later", "died of signal 15"),
                ("printf 'two\\nlines\\001\\n'", "accepted", "exit 0: two lines?"),
                ("yes | head -c 1000000; exit 75", "later", None)]:
            with self.subTest(script):
                got = self.run_command(script)
                self.assertEqual(got[0], outcome)
                if note:
                    self.assertEqual(got[1], self.top + "/command: " + note)

    def test_killed_with_all_that_it_started(self):
        mark = "%d.5" % (1000 + os.getpid())
        outcome, note = self.run_command("sleep {0} & sleep {0}".format(mark), seconds=1)
        self.assertEqual(outcome, "unreachable")
        self.assertIn("killed", note)
        self.assertLess(self.took, 10)
        left = subprocess.run(["ps", "-eo", "args"], stdout=subprocess.PIPE, text=True).stdout
        self.assertNotIn("sleep " + mark, left)

    def test_output_left_open(self):
        """What it leaves running with its output does not hold us."""
        self.assertEqual(self.run_command("sleep 9 & exit 0")[0], "accepted")
        self.assertLess(self.took, 8)

    def test_not_there(self):
        outcome, note = self.submit("ok@example.org", server="none:1", command=[self.top + "/none"])
        self.assertEqual((outcome, note), ("unreachable", self.top + "/none: No such file or directory"))

    def test_reads_nothing(self):
        self.assertEqual(self.run_command("exit 0", data=b"x\r\n" * 1000000)[0], "accepted")

    def test_no_address(self):
        self.assertEqual(self.run_command("exit 0", to="-oQ/tmp@example.org")[0], "refused")


if __name__ == "__main__":
    TOOL = sys.argv.pop(1)
    unittest.main()
