"""Mail that arrives from those it says it is from."""
from e2e.case import accepted, case, check, has, results
from lab import mail
from lab.site import BOB, NEIGHBOUR, NEIGHBOUR_NET, PLAIN


@case(quick=True)
def genuine_passes(site):
    """Genuine mail, signed by python3-dkim: dkim=pass, spf=pass, dmarc=pass, one field at the very top."""
    token = site.token("genuine")
    with site.outside(NEIGHBOUR) as session:
        accepted(session.send("olga@example.org", BOB, site.genuine(token)))
    message = site.postfix.maildir.wait(token)
    has(results(message), "dkim=pass", "header.d=example.org", "header.s=s1", "header.a=rsa-sha256", "spf=pass",
        "smtp.mailfrom=", "dmarc=pass", "header.from=example.org")


@case
def spf_alone_passes(site):
    """No signature, SPF by way of an include: spf=pass, dmarc=pass, dkim=none."""
    token = site.token("spf")
    with site.outside(NEIGHBOUR_NET) as session:
        accepted(session.send("nils@example.net", BOB, mail.compose("nils@example.net", BOB, token)))
    has(results(site.postfix.maildir.wait(token)), "dkim=none", "spf=pass", "dmarc=pass")


@case
def dkim_alone_passes(site):
    """Forwarded: SPF says nothing good, the signature carries it."""
    token = site.token("forwarded")
    with site.outside(PLAIN) as session:
        accepted(session.send("bounce@plain.example", BOB, site.genuine(token)))
    has(results(site.postfix.maildir.wait(token)), "dkim=pass", "spf=none", "dmarc=pass")


@case
def nothing_published(site):
    """A domain that publishes nothing: all `none`, and the field is there."""
    token = site.token("plain")
    with site.outside(PLAIN) as session:
        accepted(session.send("pete@plain.example", BOB, mail.compose("pete@plain.example", BOB, token)))
    has(results(site.postfix.maildir.wait(token)), "dkim=none", "spf=none", "dmarc=none")


@case
def null_sender(site):
    """A bounce: SPF looks at the HELO name."""
    token = site.token("bounce")
    with site.outside(NEIGHBOUR) as session:
        accepted(session.send("", BOB, site.genuine(token, subject="Undelivered")))
    has(results(site.postfix.maildir.wait(token)), "spf=pass", "smtp.helo=mail.example.org", "dkim=pass", "dmarc=pass")


@case
def eight_bit_genuine(site):
    """8-bit mail that another has signed verifies."""
    token = site.token("8bit-in")
    with site.outside(NEIGHBOUR) as session:
        accepted(session.send("olga@example.org", BOB, site.genuine(token, subject="Grüße", body="Schöne Grüße!\r\n"),
                              ("BODY=8BITMIME", "SMTPUTF8")))
    has(results(site.postfix.maildir.wait(token)), "dkim=pass", "dmarc=pass")


@case
def ten_megabytes_genuine(site):
    """10 MB that another has signed verify."""
    token = site.token("big-in")
    with site.outside(NEIGHBOUR) as session:
        accepted(session.send("olga@example.org", BOB, site.genuine(token, body="0123456789 abcdef\r\n" * 550000)))
    has(results(site.postfix.maildir.wait(token)), "dkim=pass", "dmarc=pass")


@case
def foreign_results_kept(site):
    """Results fields of others stay where they are."""
    token = site.token("foreign-results")
    foreign = "Authentication-Results: mx.elsewhere.example; spf=pass smtp.mailfrom=x@y.example"
    with site.outside(NEIGHBOUR) as session:
        accepted(session.send("olga@example.org", BOB, site.genuine(token, headers=[foreign])))
    values = mail.field(site.postfix.maildir.wait(token), "Authentication-Results")
    check(sum(value.startswith("mx.elsewhere.example") for value in values) == 1, "fields: %s" % values)
