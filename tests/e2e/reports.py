"""A day of mail in, reports out: to whom, signed, valid, with the numbers that were sent."""
import collections
import email
import email.policy
import glob
import gzip
import json
import os
import re
import shutil
import time
import xml.etree.ElementTree as ElementTree
import zlib

from e2e.case import accepted, case, check, refused
from lab import consumers, guide, mail, wait
from lab.site import BOB, FORGER, PLAIN, quoted

DAY = 86400
REPORTS, OPERATOR = "reports@home.example", "postmaster@home.example"
SPACE = {"rfc9990": "{urn:ietf:params:xml:ns:dmarc-2.0}", "rfc7489": ""}

# Who sends; IPv6 as XCLIENT wants it.
OWN = ("198.51.100.91", "mail.strict.example")
OWN_6 = ("IPV6:2001:db8::91", "mail.strict.example")
FORGER_6 = ("IPV6:2001:db8:bad::66", "host6.spammer.example")

ZONE = """
strict.example            TXT "v=spf1 ip4:198.51.100.91 ip6:2001:db8::91 -all"
s1._domainkey.strict.example TXT {key}
_dmarc.strict.example     TXT "v=DMARC1; p=reject; sp=quarantine; rua=mailto:dmarc@strict.example; ruf=mailto:ruf@strict.example"
halfway.example           TXT "v=spf1 ip4:198.51.100.91 -all"
_dmarc.halfway.example    TXT "v=DMARC1; p=quarantine; rua=mailto:halfway@collector.example,mailto:x@unasked.example; ruf=mailto:ruf@collector.example,mailto:ruf@unasked.example"
halfway.example._report._dmarc.collector.example TXT "v=DMARC1"
lenient.example           TXT "v=spf1 ip4:198.51.100.91 -all"
_dmarc.lenient.example    TXT "v=DMARC1; p=none; rua=mailto:dmarc@lenient.example!10m; ruf=mailto:ruf@lenient.example"
quiet.example             TXT "v=spf1 ip4:198.51.100.91 -all"
_dmarc.quiet.example      TXT "v=DMARC1; p=none"
"""
# Who is to get an aggregate report about what.
RUA = {"strict.example": "dmarc@strict.example", "halfway.example": "halfway@collector.example",
       "lenient.example": "dmarc@lenient.example"}
OPTIONS = {"ReportAddress": REPORTS, "ReportJitter": "0", "FailureReports": "yes", "FailureReportsTo": OPERATOR,
           "FailureReportsPerHour": "50"}


# ---- a day of mail ----

class Day:
    """Sends, and counts by itself what reports will have to say."""

    def __init__(self, site):
        self.site, self.sent, self.failures = site, collections.Counter(), collections.Counter()

    def signed(self, message, domain):
        return mail.sign(message, domain, "s1", self.site.neighbour_key)

    def send(self, client, sender, author, policy_domain, disposition, dkim=False, spf=False, count=1, sign=None, code=250):
        """`count` messages of one kind; dkim and spf: aligned, and passed."""
        domain = author.split("@")[1]
        source = client[0].replace("IPV6:", "")
        with self.site.outside(client) as session:
            for _ in range(count):
                message = mail.compose(author, BOB, self.site.token("day"))
                reply = session.send(sender, BOB, self.signed(message, sign) if sign else message)
                if code == 250:
                    accepted(reply)
                else:
                    refused(reply, code, "5.7.1")
        self.sent[policy_domain, source, domain, disposition, dkim, spf] += count
        if not (dkim or spf) and disposition != "none":
            self.failures[policy_domain] += count


