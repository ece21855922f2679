#!/usr/bin/python3
"""Configurations as people have them, after what public guides show: they start, and sign and verify as meant.

    real.py TRIMILTER TRIMILTERCTL [-k WORD]

Each real/*.txt is one or more set-ups:

    == what it is
    -- file PATH [keys] a file, PATH as the guide has it; keys: @NAME as in zone; all absolute paths move below a directory of the test's
    -- key PATH NAME   the private key keys/NAME.pem of tests/scenarios, at PATH; "mode=0644" behind: with that mode
    -- zone            records, @NAME standing for that key's
    -- convert         the arguments of `trimilterctl conf convert`; what it writes is started then, and "warns" must stand in it
    -- writes          texts that must stand in what it writes, blanks as one
    -- lacks           what it must say on standard error that it could not convert (exit 65), or read (66: nothing is written); without this, exit 0
    -- start           arguments; default: -c /etc/opendkim.conf
    -- send            from=A [mail-from=A] [auth=U] [client=IP|local] [rcpt=A] [daemon=NAME] ["header=NAME: TEXT"]... [sign=D/S/KEY]
                       -> WANTED, one message a line; sign: by whom it is signed already
                       WANTED: signed D/S,... [TAG=VALUE|*]... | unsigned | results TEXT | reply TEXT | accepted | untouched | discarded
                       | field NAME: TEXT | tag TAG=TEXT (of a signature) | copied A | held TEXT | said TEXT (in the log) | quiet TEXT (not there)
    -- fails           texts that `trimilter -n` must say when it refuses (exit 78)
    -- warns           texts that it must say although it starts
    -- silent          texts that it must not say
    -- testkey         texts that `trimilterctl testkey` must say
    -- acts            OPTION VALUE :: a line as for send: it holds with this line of configuration behind the others (" && "
                       between several), and not without it

A signature is checked by an independent implementation (python3-dkim). Last line: "N passed, N failed".
"""
import glob, os, re, shlex, socket, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIOS = os.path.join(HERE, "..", "scenarios")
sys.path.insert(0, os.path.join(HERE, "..", "milter"))
from miltertest import Milter

DAEMON, CTL = (os.path.abspath(path) for path in sys.argv[1:3])
WORD = sys.argv[4] if len(sys.argv) > 4 else ""
PATHS = re.compile(r"(?<![\w/.])/(etc|run|var|srv|home|usr/local)/")


class Wrong(Exception):
    pass


def want(condition, text):
    if not condition:
        raise Wrong(text)


def read(path):
    setups = []
    for line in open(path, encoding="utf-8"):
        line = line.rstrip("\n")
        if line.startswith("== "):
            setups.append({"what": line[3:], "sections": []})
        elif line.startswith("-- "):
            setups[-1]["sections"].append((line[3:].split(), []))
        elif setups and setups[-1]["sections"]:
            setups[-1]["sections"][-1][1].append(line)
    return setups


def lines_of(setup, name):
    return [line for words, lines in setup["sections"] if words[0] == name for line in lines if line]


def key(name, suffix):
    return open(os.path.join(SCENARIOS, "keys", name + suffix)).read().strip()


def with_keys(text):
    return re.sub(r"(?<!\w)@(\w+)\b", lambda m: key(m.group(1), ".record"), text)


def lay_out(setup, root):
    def move(text):
        return PATHS.sub(lambda m: root + m.group(0), text)
    for directory in ("etc", "run/opendkim", "run/opendmarc", "var/run/opendkim", "var/run/dkim-milter", "var/spool/postfix/opendkim"):
        os.makedirs(os.path.join(root, directory), exist_ok=True)
    for words, lines in setup["sections"]:
        if words[0] not in ("file", "key"):
            continue
        path = root + words[1]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        text = key(words[2], ".pem") if words[0] == "key" else move("\n".join(lines))
        if words[2:] == ["keys"]:
            text = with_keys(text)
        # The test has no such user; whether it may drop its rights is tested elsewhere.
        text = re.sub(r"(?m)^\s*UserID\b", "#UserID", text)
        with open(path, "w") as file:
            file.write(text + "\n")
        os.chmod(path, int(words[3][5:], 8) if len(words) > 3 else 0o600)
    zone = with_keys("\n".join(lines_of(setup, "zone")))
    with open(os.path.join(root, "zone"), "w") as file:
        file.write((zone or "none.example TXT none") + "\n")
    with open(os.path.join(root, "test.conf"), "w") as file:
        file.write("DNSZoneFile {0}/zone\nSyslog no\nReportSpool {0}/spool\nReportStore sqlite:{0}/reports.db\n".format(root))
    start = " ".join(lines_of(setup, "start")) or "-c /etc/opendkim.conf"
    return move(start).split() + ["-c", os.path.join(root, "test.conf")], zone


