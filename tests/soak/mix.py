"""
The mail of a soak: what is sent, how often, what must become of it, and what the DNS says of those who send it.

Mail.expect is what a reader of the standards expects of a message; it is checked once, on the first reply. After
that each reply must be equal to the first.
"""
import dataclasses
import glob
import importlib.machinery
import importlib.util
import os
import re
import sys
import tempfile
import types

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIOS = os.path.join(HERE, "..", "scenarios")
sys.path[:0] = [os.path.join(HERE, "..", "milter"), SCENARIOS]
import over_socket                      # noqa: E402
from lab.dns import RCODES, TYPES, Zone, wire_data  # noqa: E402

# The scenarios' own program has no .py to its name.
_loader = importlib.machinery.SourceFileLoader("scenarios_run", os.path.join(SCENARIOS, "run"))
scenarios = importlib.util.module_from_spec(importlib.util.spec_from_loader("scenarios_run", _loader))
_loader.exec_module(scenarios)

GENUINE, FORGER, LAPTOP, FORWARDER = "192.0.2.10", "203.0.113.5", "198.51.100.77", "198.51.100.20"
AUTHSERV_ID = "mx.receiver.example"
POLICIES = ("reject", "quarantine", "none")
FORGED = {"reject": "reject", "quarantine": "quarantine", "none": "accept"}
# How much of all mail each kind is; within one, weights are in thousandths of an ordinary message.
SHARES = {"domains": 0.35, "scenarios": 0.25, "cold": 0.15, "odd": 0.1, "ours": 0.1, "broken DNS": 0.05}
TOTAL = 1 << 30
USUAL, RARE, SCARCE = 1000, 50, 3
COLD = "c00000000."     # a domain that nobody has seen before: replay.c changes the digits each time
TTL = 86400
OURS = {"rsa.home.example": ["rsa"], "ed.home.example": ["ed"], "both.home.example": ["rsa", "ed"]}
OUR_KEYS = {"rsa": "k1", "ed": "ed"}    # selector: its name in scenarios/keys


@dataclasses.dataclass
class Mail:
    name: str
    envelope: dict
    message: bytes
    expect: object          # called with the result: None, or what is wrong
    weight: int = USUAL
    signed: bool = False    # by us
    cold: bool = False


def expects(action, *words, lacks=(), top="Authentication-Results"):
    """The action; and @words in the topmost field, which is ours; with top=None none of ours is there."""
    def judge(got):
        done = "quarantine" if got.quarantine else got.action
        if done != action:
            return "%s (%s), not %s" % (done, got.reply or got.headers[:1], action)
        if done not in ("accept", "quarantine"):
            return None
        if top is None:
            return "changed: %s" % got.changes if got.changes else None
        name, value = got.headers[0] if got.headers else ("", "")
        value = " ".join(value.split())
        missing = [word for word in words if word not in value] + ["not " + word for word in lacks if word in value]
        return "%s: %s" % (", ".join(missing), value) if missing or name != top else None
    return judge


# ---- domains that behave ----

def text(domain, number, more="", body="Shall we meet at noon?\r\n" * 8):
    return (more + "From: News <news@%s>\r\nTo: you@receiver.example\r\nSubject: number %d of\r\n\tthis week\r\n"
            "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%d@%s>\r\nMIME-Version: 1.0\r\n\r\n%s"
            % (domain, number, number, domain, body)).encode("latin-1")


def sign(message, domain, key, selector="k1", names="from:to:subject:date:message-id"):
    return scenarios.sign_raw(message, "key=%s v=1; a=%s-sha256; c=relaxed/relaxed; d=%s; s=%s; h=%s; bh=@BH@; b=@B@"
                              % (key, "ed25519" if key == "ed" else "rsa", domain, selector, names))


def envelope(domain, client=GENUINE, **more):
    return {"client-ip": client, "client-name": "mail." + domain, "helo": "mail." + domain, "mail-from": "news@" + domain, **more}


def domain_zone(domain, number, key):
    reports = "; rua=mailto:ok@%s; ruf=mailto:ok@%s" % (domain, domain) if number % 10 == 0 else ""
    return ["%s TXT v=spf1 include:_spf.%s -all" % (domain, domain),
            "_spf.%s TXT v=spf1 a:mail.%s ip4:192.0.2.64/26 -all" % (domain, domain),
            "mail.%s A %s" % (domain, GENUINE),
            "_dmarc.%s TXT v=DMARC1; p=%s%s" % (domain, POLICIES[number % 3], reports),
            # Each domain's text is another one, since keys are kept ready by the text of their record.
            "k1._domainkey.%s TXT %s; n=%d" % (domain, scenarios.record(key), number)]


