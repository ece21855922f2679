"""The same daemon behind Sendmail: what it hands over, what it does with the answers, what it changes afterwards."""
import os
import re
import stat

from e2e.case import accepted, case, check, has, refused, results, signed, unsigned
from lab import guide, mail, wait
from lab.sendmail import NO_8BITMIME, SNIPPET
from lab.site import ALICE, BOB, NEAR_FORGER, NEAR_NEIGHBOUR, SendmailSite

ELSEWHERE = "olga@example.org"

# White space that a verifier with `simple` must have byte by byte, folds, and what a lenient program would tidy.
ODD_FIELDS = ["X-None:none", "X-Two:  two", "X-Tab:\ttab", "X-Trailing: trailing  ", "X-Empty:", "X-Blank: ",
              "X-Folded: a\r\n b\r\n\tc", "X-Behind:\r\n on the next line", "x-CASE:  Upper and lower", "X-Long: " + "y" * 1500]
ODD_BODY = "Lines  with   white space \t \r\n.\r\n..dots\r\nFrom here\r\n" + "z" * 990 + "\r\n\r\n\r\n"


def leave(site, token, message, sender=ALICE, recipients=ELSEWHERE):
    with site.submission() as session:
        accepted(session.send(sender, recipients, message))
    return site.sendmail.arrived.wait(token)


@case(kind=SendmailSite, quick=True)
def sendmail_signed(site):
    """An authenticated user's mail is signed, three verifiers agree on what arrived, and the log line has Sendmail's queue id."""
    token = site.token("signed")
    message = leave(site, token, mail.compose("Alice <%s>" % ALICE, ELSEWHERE, token, headers=ODD_FIELDS, body=ODD_BODY))
    signed(site, message)
    for selector in ("mail", "ed"):
        has(mail.verify_opendkim(mail.with_signature_of(message, selector), site.key_records()), "s=" + selector, "succeeded")
    has(mail.verify_perl(message, site.dns_port), "home.example mail pass")
    tampered = message.replace(b"dots", b"spot")
    check(not any(valid for *_, valid in mail.verify_python(tampered, site.txt)), "tampered mail verifies")
    queue_id = re.search(r" id (\S+)", mail.field(message, "Received")[0])[1]
    lines = [line for line in site.trimilter.log().splitlines() if queue_id + ":" in line]
    check(len(lines) == 1, "%d log lines with %s" % (len(lines), queue_id))
    has(lines[0], "origin=authenticated", "user=alice@", "signed=home.example/mail", "action=accept")


@case(kind=SendmailSite)
def sendmail_command_signed(site):
    """The sendmail command hands its mail to the daemon at 127.0.0.1: internal, signed."""
    token = site.token("command")
    site.sendmail.sendmail(mail.compose(ALICE, ELSEWHERE, token).replace(b"\r\n", b"\n"), ALICE, [ELSEWHERE])
    signed(site, site.sendmail.arrived.wait(token))


@case(kind=SendmailSite, quick=True)
def sendmail_canonicalizations_verified(site):
    """python3-dkim's signatures in all four canonicalizations pass, over odd white space, folds and long lines."""
    for canonicalization in ("simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"):
        token = site.token("canon-" + canonicalization)
        message = mail.sign(mail.compose("Olga  <olga@example.org>", BOB, token, headers=ODD_FIELDS, body=ODD_BODY),
                            "example.org", "s1", site.neighbour_key, canonicalization=canonicalization, every_field=True)
        with site.outside(NEAR_NEIGHBOUR) as session:
            accepted(session.send("olga@example.org", BOB, message))
        text = results(site.sendmail.arrived.wait(token))
        has(text, "dkim=pass", "header.d=example.org", "spf=pass", "smtp.mailfrom=", "dmarc=pass")
    token = site.token("canon-broken")
    broken = mail.sign(mail.compose("Olga <olga@example.org>", BOB, token, headers=ODD_FIELDS), "example.org", "s1",
                       site.neighbour_key, canonicalization="simple/simple", every_field=True).replace(b"X-Two:  two", b"X-Two: two")
    with site.outside(NEAR_NEIGHBOUR) as session:
        accepted(session.send("olga@example.org", BOB, broken))
    has(results(site.sendmail.arrived.wait(token)), "dkim=fail")


@case(kind=SendmailSite)
def sendmail_simple_signed(site):
    """Header bytes are signed as they leave, also with `simple`."""
    try:
        check(site.trimilter.reload(Canonicalization="simple/simple"), "the reload was not taken")
        token = site.token("simple")
        message = leave(site, token, mail.compose(ALICE, ELSEWHERE, token, headers=ODD_FIELDS, body=ODD_BODY))
        has(mail.field(message, "DKIM-Signature")[0], "c=simple/simple")
        signed(site, message)
        token = site.token("folded")
        folded = leave(site, token, mail.compose(ALICE, ELSEWHERE + ",\r\n\tbob@home.example", token))
        check(valid(site, folded) == [False, False], "folded addresses are no longer folded anew: mend the guide")
    finally:
        check(site.trimilter.reload(Canonicalization=None), "the reload back was not taken")