def use_socket(root, arguments):
    """The daemon of the test listens where the test can reach it."""
    for path in arguments[1::2]:
        text = open(path).read()
        text = re.sub(r"(?mi)^\s*Socket\b.*", "Socket local:%s/s" % root, text)
        # Ours comes last, and counts where no other names one.
        text += "\nSocket local:%s/s\n" % root if path == arguments[-1] else ""
        open(path, "w").write(text)


def convert(setup, root):
    """What ran before becomes a directory of ours; its trimilter.conf is what is started."""
    out = os.path.join(root, "out")
    words = [PATHS.sub(lambda m: root + m.group(0), word) for word in " ".join(lines_of(setup, "convert")).split()]
    done = subprocess.run([CTL, "conf", "convert", "-o", out, *words], capture_output=True, text=True, timeout=60)
    lacks = lines_of(setup, "lacks")
    if done.returncode == 66:
        want(lacks and all(text in done.stderr.replace(root, "") for text in lacks), "convert: %s" % said(done))
        want(not os.path.exists(out), "convert writes although a file cannot be read")
        return None
    want(done.returncode == (65 if lacks else 0), "convert: exit %d: %s" % (done.returncode, said(done)))
    for text in lacks:
        want(text in done.stderr.replace(root, ""), "convert does not say %r: %s" % (text, done.stderr))
    names = sorted(os.path.join(top, name) for top, _, files in os.walk(out) for name in files)
    text = "".join(open(name).read() for name in names)
    written = re.sub(r"[ \t]+", " ", text.replace(root, ""))
    for wanted in lines_of(setup, "writes"):
        want(wanted in written, "convert does not write %r: %s" % (wanted, written))
    again = subprocess.run([CTL, "conf", "convert", "-o", out, *words], capture_output=True, text=True, timeout=60)
    want(again.returncode not in (0, 65), "convert replaces what is there")
    want(names == sorted(os.path.join(top, name) for top, _, files in os.walk(out) for name in files), "convert leaves files behind")
    return os.path.join(out, "trimilter.conf")


def said(done):
    return done.stdout + done.stderr


def check_start(setup, root, arguments):
    done = subprocess.run([DAEMON, "-n", *arguments], capture_output=True, text=True, timeout=60)
    fails = lines_of(setup, "fails")
    want(done.returncode == (78 if fails else 0), "trimilter -n: exit %d: %s" % (done.returncode, said(done)))
    for text in fails + lines_of(setup, "warns"):
        want(text in said(done).replace(root, ""), "trimilter -n does not say %r: %s" % (text, said(done)))
    repeated = [text for text in set(said(done).split("\n")) if text and said(done).split("\n").count(text) > 1]
    want(not repeated, "trimilter -n says twice: %s" % repeated)
    for text in lines_of(setup, "silent"):
        want(text not in said(done), "trimilter -n says %r: %s" % (text, said(done)))
    for text in lines_of(setup, "testkey"):
        done = subprocess.run([CTL, "testkey", *arguments], capture_output=True, text=True, timeout=60)
        want(text in said(done).replace(root, ""), "testkey does not say %r: %s" % (text, said(done)))
    return not fails


