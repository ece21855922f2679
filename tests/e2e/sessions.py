"""Many messages: in parallel, in one session, and none knows of another."""
import concurrent.futures
import signal

from e2e.case import accepted, case, check, has, lacks, refused, results, signed
from lab import mail, wait
from lab.site import ALICE, BOB, FORGER, NEIGHBOUR, PLAIN

N_SESSIONS = 20


def genuine(site, session):
    token = site.token("par-genuine")
    accepted(session.send("olga@example.org", BOB, site.genuine(token)))
    text = results(site.postfix.maildir.wait(token, seconds=60))
    has(text, "dkim=pass", "header.d=example.org", "dmarc=pass")
    lacks(text, "club.example", "dkim=fail", "dmarc=fail")


def club(site, session):
    token = site.token("par-club")
    accepted(session.send("x@spammer.example", BOB, mail.compose("chair@club.example", BOB, token)))
    text = results(site.postfix.maildir.wait(token, seconds=60))
    has(text, "dkim=none", "dmarc=fail", "header.from=club.example")
    lacks(text, "header.d=", "header.from=example.org", "dkim=pass", "dmarc=pass")


def bank(site, session):
    refused(session.send("x@spammer.example", BOB, mail.compose("ceo@bank.example", BOB, site.token("par-bank"))),
            550, "5.7.1", "bank.example")


def plain(site, session):
    token = site.token("par-plain")
    accepted(session.send("pete@plain.example", BOB, mail.compose("pete@plain.example", BOB, token)))
    text = results(site.postfix.maildir.wait(token, seconds=60))
    has(text, "dkim=none", "dmarc=none")
    lacks(text, "header.d=", "header.from=example.org", "club.example")


def outgoing(site, session):
    token = site.token("par-out")
    accepted(session.send(ALICE, "olga@example.org", mail.compose(ALICE, "olga@example.org", token)))
    signed(site, site.postfix.maildir.wait(token, seconds=60))


def one_session(site, number):
    """Several messages of different fates through one connection; what went wrong, or None."""
    kinds = [
        (lambda: site.outside(NEIGHBOUR), [genuine, club, genuine, bank, genuine]),
        (lambda: site.outside(FORGER), [bank, club, bank, plain, club]),
        (lambda: site.outside(PLAIN), [plain, genuine, plain, bank, club]),
        (site.submission, [outgoing, outgoing, outgoing, outgoing]),
    ]
    opened, steps = kinds[number % len(kinds)]
    try:
        with opened() as session:
            for step in steps:
                step(site, session)
    except Exception as error:      # to the caller's thread as text
        return "session %d, %s: %s" % (number, step.__name__, error)
    return None


@case
def twenty_parallel_sessions(site):
    """Twenty sessions at once, four or five messages each, of different fates: no state is carried over."""
    with concurrent.futures.ThreadPoolExecutor(N_SESSIONS) as pool:
        wrong = [why for why in pool.map(lambda n: one_session(site, n), range(N_SESSIONS)) if why]
    check(not wrong, "%d of %d sessions: %s" % (len(wrong), N_SESSIONS, "; ".join(wrong[:3])))


@case
def aborted_message_forgotten(site):
    """RSET after RCPT, a second MAIL, a new EHLO: the next message is judged for itself."""
    with site.outside(FORGER) as session:
        session.smtp.mail("x@bank.example")
        session.smtp.rcpt(BOB)
        session.smtp.rset()
        plain(site, session)
        session.smtp.mail("y@bank.example")
        session.smtp.ehlo("other.example")
        club(site, session)


@case(quick=True)
def held_open_across_reload(site):
    """A session held open across SIGHUP: its next message is handled by the new configuration, none is lost."""
    with site.outside(FORGER) as held:
        club(site, held)
        try:
            check(site.trimilter.reload(RejectFailures="no", QuarantineAction="accept", HoldQuarantinedMessages=None),
                  "the reload was not taken")
            token = site.token("reload")
            accepted(held.send("x@spammer.example", BOB, mail.compose("ceo@bank.example", BOB, token)))
            has(results(site.postfix.maildir.wait(token)), "dmarc=fail")
        finally:
            check(site.trimilter.reload(RejectFailures="yes", QuarantineAction=None, HoldQuarantinedMessages="yes"),
                  "the reload back was not taken")
        bank(site, held)


@case(quick=True)
def held_open_across_drain(site):
    """A session held open across SIGUSR2: the old worker serves it to its end, the new one all others."""
    before = site.trimilter.children()
    with site.outside(NEIGHBOUR) as held:
        genuine(site, held)
        site.trimilter.signal(signal.SIGUSR2)
        wait.until("a new worker", lambda: set(site.trimilter.children()) - set(before), 30)
        genuine(site, held)
        with site.outside(FORGER) as fresh:
            club(site, fresh)
            bank(site, fresh)
        genuine(site, held)
    wait.until("the end of the old worker", lambda: not set(before) & set(site.trimilter.children()), 60)
    with site.outside(FORGER) as fresh:
        club(site, fresh)