@case(kind=SendmailSite, quick=True)
def sendmail_reject_and_quarantine(site):
    """One session: p=reject gets 550 5.7.1, p=quarantine is put aside in the queue, p=none delivered; each for itself."""
    with site.outside(NEAR_FORGER) as session:
        lost, kept, seen = site.token("reject"), site.token("quarantine"), site.token("none")
        refused(session.send("x@spammer.example", BOB, mail.compose("ceo@bank.example", BOB, lost)), 550, "5.7.1", "bank.example")
        accepted(session.send("x@spammer.example", BOB, mail.compose("sales@shop.example", BOB, kept)))
        accepted(session.send("x@spammer.example", BOB, mail.compose("chair@club.example", BOB, seen)))
    has(results(site.sendmail.arrived.wait(seen)), "spf=pass", "dmarc=fail", "header.from=club.example")
    held = wait.until("quarantined mail", lambda: [text for text in site.sendmail.quarantined().values() if kept in text])
    check(len(held) == 1, "%d quarantined" % len(held))
    has(held[0], "dmarc=fail", "shop.example")
    check(not site.sendmail.arrived.find(lost) and not site.sendmail.arrived.find(kept), "delivered")
    # Let go as the guide says.
    queue_id = next(name for name, text in site.sendmail.quarantined().items() if kept in text)
    listing, release = guide.block("sendmail", "release").replace("QUEUEID", queue_id).splitlines()
    has(site.sendmail.command(*listing.split()[1:]), queue_id)
    site.sendmail.command(*release.split()[1:])
    check(queue_id not in site.sendmail.quarantined(), "still quarantined")
    site.sendmail.command("-qI" + queue_id)
    has(results(site.sendmail.arrived.wait(kept)), "dmarc=fail", "header.from=shop.example")


@case(kind=SendmailSite, quick=True)
def sendmail_forged_results_removed(site):
    """Results fields of ours in several spellings are gone, one true one stands at the top, a foreign one stays."""
    from e2e.forged import OURS
    token = site.token("forged")
    foreign = "Authentication-Results: mx.elsewhere.example; none"
    with site.outside(NEAR_FORGER) as session:
        accepted(session.send("x@spammer.example", BOB, mail.compose(
            "chair@club.example", BOB, token, headers=OURS[:6] + [foreign] + OURS[6:])))
    arrived = site.sendmail.arrived.wait(token)
    has(results(arrived), "dmarc=fail")
    values = mail.field(arrived, "Authentication-Results")
    check(len(values) == 2 and values[1].startswith("mx.elsewhere.example"), "left: %s" % values)


@case(kind=SendmailSite)
def sendmail_recipients_sessions_eight_bit(site):
    """Several recipients and two messages in one session, 8-bit: each is signed once, byte for byte."""
    one, two = site.token("one"), site.token("two")
    recipients = ["r%d@example.org" % i for i in range(3)]
    with site.submission() as session:
        accepted(session.send(ALICE, recipients, mail.compose(ALICE, ", ".join(recipients), one)))
        accepted(session.send(ALICE, ELSEWHERE, mail.compose("Älïce <%s>" % ALICE, ELSEWHERE, two, subject="Grüße",
                                                             body="Schöne Grüße!\r\n")))
    signed(site, site.sendmail.arrived.wait(one))
    arrived = site.sendmail.arrived.wait(two)
    has(arrived.decode("utf-8"), "Schöne Grüße!", "Subject: Grüße")
    signed(site, arrived)
    check(sum(one.encode() in message.data and len(message.recipients) for message in site.sendmail.sink.messages) == 3,
          "not to three recipients")


@case(kind=SendmailSite)
def sendmail_internal_signed(site):
    """A host in InternalHosts is signed and not judged."""
    token = site.token("internal")
    with site.internal() as session:
        accepted(session.send(ALICE, BOB, mail.compose(ALICE, BOB, token)))
    arrived = site.sendmail.arrived.wait(token)
    signed(site, arrived)
    check(not mail.field(arrived, "Authentication-Results"), "judged")


def valid(site, message):
    return [good for *_, good in mail.verify_python(message, site.txt)]