def verify(result, body, zone, wanted):
    import dkim
    fields = [(n, v.replace("\n", "\r\n")) for n, v in result.headers]
    message = "".join("%s:%s\r\n" % field for field in fields).encode() + b"\r\n" + body
    records = dict(line.split(" TXT ", 1) for line in zone.split("\n") if " TXT " in line)

    def lookup(name, timeout=5):
        return records.get(name.decode().rstrip("."), "").encode()
    by, *tags_wanted = wanted.split()
    found = []
    for i, value in enumerate(result.header("DKIM-Signature")):
        tags = dict(re.findall(r"(\w+)=([^;]*)", re.sub(r"\s", "", value)))
        found.append("%s/%s" % (tags["d"], tags["s"]))
        want(dkim.DKIM(message).verify(i, dnsfunc=lookup), "signature %s does not verify" % found[-1])
        for tag, value in (word.split("=", 1) for word in tags_wanted):
            want(tags.get(tag, "") == value or (value == "*" and tag in tags), "signature %s has %s=%s, not %s" % (found[-1], tag, tags.get(tag), value))
    want(sorted(found) == sorted(by.split(",")), "signed %s, not %s" % (found, by))


def sign(headers, body, by):
    """The field that an independent implementation writes."""
    import dkim
    domain, selector, name = by.split("/")
    message = "".join("%s:%s\r\n" % field for field in headers).encode() + b"\r\n" + body
    field = dkim.sign(message, selector.encode(), domain.encode(), key(name, ".pem").encode(),
                      include_headers=[b"from", b"subject"]).decode()
    return "DKIM-Signature", re.sub(r"\r\n\s*", " ", field.split(":", 1)[1])


def is_logged(root, text):
    """The log is written when the MTA has its answer."""
    for _ in range(20):
        if text in open(os.path.join(root, "log")).read():
            return True
        time.sleep(0.02)
    return False


def send(root, line, zone):
    words, _, wanted = line.partition(" -> ")
    words = re.sub(r"\{(\d+)\}", lambda m: "x" * int(m.group(1)), words)
    words = [word.split("=", 1) for word in shlex.split(words)]
    given = dict(words)
    client = given.get("client", "203.0.113.5")
    body = b"text\r\n"
    headers = [("From", " " + given["from"]), ("To", " you@receiver.example"), ("Subject", " x"),
               ("Date", " Tue, 14 Nov 2023 22:13:20 +0000"), ("Message-ID", " <1@example.com>")]
    headers = [tuple(value.split(":", 1)) for name, value in words if name == "header"] + headers
    if "drop" in given:
        headers = [field for field in headers if field[0] != given["drop"]]
    if "sign" in given:
        headers.insert(0, sign(headers, body, given["sign"]))
    with Milter("local:%s/s" % root, macros={"{daemon_name}": given.get("daemon", "smtpd")}) as milter:
        milter.connect("localhost" if client == "local" else "[%s]" % client, None if client == "local" else client)
        milter.helo("client.example")
        result = milter.message(given.get("mail-from", given["from"]), [given.get("rcpt", "you@receiver.example")], headers, body, queue_id="4F00",
                                macros={"{auth_authen}": given["auth"]} if "auth" in given else {})
    kind, _, text = wanted.partition(" ")
    if kind == "signed":
        verify(result, body, zone, text)
    elif kind == "unsigned":
        want(not result.header("DKIM-Signature"), "%s: signed" % words)
    elif kind == "untouched":
        want(result.changes == [], "%s: %r" % (words, result))
    elif kind == "results":
        want(any(text in re.sub(r"\s+", " ", value) for value in result.header("Authentication-Results")),
             "%s: results lack %r: %r" % (words, text, result.headers[:2]))
    elif kind == "accepted":
        want(not result.reply, "%s: reply %r" % (words, result.reply))
    elif kind == "tag":
        tags = dict(re.findall(r"(\w+)=([^;]*)", re.sub(r"\s", "", "".join(result.header("DKIM-Signature")))))
        tag, _, value = text.partition("=")
        want(value in tags.get(tag, "-"), "%s: %r" % (words, tags))
    elif kind == "field":
        want(any(text in "%s:%s" % (n, re.sub(r"\s+", " ", v)) for n, v in result.headers), "%s: %r" % (words, result.headers))
    elif kind == "copied":
        want(("+", text.encode() + b"\0") in result.changes, "%s: %r" % (words, result.changes))
    elif kind == "held":
        want(result.quarantine and text in result.quarantine, "%s: %r" % (words, result))
    elif kind == "discarded":
        want(result.action == "discard", "%s: %r" % (words, result))
    elif kind == "said":
        want(is_logged(root, text), "%s: the log lacks %r" % (words, text))
    elif kind == "quiet":
        want(not is_logged(root, text), "%s: the log has %r" % (words, text))
    elif kind == "reply":
        want(text in (result.reply or ""), "%s: reply %r" % (words, result.reply))
    else:
        raise Wrong("what is %r?" % wanted)