def of_domain(number):
    """(zone lines, mail) of one of the many domains."""
    domain, key = "g%d.example" % number, "ed" if number % 4 == 0 else "k1"
    plain = text(domain, number)
    good = sign(plain, domain, key)
    policy = POLICIES[number % 3]
    fail = FORGED[policy]
    mails = [
        Mail("genuine", envelope(domain), good,
             expects("accept", "spf=pass", "dkim=pass", "header.d=" + domain, "dmarc=pass", "header.from=" + domain)),
        Mail("genuine, unsigned", envelope(domain), plain, expects("accept", "spf=pass", "dkim=none", "dmarc=pass")),
        Mail("forged", envelope("evil.example", FORGER), plain,
             expects(fail, "spf=pass", "dkim=none", "dmarc=fail", "header.from=" + domain)),
        Mail("forged, envelope too", {**envelope(domain, FORGER), "helo": "mail.evil.example"}, plain,
             expects(fail, "spf=fail", "dmarc=fail")),
        Mail("forwarded", envelope("forwarder.example", FORWARDER), good, expects("accept", "dkim=pass", "dmarc=pass")),
        Mail("altered", envelope("forwarder.example", FORWARDER), good.replace(b"noon", b"nine", 1),
             expects(fail, "dkim=fail", "dmarc=fail"))]
    for mail in mails:
        mail.name = "%s %s" % (domain, mail.name)
    return domain_zone(domain, number, key), mails


def of_domains(n):
    parts = [of_domain(number) for number in range(n)]
    return [line for zone, _ in parts for line in zone], [mail for _, mails in parts for mail in mails]


# ---- odd, large and hostile mail of one domain ----

def forged_results(domain):
    return "".join("%s;\r\n\tdmarc=pass header.from=%s\r\n" % (start, domain) for start in (
        "Authentication-Results: " + AUTHSERV_ID, "authentication-results: (x) MX.Receiver.Example 1",
        'AUTHENTICATION-RESULTS: "mx.receiver.example"', "Authentication-Results: mx.other.example",
        "Authentication-Results:\tmx.receiver.example."))


def odd():
    """(zone lines, mail): @domain's are genuine but for what their name says."""
    domain = "odd.example"
    zone = domain_zone(domain, 3, "k1") + ["mail.%s TXT v=spf1 a -all" % domain]    # p=reject
    passes = expects("accept", "dkim=pass", "dmarc=pass")
    large = "0123456789abcdef" * 4 + "\r\n"

    def add(name, message, expect=passes, weight=USUAL, signed_names="from:to:subject:date:message-id", by=GENUINE):
        if signed_names:
            message = sign(message, domain, "k1", names=signed_names)
        return Mail("odd: " + name, envelope(domain, by), message, expect, weight)

    return zone, [
        add("no body", text(domain, 1, body="")),
        add("body of empty lines", text(domain, 2, body="\r\n" * 500)),
        add("8-bit header and body", text(domain, 3, "X-Name: J\xf6rg \xff\xfe\r\n", "\x80\xff Gr\xfc\xdfe\r\n" * 40)),
        add("bytes of every kind in the body", text(domain, 4, body="".join(map(chr, range(256))) * 20)),
        add("MIME without an end", text(domain, 5, 'Content-Type: multipart/mixed; boundary="b\r\n',
                                        "--b\r\nContent-Type: \r\n\r\n--b\r\n--b--b\r\n")),
        add("lone CR and LF in the body", text(domain, 6, body="a\rb\nc\r\rd\n\n" * 50)),
        add("a line of 100 KB", text(domain, 7, body="x" * 100000 + "\r\n"), weight=RARE),
        add("results fields of ours forged", text(domain, 8, forged_results(domain)),
            lambda got: passes(got) or (None if len(got.header("Authentication-Results")) == 2 else "left: %s" % got.headers)),
        add("a header line of 1 MiB", text(domain, 9, "X-Long: " + "a" * (1 << 20) + "\r\n"), weight=RARE),
        add("9,000 fields", text(domain, 10, "".join("X-%d: a\r\n" % i for i in range(9000))), weight=RARE),
        add("5 MiB of header", text(domain, 11, ("X-Long: " + "a" * (1 << 20) + "\r\n") * 5), expects("reject"), RARE, None),
        add("body of 1 MiB", text(domain, 12, body=large * 15888), weight=RARE),
        add("body of 1 MiB altered", text(domain, 13, body=large * 15888).replace(b"0123", b"0124", 1), weight=RARE),
        add("20 signatures, one of them good", text(domain, 14, ("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=%s; s=k1;\r\n"
            "\th=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=%s\r\n" % (domain, "A" * 342)) * 19), weight=RARE),
        add("two From", text(domain, 15, "From: x@evil.example\r\n"), expects("reject"), signed_names=None, by=FORGER),
        add("no From", b"Subject: x\r\n\r\nx\r\n", expects("accept", "dmarc=permerror"), signed_names=None),
        add("nothing but the end", b"\r\n", expects("accept", "dmarc=permerror"), signed_names=None),
        add("From of two domains", text(domain, 16).replace(b"From: ", b"From: ceo@evil.example, ", 1), expects("reject"), signed_names=None,
            by=FORGER),
        add("From in every wrong way", text(domain, 17).replace(b"<news@", b"(<a@evil.example>) \"x@y\" <<news@", 1),
            expects("reject"), signed_names=None, by=FORGER),
        add("64 KB of nested comments in From", text(domain, 18).replace(b"From: ", b"From: " + b"(" * 65536, 1),
            expects("accept", "dmarc=permerror"), RARE, None),
        Mail("odd: a bounce", {**envelope(domain), "mail-from": ""}, sign(text(domain, 19), domain, "k1"),
             expects("accept", "spf=pass", "smtp.helo=mail." + domain, "dkim=pass", "dmarc=pass")),
        Mail("odd: over IPv6", envelope(domain, "2001:db8::10"), sign(text(domain, 20), domain, "k1"),
             expects("accept", "spf=fail", "dkim=pass", "dmarc=pass")),
    ] + [
        Mail("altered: 1 MiB", envelope(domain), sign(text(domain, 21, body=large * 15888), domain, "k1") + b"more\r\n",
             expects("accept", "spf=pass", "dkim=fail", "dmarc=pass"), RARE)]