def a_day(site):
    """Several domains and policies, genuine, forwarded and forged, over IPv4 and IPv6."""
    day = Day(site)
    day.send(OWN, "amy@strict.example", "amy@strict.example", "strict.example", "pass", dkim=True, spf=True, count=3,
             sign="strict.example")
    day.send(OWN_6, "amy@strict.example", "amy@strict.example", "strict.example", "pass", spf=True, count=2)
    # Forwarded: the signature carries it.
    day.send(PLAIN, "fwd@plain.example", "amy@strict.example", "strict.example", "pass", dkim=True, count=2,
             sign="strict.example")
    day.send(FORGER, "x@spammer.example", "amy@strict.example", "strict.example", "reject", count=4, code=550)
    day.send(FORGER_6, "x@spammer.example", "amy@strict.example", "strict.example", "reject", code=550)
    # sp=quarantine
    day.send(FORGER, "x@spammer.example", "it@corp.strict.example", "strict.example", "quarantine", count=3)
    day.send(FORGER, "x@spammer.example", "joe@halfway.example", "halfway.example", "quarantine", count=2)
    day.send(OWN, "joe@halfway.example", "joe@halfway.example", "halfway.example", "pass", spf=True)
    day.send(FORGER_6, "x@spammer.example", "kim@lenient.example", "lenient.example", "none", count=2)
    day.send(OWN, "kim@lenient.example", "kim@lenient.example", "lenient.example", "pass", spf=True, count=5)
    day.send(FORGER, "x@spammer.example", "lou@quiet.example", "quiet.example", "none", count=3)
    return day


def start(site):
    site.dns.load(site.zone_text + ZONE.format(key=quoted(site.neighbour_record)))
    site.zone = site.dns.zone
    site.start_with_reports()


# ---- what arrived ----

def reports_in(site):
    """{recipient: [message]} of what the courier has sent."""
    found = collections.defaultdict(list)
    for message in site.mta.maildir.messages():
        if REPORTS in "".join(mail.field(message, "From")):
            found[mail.field(message, "Delivered-To")[0]].append(message)
    return found


def rows_of(form, xml):
    """{(policy domain, source, From, disposition, dkim, spf): count} by expat."""
    space, found = SPACE[form], collections.Counter()
    root = ElementTree.fromstring(xml)

    def text(node, path):
        return node.findtext("/".join(space + word for word in path.split("/")))
    for record in root.findall(space + "record"):
        row = "row/policy_evaluated/"
        found[text(root, "policy_published/domain"), text(record, "row/source_ip"), text(record, "identifiers/header_from"),
              text(record, row + "disposition"), text(record, row + "dkim") == "pass", text(record, row + "spf") == "pass"] += \
            int(text(record, "row/count"))
    return found


def passes_from_outside(site, message, now):
    result = site.as_received(message, now)
    check(result["dmarc"]["result"] == "pass" and result["dmarc"]["dkim_aligned"], "not dmarc=pass by DKIM: %s" % result)


def read_by_all(site, form, arrived, now):
    """Every report is DKIM-signed, valid, and read by others; what all of them say, added up."""
    found, paths = collections.Counter(), []
    folder = os.path.join(site.top, "received")
    os.makedirs(folder)
    for message in arrived:
        attached = consumers.attached(message)
        check(len(attached) == 1, "%d attachments" % len(attached))
        name, data = attached[0]
        xml = gzip.decompress(data)
        paths.append(os.path.join(folder, name))
        for path, content in ((paths[-1], data), (paths[-1][:-3], xml)):
            with open(path, "wb") as file:
                file.write(content)
        rows = rows_of(form, xml)
        found.update(rows)
        said = consumers.xmllint(form, [paths[-1][:-3]])
        check(said == "%s validates\n" % paths[-1][:-3], said)
        said = consumers.dmarc_cat(paths[-1])
        check(said[0] == 0 and said[2] == sum(rows.values()), "dmarc-cat: %s of %s" % (said, dict(rows)))
        passes_from_outside(site, message, now)
    if form == "rfc7489":
        said, errors = consumers.mail_dmarc(paths)
        check(sum(int(line[5]) for line in said) == sum(found.values()), "Mail::DMARC: %s %s" % (said, errors))
    return found