class Running:
    """The daemon with this configuration."""
    def __init__(self, root, arguments):
        self.root, self.arguments = root, arguments

    def __enter__(self):
        self.log = open(os.path.join(self.root, "log"), "w")
        self.daemon = subprocess.Popen([DAEMON, "-f", *self.arguments], stderr=self.log)
        if not listens(self.root + "/s", self.daemon):
            self.__exit__()
            raise Wrong("does not start: " + open(self.root + "/log").read()[-400:])

    def __exit__(self, *_):
        self.daemon.terminate()
        self.daemon.wait()
        self.log.close()


def holds(root, arguments, extra, line, zone):
    path = os.path.join(root, "extra.conf")
    with open(path, "w") as file:
        file.write(extra + "\n")
    with Running(root, arguments + ["-c", path]):
        try:
            send(root, line, zone)
            return True
        except Wrong as wrong:
            return str(wrong)


def check_act(root, arguments, line, zone, move):
    option, _, probe = line.partition(" :: ")
    extra = move(option.replace(" && ", "\n"))
    said_with = holds(root, arguments, extra, probe, zone)
    want(said_with is True, "%s: %s" % (option, said_with))
    want(holds(root, arguments, "", probe, zone) is not True, "%s: acts in nothing: %s" % (option, probe))


def listens(path, daemon):
    """The socket stands a moment before it takes connections."""
    for _ in range(1000):
        if daemon.poll() is not None:
            return False
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.02)
    return False


def run(setup, root):
    arguments, zone = lay_out(setup, root)
    if any(words[0] == "convert" for words, _ in setup["sections"]):
        path = convert(setup, root)
        if path is None:
            return
        arguments = ["-c", path, *arguments[-2:]]
    if not check_start(setup, root, arguments):
        return
    use_socket(root, arguments)
    if lines_of(setup, "send"):
        with Running(root, arguments):
            for line in lines_of(setup, "send"):
                send(root, line, zone)
    wrong = []
    for line in lines_of(setup, "acts"):
        try:
            check_act(root, arguments, line, zone, lambda text: PATHS.sub(lambda m: root + m.group(0), text))
        except Wrong as error:
            wrong.append(str(error)[:400])
    want(not wrong, "\n  ".join(wrong))


def port_in_use(root):
    """What somebody sees whose OpenDKIM still runs."""
    taken = socket.create_server(("127.0.0.1", 0))
    with open(os.path.join(root, "conf"), "w") as file:
        file.write("Socket inet:%d@127.0.0.1\nSyslog no\nMode v\n" % taken.getsockname()[1])
    done = subprocess.run([DAEMON, "-f", "-c", os.path.join(root, "conf")], capture_output=True, text=True, timeout=60)
    taken.close()
    want(done.returncode != 0 and "in use" in said(done), "port in use: exit %d: %s" % (done.returncode, said(done)))


def main():
    passed = failed = 0
    jobs = [(setup["what"], lambda root, one=setup: run(one, root))
            for path in sorted(glob.glob(os.path.join(HERE, "real", "*.txt"))) for setup in read(path)]
    jobs.append(("a port that is in use", port_in_use))
    for what, job in jobs:
        if WORD not in what:
            continue
        with tempfile.TemporaryDirectory(prefix="trimilter-real-") as root:
            try:
                job(root)
                passed += 1
            except (Wrong, ConnectionError, OSError, subprocess.TimeoutExpired) as error:
                failed += 1
                print("FAIL %s: %s" % (what, error))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


sys.exit(main())