def broken_dns():
    """Names whose servers fail, or say nothing at all: each of the latter costs its message DNSTimeout."""
    zone, mails = [], []
    for kind, word, weight in (("broken", "RCODE SERVFAIL", USUAL), ("silent", "TIMEOUT", SCARCE)):
        for number in range(4):
            domain = "%s%d.example" % (kind, number)
            zone += ["%s %s" % (domain, word), "_dmarc.%s %s" % (domain, word)]
            mails.append(Mail(domain, envelope(domain), text(domain, number), expects("tempfail"), weight))
        domain = "%s-key.example" % kind
        zone += domain_zone(domain, 3, "k1")[:-1] + ["k1._domainkey.%s %s" % (domain, word)]
        mails.append(Mail(domain, envelope(domain), sign(text(domain, 9), domain, "k1"),
                          expects("accept", "spf=pass", "dkim=temperror", "dmarc=pass"), weight))
    return zone, mails


def cold():
    """Each message of a domain of its own; under `warm` there is an SPF record that passes, under `cold` nothing."""
    zone = ["*.warm TXT v=spf1 ip4:%s -all" % GENUINE, "warm A 192.0.2.99"]
    mails = []
    for top, words in (("warm", ("spf=pass",)), ("cold", ("spf=none",))):
        domain = COLD + top
        address = {"client-ip": GENUINE, "client-name": "mail.odd.example", "helo": "mail.odd.example", "mail-from": "news@" + domain}
        mails.append(Mail(domain, address, text(domain, 1), expects("accept", *words, "header.from=" + domain), cold=True))
    return zone, mails


def ours():
    """What our users send, and what else comes from within."""
    zone, mails = [], []
    for domain, selectors in OURS.items():
        zone += ["%s._domainkey.%s TXT %s" % (one, domain, scenarios.record(OUR_KEYS[one])) for one in selectors]

        def signed(got, domain=domain, selectors=selectors):
            fields = [" ".join(value.split()) for value in got.header("DKIM-Signature")]
            found = sorted(re.search(r"; s=(\w+);", value)[1] for value in fields if "d=%s;" % domain in value)
            if got.action != "accept" or found != sorted(selectors) or got.header("Authentication-Results"):
                return "signed by %s: %s" % (found, got)
            return None
        for name, body in (("", "Shall we meet at noon?\r\n" * 8), (", 64 KB", "0123456789abcdef" * 4096)):
            mails.append(Mail("ours: %s%s" % (domain, name), envelope(domain, LAPTOP, auth="alice"), text(domain, 1, body=body),
                              signed, RARE if name else USUAL * 4, signed=True))
        mails.append(Mail("ours: %s, a printer's" % domain, envelope(domain, "127.0.0.1"), text(domain, 2), signed, USUAL, signed=True))
        mails.append(Mail("forged: " + domain, envelope(domain, FORGER), text(domain, 3),
                          expects("accept", "dkim=none", "dmarc=none")))
    mails.append(Mail("ours: a domain without key", envelope("foreign.example", LAPTOP, auth="alice"),
                      text("foreign.example", 1), expects("accept", top=None)))
    return zone, mails


# ---- the scenarios ----