def as_rfc7489(rows):
    """It has no word for a disposition of pass."""
    found = collections.Counter()
    for (policy, source, author, disposition, *rest), count in rows.items():
        found[(policy, source, author, "none" if disposition == "pass" else disposition, *rest)] += count
    return found


def compare(found, wanted):
    check(found == wanted, "not as sent: in reports alone %s, missing %s" % (dict(found - wanted), dict(wanted - found)))


def nobody_else(arrived, *recipients):
    check(set(arrived) == set(recipients), "reports went to %s" % sorted(arrived))


# ---- cases ----

@case(own={"options": OPTIONS})
def reports_of_a_day(site):
    """A day of mixed mail; trimilterctl report send at its end: right numbers, to whom they are due, signed, valid."""
    start(site)
    day = a_day(site)
    now = int(time.time()) // DAY * DAY + DAY + 1000
    conf = ("-c", site.trimilter.config)
    site.trimilter.reload()     # the new worker begins a file of its own, so all that was recorded can be imported

    def sent():
        site.send_reports()
        return json.loads(site.ctl("report", "stats", "--json", *conf))["messages"] == sum(day.sent.values())
    wait.until("the import of all records", sent, every=0.2)
    (shown,) = json.loads(site.ctl("report", "preview", "--json", *conf, "halfway.example"))["reports"]
    compare(rows_of("rfc9990", shown["xml"]),
            collections.Counter({key: n for key, n in day.sent.items() if key[0] == "halfway.example"}))
    check({one["address"]: one["refused"] is None for one in shown["destinations"]} ==
          {"halfway@collector.example": True, "x@unasked.example": False}, "previewed: %s" % shown["destinations"])
    check(not any(word in reports_in(site) for word in RUA.values()), "reports before the day is over")

    check(site.send_reports(now)["built"] == len(RUA), "not a report for each")
    ruf = ("ruf@strict.example", "ruf@collector.example", OPERATOR)
    wait.until("reports", lambda: set(reports_in(site)) >= {*RUA.values(), *ruf}, 30)
    wait.until("an empty queue", lambda: all(e["queue_name"] == "hold" for e in site.mta.queue()), 30)
    check(site.send_reports(now + 60)["sent"] == 0, "something was sent twice")
    arrived = reports_in(site)
    nobody_else(arrived, *RUA.values(), *ruf)
    wanted = collections.Counter({key: n for key, n in day.sent.items() if key[0] in RUA})
    for domain, address in RUA.items():
        check(len(arrived[address]) == 1, "%d reports to %s" % (len(arrived[address]), address))
    compare(read_by_all(site, "rfc9990", [arrived[address][0] for address in RUA.values()], now), wanted)

    # Failure reports: to whom the domain names and has consented, and a copy of each to the operator.
    for domain, address in (("strict.example", ruf[0]), ("halfway.example", ruf[1])):
        check(len(arrived[address]) == day.failures[domain], "%d failure reports to %s" % (len(arrived[address]), address))
    check(len(arrived[OPERATOR]) == sum(day.failures.values()), "%d copies to the operator" % len(arrived[OPERATOR]))
    for message in arrived[ruf[0]][:1] + arrived[ruf[1]][:1]:
        passes_from_outside(site, message, int(time.time()))
        parsed = email.message_from_bytes(message, policy=email.policy.default)
        check([part.get_content_type() for part in parsed.iter_parts()] ==
              ["text/plain", "message/feedback-report", "text/rfc822-headers"], "its parts")