@case(kind=SendmailSite)
def sendmail_rewrites_after_signing(site):
    """What docs/sendmail.md says of fields that Sendmail writes anew behind the milter: broken as it says, mended as it says."""
    rewritten = {"commas": {"to": "olga@example.org,bob@home.example"},
                 "unqualified": {"to": "bob, olga@example.org"},
                 "reply": {"to": ELSEWHERE, "headers": ["Reply-To: a@home.example,b@home.example"]}}
    tidy = "olga@example.org,\r\n bob@home.example"

    def arrive(name, to, author=ALICE, **more):
        token = site.token(name)
        return leave(site, token, mail.compose(author, to, token, **more))
    check(valid(site, arrive("tidy", tidy)) == [True, True], "tidy addresses do not verify")
    for name, how in rewritten.items():
        check(valid(site, arrive(name, **how)) == [False, False], "%s: Sendmail has become better: mend the guide" % name)
    check(valid(site, arrive("dot", tidy, author="A.Lice <%s>" % ALICE)) == [False, False], "dot: mend the guide")
    check(valid(site, arrive("line", tidy, body="z" * 2100 + "\r\n")) == [False, False], "long line: mend the guide")
    changes = dict(guide.options(guide.block("sendmail", "rewritten-fields")))
    try:
        check(site.trimilter.reload(**changes), "the guide's lines were not taken")
        for name, how in rewritten.items():
            check(valid(site, arrive(name, **how)) == [True, True], "%s: not mended by %s" % (name, changes))
    finally:
        check(site.trimilter.reload(**dict.fromkeys(changes)), "the reload back was not taken")


@case(kind=SendmailSite, own={"options": dict(guide.options(guide.block("sendmail", "socket")))})
def sendmail_socket(site):
    """The guide's socket, for root alone; 4xx while the daemon is down or its socket is where anybody may write."""
    def offer(name):
        token = site.token(name)
        with site.outside(NEAR_NEIGHBOUR) as session:
            return token, session.send("olga@example.org", BOB, site.genuine(token))
    site.start()
    folder = os.path.dirname(site.trimilter.address())
    check(stat.S_IMODE(os.stat(site.trimilter.address()).st_mode) == 0o700, "the socket is not for root alone")
    token, reply = offer("up")
    accepted(reply)
    has(results(site.sendmail.arrived.wait(token)), "dmarc=pass")
    os.chmod(folder, 0o1777)
    check(offer("unsafe")[1][0] == 451, "a socket in a directory for all was used")
    os.chmod(folder, 0o755)
    accepted(offer("safe")[1])
    site.trimilter.stop()
    check(offer("down")[1][0] == 451, "not a 4xx while the daemon is down")
    site.trimilter.start()
    accepted(offer("again")[1])


@case(kind=SendmailSite, own={"extra": "MASQUERADE_AS(`mask.example')dnl\nMASQUERADE_DOMAIN(`home.example')dnl\n"
                                       "MODIFY_MAILER_FLAGS(`RELAY', `-8')dnl"})
def sendmail_masquerades(site):
    """Masquerading, and 8-bit MIME mail for a host without 8BITMIME, change what was signed, as the guide says."""
    site.start()
    token = site.token("masked")
    message = leave(site, token, mail.compose(ALICE, ELSEWHERE, token))
    has(mail.field(message, "From")[0], "alice@mask.example")
    check(valid(site, message) == [False, False], "it verifies: mend the guide")
    site.sendmail.sink.ehlo = NO_8BITMIME
    mime = ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"]
    token = site.token("converted")
    message = leave(site, token, mail.compose("x@other.example", ELSEWHERE, token, headers=mime, body="Grüße\r\n"))
    has(message.decode(), "X-MIME-Autoconverted: from 8bit to base64")


@case(kind=SendmailSite)
def sendmail_daemon_names(site):
    """SignDaemons NAME: what came through another of Sendmail's daemons is not signed."""
    options = dict(guide.options(guide.block("sendmail", "daemon-names").replace("MSP-v4", "ORIGINATING")))
    try:
        check(site.trimilter.reload(**options), "the reload was not taken")
        token, other = site.token("through"), site.token("past")
        signed(site, leave(site, token, mail.compose(ALICE, ELSEWHERE, token)))
        with site.internal() as session:
            accepted(session.send(ALICE, BOB, mail.compose(ALICE, BOB, other)))
        unsigned(site.sendmail.arrived.wait(other))
    finally:
        check(site.trimilter.reload(**dict.fromkeys(options)), "the reload back was not taken")


@case(kind=SendmailSite, own={"socket": "inet"})
def sendmail_inet_socket(site):
    """Over TCP as over the unix socket."""
    site.start()
    token = site.token("inet")
    signed(site, leave(site, token, mail.compose(ALICE, ELSEWHERE, token)))


@case
def sendmail_guide(site):
    """docs/sendmail.md: its mc lines are conf/sendmail/trimilter.mc, which all of these cases run with."""
    with open(SNIPPET) as file:
        check(file.read() == guide.block("sendmail", "mc"), "the guide's mc lines are not conf/sendmail/trimilter.mc")
