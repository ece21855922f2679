#!/usr/bin/python3
"""What we sign, others verify; what others sign, we verify.

  cross_check.py DKIM_TOOL [-v] [--quick]

Others are python3-dkim, Mail::DKIM (RSA only), and opendkim, each where it is installed; without any the exit is 77
(skipped). Every canonicalization with every algorithm on every odd message below. A row of OTHERS_ARE_WRONG
names what a peer does otherwise (over SMTP a body always ends in CRLF, so unfinished lines do not occur there).
"""
import argparse, base64, collections, os, shutil, subprocess, sys, tempfile, time

try:
    import dkim as dkimpy
except ImportError:
    dkimpy = None

HERE = os.path.dirname(os.path.abspath(__file__))
DOMAIN, NOW = "example.com", int(time.time())
HEAD = (b"From: Joe <joe@example.com>\r\nTo: Suzie <suzie@example.net>\r\nSubject: dinner\r\n"
        b"Date: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <1@example.com>\r\n")
BASE64_LINE = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n"

MESSAGES = {
    "plain": HEAD + b"\r\nHi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n",
    "empty body": HEAD + b"\r\n",
    "only empty lines": HEAD + b"\r\n\r\n\r\n\r\n",
    "only white space": HEAD + b"\r\n \t \r\n\t\r\n",
    "no final CRLF": HEAD + b"\r\nno end",
    "no final CRLF, blanks at the end": HEAD + b"\r\nno end \t ",
    "trailing empty lines": HEAD + b"\r\ntext\r\n\r\n\r\n",
    "trailing blanks": HEAD + b"\r\ntext \t\r\n  more\t \r\n \r\nend \r\n \r\n",
    "empty lines in front": HEAD + b"\r\n\r\n\r\ntext\r\n",
    "runs of blanks": HEAD + b"\r\na  b\t\tc \t d\r\n\tindented\r\n    four\r\n",
    "dots": HEAD + b"\r\n.\r\n..\r\n.x\r\n",
    "8-bit": HEAD + b"\r\nGr\xfc\xdfe\xff \x80  \xa0\r\n",
    "UTF-8 in headers": ("From: Jos\u00e9 <jos\u00e9@example.com>\r\nSubject:  \u65e5\u672c\u8a9e \u00e4  \u00f6 \r\n"
                         "To: \u7528\u6237@example.net\r\n\r\n\u00fc\r\n").encode(),
    "folded": b"From: Joe\r\n <joe@example.com>\r\nTo: a@example.net,\r\n\tb@example.net,\r\n   c@example.net \r\n"
              b"Subject: one\r\n\t two  three\t\r\n\tfour\r\n\r\nbody\r\n",
    "repeated": b"Received: one\r\nTo: first\r\nFrom: joe@example.com\r\nReceived: two\r\nTo: second\r\nReferences: <a>\r\n"
                b"TO: third\r\nReferences: <b>\r\n\r\nbody\r\n",
    "odd spelling": b"FROM:joe@example.com\r\nsubject:\t\tx\r\nDATE:   \r\nto:\r\nMIME-Version: 1.0 (x)\r\n\r\nbody\r\n",
    "space before the colon": b"From : joe@example.com\r\nSubject \t: x\r\n\r\nbody\r\n",
    "many fields": HEAD + b"".join(b"References: <%d@example.com>\r\n" % i for i in range(150)) + b"\r\nbody\r\n",
    "one line of 1 MiB": HEAD + b"\r\n" + b"0123456789abcdef" * 65536 + b"\r\n",
    "one header line of 100 KiB": HEAD + b"References: " + b"<0123456789@x> " * 6800 + b"\r\n\r\nbody\r\n",
    "10 MiB": HEAD + b"\r\n" + BASE64_LINE * 66000 + b"text  with blanks \r\n" * 260000,
}
LARGE = {"10 MiB"}

# peer, message, header and body canonicalization ("" for any), what it does
OTHERS_ARE_WRONG = [
    ("python3-dkim", "no final CRLF, blanks at the end", "", "relaxed", "keeps a space at the end of an unfinished line"),
    ("opendkim", "no final CRLF, blanks at the end", "", "relaxed", "keeps a space at the end of an unfinished line"),
    ("opendkim", "no final CRLF", "", "relaxed", "takes an unfinished line for a syntax error"),
    ("Mail::DKIM", "no final CRLF", "", "simple", "adds no CRLF to an unfinished line"),
    ("Mail::DKIM", "no final CRLF, blanks at the end", "", "simple", "adds no CRLF to an unfinished line"),
    ("python3-dkim", "space before the colon", "", "", "refuses such fields"),
    ("opendkim", "space before the colon", "", "", "its test mode cannot read such fields"),
    ("opendkim", "UTF-8 in headers", "simple", "", "its test mode drops blanks behind the colon"),
    ("opendkim", "odd spelling", "simple", "", "its test mode drops blanks behind the colon"),
    ("opendkim", "one header line of 100 KiB", "", "", "its test mode reads shorter lines only"),
]


