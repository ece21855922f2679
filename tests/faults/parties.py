"""The messages that faults are tried on, what is published of their domains, and what may become of them."""
import os
import sys

import dkim

HERE = os.path.dirname(os.path.abspath(__file__))
KEYS = os.path.join(HERE, "..", "scenarios", "keys")
sys.path[:0] = [os.path.join(HERE, "..", ".."), os.path.join(HERE, "..", "milter")]

# It takes the program from the command line.
_argv, sys.argv = sys.argv, sys.argv[:1]
import test_daemon  # noqa: E402, F401
sys.argv = _argv

GENUINE, FORGER = "192.0.2.1", "198.51.100.1"
FIELDS = [("From", " a@example.org"), ("To", " b@example.net"), ("Subject", " one"), ("Date", " Fri, 21 Nov 2025 10:00:00 +0000"),
          ("Message-ID", " <1@example.org>")]
BODY = b"Shall we meet at noon?\r\n" * 20

with open(os.path.join(KEYS, "k1.record")) as _file:
    RECORD = _file.read().strip()
ZONE = "\n".join([
    'example.org TXT "v=spf1 include:spf.example.org -all"',
    'spf.example.org TXT "v=spf1 a:a.example.org mx:example.org -all"',
    "a.example.org A 192.0.2.77", "example.org MX 10 mail.example.org", "mail.example.org A 192.0.2.1",
    '_dmarc.example.org TXT "v=DMARC1; p=reject"',
    "k1._domainkey.example.org TXT " + " ".join('"%s"' % RECORD[i:i + 200] for i in range(0, len(RECORD), 200))]) + "\n"
CONFIG = """AuthservID mx.example.net
Domain example.org
Selector k1
KeyFile {key}
RejectFailures yes
InternalHosts 127.0.0.1
"""


def text(fields):
    return b"".join(("%s:%s\r\n" % field).encode() for field in fields) + b"\r\n" + BODY


def signature(fields=FIELDS, domain="example.org"):
    with open(os.path.join(KEYS, "k1.pem"), "rb") as file:
        key = file.read()
    field = dkim.sign(text(fields), b"k1", domain.encode(), key).decode()
    return "DKIM-Signature", field.split(":", 1)[1].rstrip("\r\n").replace("\r\n", "\n")


SIGNED = [signature(), *FIELDS]


def private_key(folder):
    """A copy that nobody else may read."""
    path = os.path.join(folder, "key.pem")
    with open(os.path.join(KEYS, "k1.pem"), "rb") as old, open(path, "wb") as new:
        new.write(old.read())
    os.chmod(path, 0o600)
    return path


def words(found):
    """What counts in the JSON of `trimilterctl check`."""
    return {"dkim": [one["result"] for one in found["dkim"]], "spf": found["spf"]["result"], "dmarc": found["dmarc"]["result"],
            "action": found["verdict"]["action"]}


def wrong(right, got):
    """What of a result under a fault is neither the right one nor a word that says it is not known; None: nothing."""
    for name in ("spf", "dmarc"):
        if got[name] not in (right[name], "temperror"):
            return "%s=%s instead of %s" % (name, got[name], right[name])
    if len(got["dkim"]) != len(right["dkim"]) or any(g not in (r, "temperror") for g, r in zip(got["dkim"], right["dkim"])):
        return "dkim=%s instead of %s" % (got["dkim"], right["dkim"])
    if got["action"] not in (right["action"], "tempfail"):
        return "%s instead of %s" % (got["action"], right["action"])
    return None