def renamed(scenario, top):
    """
    In a top-level domain of its own, as long as `example`, so that the scenarios' zones are one zone. Our own name stays.
    """
    def name(line):
        return re.sub(r"(?i)(?<!receiver\.)(?<![\w-])example(?![\w-])", top, line)
    return {key: [name(line) for line in value] if isinstance(value, list) else value for key, value in scenario.items()}


def as_scenario(wanted):
    """A name that is never answered may have failed for another message before."""
    failed = {**wanted, "field": wanted["field"].replace("DNS look-up timed out", "DNS look-up failed")}
    return lambda got: over_socket.judge(got, wanted) and over_socket.judge(got, failed)


def from_scenarios(ctl, every):
    """
    (zone lines, mail, what was left out): each @every-th scenario without options of its own, judged by `trimilterctl
    check` under its new name. Left out is what means something else there.
    """
    zone, mails, left_out, owners = [], [], [], {}
    paths = sorted(glob.glob(os.path.join(SCENARIOS, "*.txt")))
    usable = [one for path in paths for one in scenarios.read(path)
              if not any(one.get("config", [])) and "client-ip" in scenarios.envelope(one)]
    for number, plain in enumerate(usable[::every]):
        one = renamed(plain, "e%06d" % number)
        name = "scenario: " + one["what"].replace("\n", " ")
        lines = [line for line in scenarios.zone_text(one).splitlines() if line and line[0] not in "#;"]
        if any(owners.get(line.split()[0].lower(), number) != number for line in lines):
            left_out.append(name + ": shares names with another")
            continue
        if any(line.split()[0].rstrip(".").endswith("localhost") for line in lines):
            left_out.append(name + ": a resolver answers localhost by itself (RFC 6761)")
            continue
        with tempfile.TemporaryDirectory() as folder:
            message = scenarios.build(one)
            got, why = scenarios.by_ctl(types.SimpleNamespace(ctl=ctl), one, message, folder)
        why = why or scenarios.judge(one, got)
        if why or any(b"\0" in part for field in over_socket.split(message)[0] for part in field):
            left_out.append("%s: %s" % (name, why or "a NUL cannot come over the socket"))
            continue
        owners.update((line.split()[0].lower(), number) for line in lines)
        zone += lines
        slow = any(" TIMEOUT" in line for line in lines)
        mails.append(Mail(name, scenarios.envelope(one), message, as_scenario(got), SCARCE if slow else USUAL))
    return zone, mails, left_out


# ---- all of it ----

def dns_zone(lines):
    """The zone of a test's own language (src/dns/dns_zone.h) for the server of the lab."""
    def plain(word):
        return re.sub(r"\\(\d{3}|.)", lambda m: chr(int(m[1])) if m[1].isdigit() and len(m[1]) == 3 else m[1], word)
    zone = Zone()
    zone.ttl = TTL
    for line in lines:
        owner, kind, value = (line.split(None, 2) + [""])[:3]
        name, value = zone.name(plain(owner)), value.strip()
        if kind == "RCODE":
            name.rcode = RCODES[value]
        elif kind == "TIMEOUT":
            name.dropped.add("*")
        elif kind == "TXT" and value.startswith('"'):
            strings = [plain(part) for part in re.findall(r'"((?:[^"\\]|\\.)*)"', value)]
            data = b"".join(bytes([len(piece)]) + piece for string in strings for piece in pieces(string.encode("latin-1")))
            name.records.setdefault("TXT", []).append((TTL, data))
        elif kind == "TXT":
            data = b"".join(bytes([len(piece)]) + piece for piece in pieces(value.encode("utf-8", "surrogateescape")))
            name.records.setdefault("TXT", []).append((TTL, data))
        elif kind in TYPES:
            name.records.setdefault(kind, []).append((TTL, wire_data(kind, value.split())))
        else:
            raise ValueError("not understood: " + line)
    return zone


def pieces(raw):
    return [raw[i:i + 255] for i in range(0, len(raw), 255)] or [b""]


def make(ctl, n_domains, every):
    """(zone, mail, scenarios that were left out)"""
    lines = ["evil.example TXT v=spf1 ip4:%s -all" % FORGER, "mail.evil.example A " + FORGER,
             "forwarder.example TXT v=spf1 ip4:%s -all" % FORWARDER, "receiver.example A 192.0.2.200"]
    kinds = {"domains": of_domains(n_domains), "odd": odd(), "broken DNS": broken_dns(), "ours": ours(), "cold": cold()}
    *kinds["scenarios"], left_out = from_scenarios(ctl, every)
    mails = []
    for kind, (zone, some) in kinds.items():
        lines += zone
        mails += some
        factor = SHARES[kind] * TOTAL / sum(mail.weight for mail in some)
        for mail in some:
            mail.weight = max(round(mail.weight * factor), 1)
    return dns_zone(lines), mails, left_out
