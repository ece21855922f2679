"""Postfix as it is in real life: chroots, restarts, filters, bounces, proxies; and docs/postfix.md, block by block."""
import os
import pwd
import signal
import smtplib
import subprocess

from e2e.case import accepted, case, check, has, no_results, refused, results, signed, unsigned
from lab import guide, mail, wait
from lab.site import ALICE, BOB, FORGER, NEIGHBOUR, ROOT
from lab.sink import Sink

ELSEWHERE = "olga@example.org"


def block(which, **instead):
    """A block of the guide, for this lab: {"words of the guide": what takes their place}."""
    text = guide.block("postfix", which)
    for words, other in instead.items():
        check(words in text, "%r is not in the guide's %s" % (words, which))
        text = text.replace(words, other)
    return text


def configure(site, which, **instead):
    """A block of main.cf lines, in force at the next start or reload."""
    for name, value in guide.settings(block(which, **instead)):
        site.postfix.edit("%s=%s" % (name, value))


def as_in_the_guide(site):
    """Socket in the queue directory, smtpd in a chroot, the daemon's user in no group of Postfix's."""
    queue = os.path.join(site.postfix.top, "queue")
    here = {"/var/spool/postfix": queue}
    command = block("directory", **here, **{"-o trimilter": "-o nobody"})
    subprocess.run(command.split(), check=True, timeout=60)
    site.trimilter.configure(UserID="nobody:nogroup", **dict(guide.options(block("socket", **here))))
    configure(site, "main")
    site.postfix.edit("-F", "127.0.0.1:%d/inet/chroot=y" % site.postfix.smtp_port)


def judged(site):
    token = site.token("judged")
    with site.outside(NEIGHBOUR) as session:
        accepted(session.send("olga@example.org", BOB, site.genuine(token)))
    has(results(site.postfix.maildir.wait(token)), "dkim=pass", "spf=pass", "dmarc=pass")


def leave(site, name, sender=ALICE, recipient=ELSEWHERE, options=("BODY=8BITMIME",), **more):
    token = site.token(name)
    with site.submission() as session:
        accepted(session.send(sender, recipient, mail.compose(sender, recipient, token, **more), options))
    return site.postfix.maildir.wait(token)


@case(own={}, quick=True)
def chroot_and_group(site):
    """smtpd in a chroot, the socket in the queue directory and Postfix's by the directory's group alone; kill -9, start at once."""
    as_in_the_guide(site)
    site.start()
    there = os.stat(site.trimilter.address())
    check(there.st_gid == pwd.getpwnam("postfix").pw_gid and there.st_mode & 0o777 == 0o770,
          "socket: group %d, mode %o" % (there.st_gid, there.st_mode))
    judged(site)
    signed(site, leave(site, "chroot"))
    token = site.token("pickup")
    site.postfix.sendmail(mail.compose(ALICE, ELSEWHERE, token).replace(b"\r\n", b"\n"), ALICE, [ELSEWHERE])
    signed(site, site.postfix.maildir.wait(token))
    with site.outside(NEIGHBOUR) as held:
        accepted(held.send("olga@example.org", BOB, site.genuine(site.token("before"))))
        os.killpg(site.trimilter.process.pid, signal.SIGKILL)
        site.trimilter.process.wait()
        check(os.path.exists(site.trimilter.address()), "no stale socket to begin with")
        site.trimilter.start()
        judged(site)
        refused(held.send("olga@example.org", BOB, site.genuine(site.token("held"))), 451, "4.7.1")
    judged(site)


@case(own={})
def milter_protocols(site):
    """milter_protocol 2 and 4: signed, judged, refused and held as with 6, which all other cases have."""
    site.postfix.edit("milter_protocol=2")
    site.start()
    for version in ("2", "4"):
        site.postfix.set(milter_protocol=version)
        judged(site)
        signed(site, leave(site, "protocol-" + version))
        with site.outside(FORGER) as session:
            refused(session.send("x@spammer.example", BOB, mail.compose("ceo@bank.example", BOB, "x")), 550, "5.7.1")
            sender = "%s@spammer.example" % site.token("hold")
            accepted(session.send(sender, BOB, mail.compose("sales@shop.example", BOB, "y")))
        wait.until("held mail", lambda s=sender: site.postfix.held(s))


@case(own={})
def content_filter_loop(site):
    """A filter that hands mail back: signed once, judged once, both as it came from outside."""
    back = wait.free_port()

    def hand_back(message):
        with smtplib.SMTP("127.0.0.1", back, timeout=60) as smtp:
            smtp.sendmail(message.sender, message.recipients, b"X-Filtered: yes\r\n" + message.data, ["BODY=8BITMIME"])
    with Sink(hook=hand_back) as scanner:
        configure(site, "filter-main", **{"10025": str(scanner.port)})
        with open(os.path.join(site.postfix.config, "master.cf"), "a") as file:
            file.write(block("filter-master", **{"10026": str(back)}))
        site.start()
        message = leave(site, "filtered")
        has(message.decode(), "X-Filtered: yes")
        signed(site, message)
        token = site.token("filtered-in")
        with site.outside(NEIGHBOUR) as session:
            accepted(session.send("olga@example.org", BOB, site.genuine(token)))
        message = site.postfix.maildir.wait(token)
        values = [value for value in mail.field(message, "Authentication-Results") if value.startswith("mx.home.example;")]
        check(len(values) == 1, "%d results fields" % len(values))
        has(values[0], "dkim=pass", "spf=pass", "dmarc=pass")
        lines = [line for line in site.trimilter.log().splitlines() if "action=" in line]
        check(len(lines) == 2, "%d messages in the log, not 2" % len(lines))


