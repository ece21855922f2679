"""The same scenario over a milter socket: the daemon must say what `trimilterctl check` said."""
import os, re, subprocess, time

ENGINES = {"libmilter": ["libmilter"], "native": ["native"], "both": ["libmilter", "native"]}

from miltertest import Milter


def split(message):
    """Header fields as an MTA brings them (values with LF and their leading space), and the body."""
    head, found, body = message.partition(b"\r\n\r\n")
    if not found:
        head, body = message.rstrip(b"\r\n"), b""
    fields = []
    for line in head.split(b"\r\n"):
        if fields and line[:1] in (b" ", b"\t"):
            fields[-1][1] += b"\n" + line
        elif b":" in line:
            name, _, value = line.partition(b":")
            fields.append([name, value])
    return [tuple(field) for field in fields], body


def decode(raw):
    return raw.decode("utf-8", "surrogateescape")


def start(daemon, folder, engine):
    config = os.path.join(folder, "conf")
    address = "local:%s/socket" % folder
    with open(config, "a") as file:
        file.write("Socket %s\nMilterEngine %s\nReportSpool %s/spool\nReportStore sqlite:%s/reports.db\n"
                       % (address, engine, folder, folder))
    process = subprocess.Popen([daemon, "-f", "-c", config], stderr=open(os.path.join(folder, "log"), "wb"))
    for _ in range(500):
        if process.poll() is not None:
            break
        try:
            return process, Milter(address)
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.02)
    process.kill()
    process.wait()
    raise RuntimeError("the daemon does not start: " + open(os.path.join(folder, "log")).read()[-400:])


def deliver(milter, envelope, fields, body):
    milter.connect(envelope.get("client-name", "[%s]" % envelope["client-ip"]), envelope["client-ip"])
    milter.helo(envelope.get("helo", ""))
    macros = {"{auth_authen}": envelope["auth"], "{auth_type}": "PLAIN"} if "auth" in envelope else {}
    headers = [(decode(name), decode(value)) for name, value in fields]
    return milter.message(envelope.get("mail-from", ""), ["you@receiver.example"], headers, body,
                          queue_id="4F00", macros=macros)


def ask(daemon, folder, engine, envelope, fields, body):
    """What it did, and the bytes in which it said so, without what says when."""
    process, milter = start(daemon, folder, engine)
    try:
        with milter:
            got = deliver(milter, envelope, fields, body)
    finally:
        process.terminate()
        process.wait()
    if got.header("DKIM-Signature"):
        return got, None
    return got, milter.received


def differs(daemon, engine, folder, envelope, message, wanted):
    """None, or how the daemon's verdict differs from @wanted. A NUL cannot come over the milter protocol."""
    fields, body = split(message)
    if any(b"\0" in name + value for name, value in fields) or "client-ip" not in envelope:
        return None
    answers = [ask(daemon, folder, one, envelope, fields, body) for one in ENGINES[engine]]
    if any(raw != answers[0][1] for _, raw in answers):
        return "the fronts differ: %r and %r" % (answers[0][1], answers[1][1])
    whys = (judge(got, wanted) for got, _ in answers)
    return next((why for why in whys if why), None)


def judge(got, wanted):
    action = "quarantine" if got.quarantine else {"continue": "accept", "replycode": None}.get(got.action, got.action)
    if action is None or got.reply:
        action = "tempfail" if got.reply.startswith("4") else "reject"
    if action != wanted["action"]:
        return "over the socket: action %s, not %s (%r)" % (action, wanted["action"], got.reply)
    if wanted["reply"] and " ".join((got.reply or "").split()) != " ".join(wanted["reply"].split()):
        return "over the socket: reply %r, not %r" % (got.reply, wanted["reply"])
    if action in ("accept", "quarantine") and wanted["field"]:
        field = re.sub(r"\s+", " ", got.headers[0][1]).strip()
        if got.headers[0][0] != "Authentication-Results" or field != wanted["field"]:
            return "over the socket: topmost is %s: %s, not %s" % (*got.headers[0], wanted["field"])
    return None
