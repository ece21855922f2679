"""Mail that pretends."""
from e2e.case import accepted, case, check, has, lacks, no_results, refused, results, signed
from lab import mail, wait
from lab.site import ALICE, BOB, FORGER, NEIGHBOUR, PLAIN

OURS = [
    "Authentication-Results: mx.home.example; dmarc=pass header.from=bank.example",
    "Authentication-Results: MX.Home.Example; dmarc=pass header.from=bank.example",
    "AUTHENTICATION-RESULTS: mx.home.example; dkim=pass header.d=bank.example",
    "Authentication-Results: mx.home.example 1; dkim=pass header.d=bank.example",
    "Authentication-Results: (honest) mx.home.example (really); spf=pass smtp.mailfrom=bank.example",
    "Authentication-Results: \"mx.home.example\"; spf=pass smtp.mailfrom=bank.example",
    "Authentication-Results: mx.home.example.; spf=pass smtp.mailfrom=bank.example",
    "Authentication-Results:\r\n\tmx.home.example;\r\n\tdmarc=pass header.from=bank.example",
    "Authentication-Results:mx.home.example;dmarc=pass header.from=bank.example",
    "Authentication-Results: mx.home.example/1; none",
    "Authentication-Results : mx.home.example; dmarc=pass header.from=bank.example",
    "Authentication-Results: (a (nested) one) \"mx\\.home.example\"; dmarc=pass",
]


@case(quick=True)
def reject_refused(site):
    """A forged From of a p=reject domain: 550 5.7.1 with the domain in the text, and nothing is delivered."""
    token = site.token("reject")
    with site.outside(FORGER) as session:
        refused(session.send("x@spammer.example", BOB, mail.compose("CEO <ceo@bank.example>", BOB, token)),
                550, "5.7.1", "bank.example")
        after = site.token("after-reject")
        accepted(session.send("x@spammer.example", BOB, mail.compose("x@spammer.example", BOB, after)))
    site.postfix.maildir.wait(after)
    check(not site.postfix.maildir.find(token), "it was delivered")


@case(quick=True)
def quarantine_held(site):
    """A forged From of a p=quarantine domain: accepted and on hold, the field in it."""
    token = site.token("quarantine")
    sender = "%s@spammer.example" % token
    with site.outside(FORGER) as session:
        accepted(session.send(sender, BOB, mail.compose("sales@shop.example", BOB, token)))
    held = wait.until("held mail", lambda: site.postfix.held(sender))
    check(len(held) == 1, "held: %s" % held)
    has(site.postfix.queued_message(held[0]["queue_id"]), "dmarc=fail", "header.from=shop.example")
    check(not site.postfix.maildir.find(token), "it was delivered")


@case(quick=True)
def none_delivered(site):
    """A forged From of a p=none domain: delivered with dmarc=fail, the forger's SPF pass and all."""
    token = site.token("none")
    with site.outside(FORGER) as session:
        accepted(session.send("x@spammer.example", BOB, mail.compose("chair@club.example", BOB, token)))
    has(results(site.postfix.maildir.wait(token)), "spf=pass", "dmarc=fail", "header.from=club.example")


@case
def broken_signature_fails(site):
    """A genuine message with one word changed: dkim=fail; p=reject and the wrong client: refused."""
    token = site.token("tampered")
    message = site.genuine(token).replace(b"noon", b"nine")
    with site.outside(NEIGHBOUR) as session:
        accepted(session.send("olga@example.org", BOB, message))
    has(results(site.postfix.maildir.wait(token)), "dkim=fail", "spf=pass", "dmarc=pass")
    with site.outside(FORGER) as session:
        refused(session.send("x@spammer.example", BOB, message), 550, "5.7.1", "example.org")


@case
def several_authors(site):
    """Two addresses in From: the strictest policy applies. Two From fields never pass."""
    with site.outside(FORGER) as session:
        both = mail.compose("friend@spammer.example, ceo@bank.example", BOB, site.token("two-authors"))
        refused(session.send("x@spammer.example", BOB, both), 550, "5.7.1", "bank.example")
        token = site.token("two-from")
        twice = mail.compose("friend@spammer.example", BOB, token, headers=["From: ceo@bank.example"])
        code, _ = session.send("x@spammer.example", BOB, twice)
    check(code in (250, 550), "got %d" % code)
    if code == 250:
        lacks(results(site.postfix.maildir.wait(token)), "dmarc=pass", "dmarc=none")


@case(own={"options": {"RequiredHeaders": "yes", "RejectMultiValueFrom": "yes"}})
def several_authors_forbidden(site):
    """RequiredHeaders and RejectMultiValueFrom: two From fields, or two authors, are refused."""
    site.start()
    with site.outside(PLAIN) as session:
        for why, message in (
                ("two fields", mail.compose("a@plain.example", BOB, "x", headers=["From: b@plain.example"])),
                ("two domains", mail.compose("a@plain.example, b@club.example", BOB, "x"))):
            reply = session.send("a@plain.example", BOB, message)
            check(reply[0] // 100 == 5, "%s: got %d %s" % ((why,) + reply))


@case(quick=True)
def forged_results_removed(site):
    """Results fields of ours in a dozen spellings are gone, one true one is there, a foreign one stays."""
    token = site.token("forged-results")
    foreign = "Authentication-Results: mx.elsewhere.example; none"
    message = mail.compose("chair@club.example", BOB, token, headers=OURS[:6] + [foreign] + OURS[6:])
    with site.outside(FORGER) as session:
        accepted(session.send("x@spammer.example", BOB, message))
    arrived = site.postfix.maildir.wait(token)
    has(results(arrived), "dmarc=fail")
    values = mail.field(arrived, "Authentication-Results")
    check(len(values) == 2 and values[1].startswith("mx.elsewhere.example"), "left: %s" % values)


@case
def forged_results_removed_from_users(site):
    """From an authenticated user as well; what is left is signed."""
    token = site.token("forged-by-user")
    message = mail.compose(ALICE, "olga@example.org", token, headers=OURS)
    with site.submission() as session:
        accepted(session.send(ALICE, "olga@example.org", message))
    arrived = site.postfix.maildir.wait(token)
    check(not mail.field(arrived, "Authentication-Results"), "left: %s" % mail.field(arrived, "Authentication-Results"))
    no_results(arrived)
    signed(site, arrived)


@case
def fifty_signatures_bounded(site):
    """Fifty broken signatures cost bounded work and do not hide the genuine one of the author's domain."""
    token = site.token("fifty")
    good = site.genuine(token)
    junk = "".join("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=spammer.example; s=k%d; h=from; "
                   "bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n" % i for i in range(50))
    site.dns.log.clear()
    with site.outside(NEIGHBOUR) as session:
        accepted(session.send("olga@example.org", BOB, junk.encode() + good))
    has(results(site.postfix.maildir.wait(token)), "dkim=pass", "dmarc=pass")
    asked = sum("._domainkey." in name for name, _, _ in list(site.dns.log))
    check(asked <= 22, "%d keys were asked for" % asked)