@case(own={})
def bounces(site):
    """Bounces are not shown to milters, unless internal_mail_filter_classes says so: then they are signed."""
    with Sink() as sink:
        site.postfix.edit("transport_maps=inline:{ { gone.example = smtp:[127.0.0.1]:%d } }" % sink.port)
        site.start()
        bounces_of(site)


def bounces_of(site):
    def bounce(name):
        token = site.token(name)
        with site.submission() as session:
            accepted(session.send(ALICE, "refused@gone.example", mail.compose(ALICE, "refused@gone.example", token)))
        return site.postfix.maildir.wait(token)
    message = bounce("unsigned")
    has(mail.field(message, "From")[0], "MAILER-DAEMON@home.example")
    unsigned(message)
    configure(site, "bounces")
    site.postfix.reload()
    message = bounce("signed")
    has(mail.field(message, "From")[0], "MAILER-DAEMON@home.example")
    signed(site, message)


@case
def addresses_beyond_ascii(site):
    """SMTPUTF8: such authors and recipients are signed; From and a sender of another are judged."""
    arrived = leave(site, "eai", sender="jörg@home.example", recipient="ölga@example.org", options=("BODY=8BITMIME", "SMTPUTF8"))
    has(arrived.decode(), "From: jörg@home.example")
    signed(site, arrived)
    token = site.token("eai-in")
    message = mail.sign(mail.compose("Ölga <ölga@example.org>", BOB, token), "example.org", "s1", site.neighbour_key)
    with site.outside(NEIGHBOUR) as session:
        accepted(session.send("ölga@example.org", "böb@home.example", message, ("BODY=8BITMIME", "SMTPUTF8")))
    has(results(site.postfix.maildir.wait(token)), "dkim=pass", "spf=pass", "dmarc=pass")


@case
def xclient_address_judged(site):
    """The client that XCLIENT tells is the one SPF is checked for, from message to message of one connection's successors."""
    for client, result in ((NEIGHBOUR, "spf=pass"), (FORGER, "spf=fail")):
        token = site.token("xclient")
        with site.outside(client) as session:
            accepted(session.send("olga@example.org", BOB, site.genuine(token)))
        has(results(site.postfix.maildir.wait(token)), result, "dmarc=pass")
        check("client=%s[%s]" % (client[1], client[0]) in site.trimilter.log(), "%s is not in the log" % client[0])


@case(own={})
def default_actions(site):
    """milter_default_action, each as the guide's table has it, and one milter's own."""
    site.start()
    site.trimilter.stop()

    def offer(name):
        token = site.token(name)
        sender = "%s@example.org" % token
        try:
            with mail.Session(site.postfix) as session:
                return token, sender, session.send(sender, BOB, mail.compose(sender, BOB, token))
        except smtplib.SMTPConnectError as error:
            return token, sender, (error.smtp_code, error.smtp_error.decode())
        except smtplib.SMTPServerDisconnected:
            return token, sender, (0, "closed")

    def delivered(token):
        message = site.postfix.maildir.wait(token)
        no_results(message)
        unsigned(message)
    refused(offer("tempfail")[2], 451, "4.7.1")
    site.postfix.set(milter_default_action="reject")
    refused(offer("reject")[2], 554, "")
    site.postfix.set(milter_default_action="accept")
    token, _, reply = offer("accept")
    accepted(reply)
    delivered(token)
    site.postfix.set(milter_default_action="quarantine")
    token, sender, reply = offer("quarantine")
    accepted(reply)
    held = wait.until("held mail", lambda: site.postfix.held(sender))
    site.postfix.release(held[0]["queue_id"])
    delivered(token)
    site.postfix.set(milter_default_action="tempfail", non_smtpd_milters="")
    configure(site, "one-milter", **{"unix:trimilter/socket": site.trimilter.milter()})
    site.postfix.reload()
    token, _, reply = offer("own-action")
    accepted(reply)
    delivered(token)


@case
def postfix_guide(site):
    """docs/postfix.md: its main.cf lines are conf/postfix/main.cf.trimilter, and no block stands there that no case runs."""
    with open(os.path.join(ROOT, "conf", "postfix", "main.cf.trimilter")) as file:
        check(file.read() == guide.block("postfix", "main"), "the guide's lines are not conf/postfix/main.cf.trimilter")
    for name in ("postfix", "sendmail"):
        names = guide.blocks(name)
        check(len(names) == guide.n_fenced(name), "docs/%s.md: a block without a name" % name)
        with open(os.path.join(ROOT, "tests", "e2e", name + ".py")) as file:
            cases = file.read()
        left = [which for which in names if '"%s"' % which not in cases]
        check(not left, "docs/%s.md: no case runs %s" % (name, ", ".join(left)))
