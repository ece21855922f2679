"""Mail that leaves: who is signed, and that others can verify it."""
from e2e.case import accepted, case, check, has, lacks, no_results, signed, unsigned
from lab import mail
from lab.site import ALICE, BOB

ELSEWHERE = "olga@example.org"


def leave(site, token, message, sender=ALICE, options=("BODY=8BITMIME",)):
    """Send as the SASL user; what arrives elsewhere."""
    with site.submission() as session:
        accepted(session.send(sender, ELSEWHERE, message, options))
    return site.postfix.maildir.wait(token)


@case(quick=True)
def sasl_user_signed(site):
    """Mail of a SASL user is signed, and three independent verifiers agree."""
    token = site.token("sasl")
    message = leave(site, token, mail.compose("Alice <%s>" % ALICE, ELSEWHERE, token))
    signed(site, message)
    no_results(message)
    for selector in ("mail", "ed"):
        one = mail.with_signature_of(message, selector)
        has(mail.verify_opendkim(one, site.key_records()), "s=" + selector, "succeeded")
    has(mail.verify_perl(message, site.dns_port), "home.example mail pass")
    tampered = message.replace(b"noon", b"nine")
    check(not any(valid for *_, valid in mail.verify_python(tampered, site.txt)), "tampered mail verifies")


@case(quick=True)
def sendmail_pickup_signed(site):
    """Mail from the sendmail command is signed."""
    token = site.token("pickup")
    message = mail.compose(ALICE, ELSEWHERE, token).replace(b"\r\n", b"\n")
    site.postfix.sendmail(message, ALICE, [ELSEWHERE])
    signed(site, site.postfix.maildir.wait(token))


@case
def internal_host_signed(site):
    """Mail of an internal host is signed, without results of SPF or DMARC."""
    token = site.token("internal")
    with site.internal() as session:
        accepted(session.send(ALICE, BOB, mail.compose(ALICE, BOB, token)))
    message = site.postfix.maildir.wait(token)
    signed(site, message)
    check(not any("spf=" in value or "dmarc=" in value for value in mail.field(message, "Authentication-Results")),
          "internal mail was judged: %s" % mail.field(message, "Authentication-Results"))


@case
def outside_never_signed(site):
    """Mail from outside with our domain in From is judged, not signed."""
    from e2e.case import results
    from lab.site import FORGER
    token = site.token("outside")
    with site.outside(FORGER) as session:
        accepted(session.send("x@spammer.example", BOB, mail.compose(ALICE, BOB, token)))
    message = site.postfix.maildir.wait(token)
    unsigned(message)
    has(results(message), "dmarc=fail")


@case(quick=True)
def sasl_foreign_from_not_judged(site):
    """A SASL client with another's p=reject domain in From is neither judged nor signed."""
    token = site.token("foreign")
    message = leave(site, token, mail.compose("ceo@bank.example", ELSEWHERE, token), sender="ceo@bank.example")
    unsigned(message)
    no_results(message)


@case
def odd_bodies_verify(site):
    """Empty body, no end of line, trailing blank lines, dots, long lines, no Date: what is signed verifies elsewhere."""
    bodies = {"empty": "", "blank": "\r\n\r\n\r\n", "dots": ".\r\n..\r\n. x\r\n", "spaces": "a  b \t \r\n  c\r\n\r\n",
              "long": "x" * 900 + "\r\n", "open": "no end of line"}
    for name, body in bodies.items():
        token = site.token("body-" + name)
        date = None if name == "empty" else mail.DATE
        signed(site, leave(site, token, mail.compose(ALICE, ELSEWHERE, token, body=body, date=date)))


@case
def eight_bit_signed(site):
    """8-bit mail, in the body and in a header field, is signed as it leaves."""
    token = site.token("8bit")
    message = mail.compose("Älïce <%s>" % ALICE, ELSEWHERE, token, subject="Grüße aus Köln", body="Schöne Grüße!\r\n")
    arrived = leave(site, token, message, options=("BODY=8BITMIME", "SMTPUTF8"))
    has(arrived.decode("utf-8"), "Schöne Grüße!", "Grüße aus Köln")
    signed(site, arrived)


@case
def latin1_signed(site):
    """Bytes that are no UTF-8 come through unchanged and are signed."""
    token = site.token("latin1")
    message = mail.compose(ALICE, ELSEWHERE, token, body="Sch\xf6ne Gr\xfc\xdfe, \x80\xff!\r\n".encode("latin-1"))
    arrived = leave(site, token, message)
    check("Sch\xf6ne Gr\xfc\xdfe, \x80\xff!".encode("latin-1") in arrived, "the body was changed")
    signed(site, arrived)


@case
def ten_megabytes_signed(site):
    """A message of 10 MB is signed and verifies elsewhere."""
    token = site.token("big")
    arrived = leave(site, token, mail.compose(ALICE, ELSEWHERE, token, body=b"0123456789 abcdef\r\n" * 550000))
    signed(site, arrived)


@case
def reinjected_not_signed_again(site):
    """Mail that comes back from a content filter, already signed by us, gets no second signature."""
    token = site.token("again")
    once = leave(site, token, mail.compose(ALICE, ELSEWHERE, token))
    signed(site, once)
    bare = once[once.index(b"DKIM-Signature"):]
    check(bare.count(b"DKIM-Signature:") == 2, "signatures to begin with: %d" % bare.count(b"DKIM-Signature:"))
    again = site.token("reinjected")
    site.postfix.sendmail(b"X-Again: %s\n" % again.encode() + bare, ALICE, [ELSEWHERE])
    signed(site, site.postfix.maildir.wait(again))


@case
def many_recipients_signed_once(site):
    """One message to five recipients is signed once."""
    token = site.token("many")
    recipients = ["r%d@example.org" % i for i in range(5)]
    with site.submission() as session:
        accepted(session.send(ALICE, recipients, mail.compose(ALICE, "a list of five", token)))
    site.postfix.maildir.wait(token, count=5)
    for message in site.postfix.maildir.find(token):
        signed(site, message)


@case
def log_line_of_each(site):
    """One log line per message, with Postfix's queue id, who sent it and what was done."""
    token = site.token("log")
    arrived = leave(site, token, mail.compose(ALICE, ELSEWHERE, token))
    received = mail.field(arrived, "Received")[0]
    queue_id = received.split(" id ")[1].split()[0].rstrip(";")
    lines = [line for line in site.trimilter.log().splitlines() if queue_id + ":" in line and "action=" in line]
    check(len(lines) == 1, "%d log lines with %s" % (len(lines), queue_id))
    has(lines[0], "from=", "action=accept")
    lacks(lines[0], "dmarc=fail")
