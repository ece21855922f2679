"""When something is broken: never `fail` for what is ours or the network's, never unsigned in silence."""
import os
import shutil
import smtplib

from e2e.case import accepted, case, check, has, lacks, results, signed
from lab import mail, wait
from lab.site import ALICE, BOB, FORGER, NEIGHBOUR
from lab.trimilter import DaemonError


@case(own={"options": {"DNSTimeout": "2"}})
def dns_down_defers(site):
    """DNS silent, On-DNSError tempfail (the default): what might have been refused gets a 4xx, never a 5xx."""
    site.start()
    site.dns.silent = True
    with site.outside(FORGER) as session:
        reply = session.send("x@spammer.example", BOB, mail.compose("ceo@bank.example", BOB, site.token("down")))
    check(reply[0] // 100 == 4, "got %d %s" % reply)
    site.dns.silent = False

    def refused_again():
        with site.outside(FORGER) as session:
            message = mail.compose("ceo@bank.example", BOB, site.token("up"))
            return session.send("x@spammer.example", BOB, message)[0] == 550
    wait.until("the right answer after the outage", refused_again, 60, every=0.5)


@case(own={"options": {"DNSTimeout": "2", "On-DNSError": "accept"}})
def dns_down_accepts(site):
    """DNS silent, On-DNSError accept: delivered with temperror, nowhere fail."""
    site.start()
    site.dns.silent = True
    token = site.token("down")
    with site.outside(NEIGHBOUR) as session:
        accepted(session.send("olga@example.org", BOB, site.genuine(token)))
    text = results(site.postfix.maildir.wait(token))
    has(text, "dkim=temperror", "spf=temperror", "dmarc=temperror")
    lacks(text, "=fail", "=permerror", "=none")


@case(own={"options": {"DNSTimeout": "2"}})
def dns_broken_zone(site):
    """SERVFAIL for one domain alone: temperror for it, others as ever."""
    site.zone_text += "\nbroken.example RCODE SERVFAIL\n_dmarc.broken.example RCODE SERVFAIL\n"
    site.dns.load(site.zone_text)
    site.start()
    token = site.token("servfail")
    with site.outside(FORGER) as session:
        reply = session.send("x@spammer.example", BOB, mail.compose("a@broken.example", BOB, token))
        check(reply[0] // 100 in (2, 4), "got %d %s" % reply)
        if reply[0] == 250:
            text = results(site.postfix.maildir.wait(token))
            has(text, "dmarc=temperror")
    with site.outside(NEIGHBOUR) as session:
        good = site.token("others")
        accepted(session.send("olga@example.org", BOB, site.genuine(good)))
    has(results(site.postfix.maildir.wait(good)), "dmarc=pass")


@case(own={"options": {"DNSTimeout": "2"}})
def dns_down_signs(site):
    """DNS silent: outgoing mail is signed as ever and waits for nothing."""
    site.start()
    site.dns.silent = True
    token = site.token("signs")
    with site.submission() as session:
        accepted(session.send(ALICE, "olga@example.org", mail.compose(ALICE, "olga@example.org", token)))
    signed(site, site.postfix.maildir.wait(token))


def spoil(site, how):
    """Break the RSA key in one way; what to call to mend it."""
    path = os.path.join(site.keys, "mail.private")
    owner, group = os.stat(path).st_uid, os.stat(path).st_gid
    shutil.copy2(path, path + ".good")
    if how == "missing":
        os.unlink(path)
    elif how == "garbage":
        with open(path, "w") as file:
            file.write("-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n")
    elif how == "readable":
        os.chmod(path, 0o644)
    elif how == "unreadable":
        os.chown(path, 0, 0)
        os.chmod(path, 0o600)

    def mend():
        if os.path.exists(path):
            os.unlink(path)
        os.rename(path + ".good", path)
        os.chown(path, owner, group)
    return mend


@case(own={})
def broken_key_never_unsigned(site):
    """A key missing, garbled, readable by all, unreadable: refused at start (78, file named) and at reload (old one stays)."""
    site.start()
    for how in ("missing", "garbage", "readable", "unreadable"):
        mend = spoil(site, how)
        try:
            mark = len(site.trimilter.log())
            check(not site.trimilter.reload(), "%s: the reload was taken" % how)
            has(site.trimilter.log()[mark:], "mail.private")
            token = site.token("still")
            with site.submission() as session:
                accepted(session.send(ALICE, "olga@example.org", mail.compose(ALICE, "olga@example.org", token)))
            signed(site, site.postfix.maildir.wait(token))
            status, text = site.trimilter.check()
            check(status == 78, "%s: -n: exit %d: %s" % (how, status, text))
            has(text, "mail.private")
            site.trimilter.stop()
            try:
                site.trimilter.start()
                check(False, "%s: it started" % how)
            except DaemonError as error:
                has(str(error), "exit 78", "mail.private")
            finally:
                site.trimilter.stop()
            try:
                with site.submission():
                    check(False, "%s: Postfix took a user without the daemon" % how)
            except smtplib.SMTPAuthenticationError as error:
                check(error.smtp_code // 100 == 4, "%s: got %d %s" % (how, error.smtp_code, error.smtp_error))
        finally:
            mend()
        site.trimilter.start()