def known_mistake(peer, name, how):
    header, body = how.split("/")
    for row in OTHERS_ARE_WRONG:
        if row[:2] == (peer, name) and row[2] in ("", header) and row[3] in ("", body):
            return row[4]
    return None


class Tool:
    def __init__(self, path, folder):
        self.path, self.folder = path, folder

    def run(self, *words):
        done = subprocess.run([self.path, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        if done.returncode != 0:
            raise RuntimeError("%s: exit %d: %s" % (words, done.returncode, done.stderr.decode("utf-8", "replace")[:500]))
        return done.stdout

    def sign(self, key, how, message, chunk):
        return self.run("sign", "-k", key.path, "-d", DOMAIN, "-s", key.selector, "-c", how, "-t", str(NOW),
                        "-n", str(chunk), message)

    def verify(self, message, chunk):
        out = self.run("verify", "-Z", os.path.join(self.folder, "zone"), "-t", str(NOW), "-n", str(chunk), message)
        fields = out.decode().split("\t")
        return fields[0], fields[-1].strip()


class Key:
    def __init__(self, tool, folder, selector, algorithm, *openssl):
        self.selector, self.algorithm = selector, algorithm
        self.path = os.path.join(folder, selector + ".pem")
        subprocess.run(["openssl", "genpkey", "-out", self.path, *openssl], check=True, stderr=subprocess.DEVNULL)
        der = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"], check=True,
                             stdout=subprocess.PIPE).stdout
        private = subprocess.run(["openssl", "pkey", "-in", self.path, "-outform", "DER"], check=True,
                                 stdout=subprocess.PIPE).stdout
        self.name = "%s._domainkey.%s" % (selector, DOMAIN)
        kind = "ed25519" if algorithm.startswith("ed") else "rsa"
        public = der[-32:] if kind == "ed25519" else der
        self.record = "v=DKIM1; k=%s; p=%s" % (kind, base64.b64encode(public).decode())
        # python3-dkim wants the bare seed in base64.
        self.for_python = base64.b64encode(private[-32:]) if kind == "ed25519" else open(self.path, "rb").read()


# ---- peers: each has verify(path) -> (good, why), and sign(key, how, path) -> bytes, or None where it cannot ----

class PythonDkim:
    name = "python3-dkim"

    def __init__(self, keys):
        self.records = {key.name: key.record.encode() for key in keys}

    def look_up(self, name, timeout=5):
        return self.records.get(name.decode().rstrip(".").lower())

    def verify(self, path, key):
        try:
            message = dkimpy.DKIM(open(path, "rb").read())
            return message.verify(dnsfunc=self.look_up), "says no"
        except dkimpy.DKIMException as error:
            return False, str(error)

    def sign(self, path, key, how):
        message = open(path, "rb").read()
        header, body = how.encode().split(b"/")
        try:
            dkimpy.rfc822_parse(message)
        except dkimpy.MessageFormatError:
            return None
        return dkimpy.sign(message, key.selector.encode(), DOMAIN.encode(), key.for_python,
                           signature_algorithm=key.algorithm.encode(), canonicalize=(header, body)) + message


class MailDkim:
    name = "Mail::DKIM"

    def __init__(self, folder):
        self.folder = folder
        self.perl = subprocess.Popen(["perl", os.path.join(HERE, "peers.pl")], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE)

    def ask(self, *words):
        self.perl.stdin.write("\t".join(words).encode() + b"\n")
        self.perl.stdin.flush()
        return self.perl.stdout.readline().decode("utf-8", "replace").rstrip("\n").split("\t")

    def verify(self, path, key):
        if key.algorithm != "rsa-sha256":
            return None
        answer = self.ask("verify", path, os.path.join(self.folder, "zone"))
        return answer[0] == "pass", " ".join(answer)

    def sign(self, path, key, how):
        if key.algorithm != "rsa-sha256":
            return None
        out = os.path.join(self.folder, "by-perl.eml")
        answer = self.ask("sign", path, out, key.path, how, DOMAIN, key.selector)
        if answer != ["signed"]:
            raise RuntimeError(" ".join(answer))
        return open(out, "rb").read()

    def close(self):
        self.perl.stdin.close()
        self.perl.wait()


class OpenDkim:
    name = "opendkim"

    def __init__(self, folder, keys):
        self.conf = os.path.join(folder, "opendkim.conf")
        with open(os.path.join(folder, "opendkim.keys"), "w") as table:
            table.write("".join("%s %s\n" % (key.name, key.record) for key in keys))
        with open(self.conf, "w") as conf:
            conf.write("Mode v\nTestPublicKeys %s\nSyslog no\n" % table.name)

    def verify(self, path, key):
        done = subprocess.run(["opendkim", "-x", self.conf, "-t", path], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=120)
        text = done.stdout.decode("utf-8", "replace").strip()
        return "succeeded" in text, text

    def sign(self, path, key, how):
        return None


def find_peers(folder, keys):
    peers = []
    if dkimpy is not None:
        peers.append(PythonDkim(keys))
    if subprocess.run(["perl", "-MMail::DKIM", "-e1"], stderr=subprocess.DEVNULL).returncode == 0:
        peers.append(MailDkim(folder))
    if shutil.which("opendkim"):
        peers.append(OpenDkim(folder, keys))
    return peers


class Run:
    def __init__(self, arguments, tool, folder, keys, peers):
        self.arguments, self.tool, self.folder, self.keys, self.peers = arguments, tool, folder, keys, peers
        self.tally, self.agreement, self.failed = collections.Counter(), collections.Counter(), 0

    def note(self, direction, peer, what, answer):
        if answer is None:
            return 0
        good, why = answer
        known = known_mistake(peer, *what[:2])
        if good:
            self.tally[direction % peer] += 1
        elif known:
            self.tally["(%s, known: %s)" % (direction % peer, known)] += 1
        else:
            self.failed += 1
        if (not good and not known) or self.arguments.verbose:
            print("%s %s: %s: %s" % ("ok  " if good else "MISS", direction % peer, ", ".join(what), "" if good else why))
        return int(bool(good))

    def combination(self, name, message, key, how, number):
        what = (name, how, key.algorithm)
        # Chunks of all sizes, odd ones above all; a byte at a time would take its time on the large ones.
        chunk = (1, 2, 3, 7, 64, 4096, 65535)[number % 7] if len(message) < 100000 else (63, 1000, 65535)[number % 3]
        ours = os.path.join(self.folder, "ours.eml")
        with open(ours, "wb") as file:
            file.write(self.tool.sign(key, how, self.original, chunk))
        result, why = self.tool.verify(ours, 65535)
        self.note("we sign, %s verifies", "we", what, (result == "pass", why))
        agreeing = sum(self.note("we sign, %s verifies", peer.name, what, peer.verify(ours, key)) for peer in self.peers)
        self.agreement[min(agreeing, 2)] += 1
        for peer in self.peers:
            signed = peer.sign(self.original, key, how)
            if signed is None:
                continue
            theirs = os.path.join(self.folder, "theirs.eml")
            with open(theirs, "wb") as file:
                file.write(signed)
            result, why = self.tool.verify(theirs, chunk)
            self.note("%s signs, we verify", peer.name, what, (result == "pass", why))

    def all(self):
        number = 0
        for name, message in MESSAGES.items():
            self.original = os.path.join(self.folder, "original.eml")
            with open(self.original, "wb") as file:
                file.write(message)
            for header in "relaxed", "simple":
                for body in "relaxed", "simple":
                    for key in self.keys:
                        number += 1
                        # The large ones cost others seconds each: one key is enough.
                        if name in LARGE and (self.arguments.quick or header != body or key != self.keys[0]):
                            continue
                        self.combination(name, message, key, "%s/%s" % (header, body), number)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("--quick", action="store_true", help="without the messages of many MiB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        tool = Tool(arguments.tool, folder)
        keys = [Key(tool, folder, "rsa", "rsa-sha256", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
                Key(tool, folder, "ed", "ed25519-sha256", "-algorithm", "ED25519")]
        with open(os.path.join(folder, "zone"), "w") as zone:
            zone.write("".join("%s %s\n" % (key.name, key.record) for key in keys))
        peers = find_peers(folder, keys)
        if not peers:
            print("no other implementation is installed (python3-dkim, libmail-dkim-perl, opendkim)")
            return 77
        run = Run(arguments, tool, folder, keys, peers)
        run.all()
        for peer in peers:
            if hasattr(peer, "close"):
                peer.close()
    for line, n in sorted(run.tally.items()):
        print("%5d %s" % (n, line))
    print("combinations that we sign and at least two others verify: %d; one other: %d; none: %d"
          % (run.agreement[2], run.agreement[1], run.agreement[0]))
    print("%d passed, %d failed" % (sum(run.tally.values()), run.failed))
    return 1 if run.failed else 0


sys.exit(main())