@case(own={"options": {**OPTIONS, "ReportFormat": "rfc7489", "ReportStore": "sqlite:/nonexistent/reports.db"}})
def reports_by_the_daemon(site):
    """No store at first: mail flows. Then the courier alone sends what was two days ago, once; in the RFC 7489 format."""
    start(site)
    day = a_day(site)
    check(site.trimilter.stop() == 0, "exit status")
    rewind(site, 2 * DAY)
    site.trimilter.configure(ReportStore="sqlite:%s/reports.db" % site.trimilter.top)
    site.trimilter.start()
    log = wait.until("its first turn", lambda: "built=" in site.trimilter.log() and site.trimilter.log(), 30)
    wait.until("reports", lambda: set(reports_in(site)) >= set(RUA.values()), 30)
    wait.until("an empty queue", lambda: all(e["queue_name"] == "hold" for e in site.mta.queue()), 30)
    check("records=%d" % sum(day.sent.values()) in log, re.findall(r"reports: .*", log))
    arrived = reports_in(site)
    for address in RUA.values():
        check(len(arrived[address]) == 1, "%d reports to %s" % (len(arrived[address]), address))
        found = mail.verify_python(arrived[address][0], site.txt)
        check(found and all(domain == "home.example" and valid for domain, _, _, valid in found), "signatures: %s" % found)
    check("x@unasked.example" not in arrived and "ruf@unasked.example" not in arrived, "a third party that did not consent")
    wanted = collections.Counter({key: n for key, n in day.sent.items() if key[0] in RUA})
    compare(read_by_all(site, "rfc7489", [arrived[address][0] for address in RUA.values()], int(time.time())),
            as_rfc7489(wanted))


@case(own={"options": {**OPTIONS, "ReportVERP": "yes"}})
def reports_that_bounce(site):
    """Postfix hands a bounce to trimilterctl as docs/reports.md has it: its address gets no reports, another one does."""
    # As the daemon's user, who may not be allowed into the checkout.
    program = shutil.copy2(os.path.join(site.build, "trimilterctl"), os.path.join(site.top, "bin"))
    text = guide.block("reports", "bounce-master")
    for words, here in (("user=trimilter", "user=nobody"), ("/usr/bin/trimilterctl", program),
                        ("/etc/trimilter.conf", site.trimilter.config)):
        check(words in text, "%r is not in the page" % words)
        text = text.replace(words, here)
    with open(os.path.join(site.postfix.config, "master.cf"), "a") as file:
        file.write(text)
    for name, value in guide.settings(guide.block("reports", "bounce-main")):
        site.postfix.edit("%s=%s" % (name, value.replace("reports@mail.example.org", REPORTS)))
    start(site)
    a_day(site)
    with site.outside(PLAIN) as session:
        accepted(session.send("", "reports+dmarc=lenient.example@home.example",
                              mail.compose("mailer-daemon@plain.example", REPORTS, site.token("bounce"))))
    conf = ("-c", site.trimilter.config)
    wait.until("the bounce", lambda: json.loads(site.ctl("report", "stats", "--json", *conf))["suppressed"] == 1, 30)
    site.trimilter.reload()
    # Behind the end of the day, and before a day has passed since the bounce, for which it keeps reports back.
    today, since = divmod(int(time.time()), DAY)
    now = (today + 1) * DAY + min(1000, since // 2)
    wait.until("two reports", lambda: site.send_reports(now) and set(reports_in(site)) >= {
        RUA["strict.example"], RUA["halfway.example"]}, 30, 0.5)
    check(RUA["lenient.example"] not in reports_in(site), "a report to an address that bounced")
    sender = mail.field(reports_in(site)[RUA["strict.example"]][0], "Return-Path")
    check(sender == ["<reports+dmarc=strict.example@home.example>"], "envelope sender: %s" % sender)


def rewind(site, seconds):
    """As if the mail had come that much earlier."""
    paths = glob.glob(os.path.join(site.trimilter.options["ReportSpool"], "*.jsonl"))
    check(paths, "nothing was recorded")
    for path in paths:
        with open(path, "rb") as file:
            lines = [json.loads(line)["record"] for line in file]
        with open(path, "wb") as file:
            for record in lines:
                record["time"] -= seconds
                text = json.dumps(record).encode()
                file.write(b'{"length":%d,"crc32":"%08x","record":%s}\n' % (len(text), zlib.crc32(text), text))
