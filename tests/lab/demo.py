#!/usr/bin/python3
"""What ./demo shows once everything is installed and built: see there."""
import json
import os
import signal
import sys
import textwrap
import time

sys.path[0:1] = []
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab import consumers, mail, wait                                           # noqa: E402
from lab.postfix import PASSWORD, Postfix, PostfixError                         # noqa: E402
from lab.site import ALICE, BOB, FORGER, HOSTNAME, NEIGHBOUR, ROOT, Site        # noqa: E402
from lab.trimilter import DaemonError                                           # noqa: E402

BUILD = os.path.join(ROOT, "build")
STATE = os.path.join(BUILD, "demo.json")
OLGA = "olga@example.org"


def say(text):
    print("demo: " + text, flush=True)


class Story:
    """One message: what it is, what became of it, whether that is right, and the words that show it."""

    def __init__(self, title, became, right, shown):
        self.title, self.became, self.right, self.shown = title, became, right, shown


def shown_field(message, name):
    """The fields of that name as they stand in the message."""
    taken, within = [], False
    for line in message.decode("utf-8", "replace").splitlines():
        if not line:
            break
        within = within if line[0] in " \t" else line.lower().startswith(name.lower() + ":")
        if within:
            taken.append(line)
    return "\n".join(taken)


def ours(message):
    return [value for value in mail.field(message, "Authentication-Results") if HOSTNAME in value]


# ---- the mail ----

def outgoing(site, title, token, send):
    """Ours to somebody else: signed, and all verifiers agree."""
    send(mail.compose("Alice <%s>" % ALICE, OLGA, token))
    message = site.postfix.maildir.wait(token)
    found = mail.verify_python(message, site.txt)
    words = {"python3-dkim": len(found) == 2 and all(valid for *_, valid in found)}
    words["opendkim"] = all(
        "succeeded" in mail.verify_opendkim(mail.with_signature_of(message, selector), site.key_records())
        for _, selector, _, _ in found) and bool(found)
    words["Mail::DKIM"] = "home.example mail pass" in mail.verify_perl(message, site.dns_port)
    agree = ", ".join("%s %s" % (who, "pass" if good else "FAIL") for who, good in words.items())
    became = "signed (%s): %s" % (" + ".join(sorted(a for _, _, a, _ in found)) or "not at all", agree)
    return Story(title, became, all(words.values()) and not ours(message), shown_field(message, "DKIM-Signature"))


def by_sasl(site):
    def send(message):
        with site.submission() as session:
            session.send(ALICE, OLGA, message)
    return outgoing(site, "from alice, who logged in with SASL", site.token("sasl"), send)


def by_command(site):
    return outgoing(site, "from the sendmail command", site.token("pickup"),
                    lambda message: site.postfix.sendmail(message.replace(b"\r\n", b"\n"), ALICE, [OLGA]))


def arriving(site, title, client, sender, message, token, right):
    """From outside, to be delivered: right(results) says whether our field is as it should be."""
    with site.outside(client) as session:
        code, text = session.send(sender, BOB, message)
    if code != 250:
        return Story(title, "refused: %d %s" % (code, text), False, "")
    arrived = site.postfix.maildir.wait(token)
    values = ours(arrived)
    methods = [method for method in values[0].split("; ")[1:] if "smtp.helo=" not in method] if values else []
    verdicts = " ".join(method.split()[0].rstrip(";") for method in methods) or "no results field"
    return Story(title, "delivered: " + verdicts,
                 len(values) == 1 and right(values[0]), shown_field(arrived, "Authentication-Results"))


def genuine(site):
    token = site.token("genuine")
    return arriving(site, "genuine, from example.org (signed by python3-dkim)", NEIGHBOUR, OLGA, site.genuine(token), token,
                    lambda value: all(word in value for word in ("dkim=pass", "spf=pass", "dmarc=pass")))


def forged_none(site):
    token = site.token("none")
    return arriving(site, "forged, from club.example (p=none)", FORGER, "x@spammer.example",
                    mail.compose("The chair <chair@club.example>", BOB, token), token,
                    lambda value: "dmarc=fail" in value)


def forged_results(site):
    token = site.token("results")
    lies = ["Authentication-Results: %s; dmarc=pass header.from=club.example" % HOSTNAME,
            "Authentication-Results: (sure) \"MX.Home.Example\" 1; dkim=pass header.d=club.example"]
    story = arriving(site, "with two forged results fields of ours", FORGER, "x@spammer.example",
                     mail.compose("The chair <chair@club.example>", BOB, token, headers=lies), token,
                     lambda value: "dmarc=fail" in value)
    arrived = (site.postfix.maildir.find(token) or [b""])[0]
    left = arrived.count(b"dmarc=pass") + arrived.count(b"dkim=pass")
    story.became += "; %d of 2 forged fields left" % left
    story.right = story.right and left == 0
    return story


def forged_reject(site):
    token = site.token("reject")
    with site.outside(FORGER) as session:
        code, text = session.send("x@spammer.example", BOB, mail.compose("The CEO <ceo@bank.example>", BOB, token))
    right = code == 550 and text.startswith("5.7.1") and "bank.example" in text and not site.postfix.maildir.find(token)
    return Story("forged, from bank.example (p=reject)", "refused: %d" % code if code != 250 else "accepted", right,
                 "%d %s" % (code, text))


def forged_quarantine(site):
    token = site.token("quarantine")
    sender = token + "@spammer.example"
    title = "forged, from shop.example (p=quarantine)"
    with site.outside(FORGER) as session:
        code, text = session.send(sender, BOB, mail.compose("Sales <sales@shop.example>", BOB, token))
    if code != 250:
        return Story(title, "refused: %d %s" % (code, text), False, "")
    held = wait.until("held mail", lambda: site.postfix.held(sender))
    message = site.postfix.queued_message(held[0]["queue_id"]).encode()
    return Story(title, "held: in Postfix's hold queue as " + held[0]["queue_id"],
                 "dmarc=fail" in "".join(ours(message)) and not site.postfix.maildir.find(token),
                 shown_field(message, "Authentication-Results"))


def report(site):
    """What the owner of bank.example gets at the end of the day: about the mail that was refused above."""
    address, tomorrow = "dmarc@bank.example", (int(time.time()) // 86400 + 1) * 86400 + 1000
    site.trimilter.reload()     # the new worker begins a new file of records: what has come so far can be counted
    done = wait.until("a report", lambda: site.send_reports(tomorrow)["built"])
    arrived = wait.until("the report", lambda: site.postfix.maildir.find("Delivered-To: " + address))[0]
    dmarc = site.as_received(arrived, tomorrow)["dmarc"]["result"]
    name, data = consumers.attached(arrived)[0]
    path = os.path.join(site.top, name)
    with open(path, "wb") as file:
        file.write(data)
    counted = json.loads(site.ctl("report", "show", "--json", path))
    became = "delivered: dmarc=%s; counts %d message, %d refused" % (dmarc, counted["messages"], counted["reject"])
    right = (done, counted["messages"], counted["reject"], dmarc) == (1, 1, 1, "pass")
    return Story("to %s: the day's aggregate report" % address, became, right, site.ctl("report", "show", path).strip())


STORIES = (by_sasl, by_command, genuine, forged_reject, forged_quarantine, forged_none, forged_results, report)


def table(stories):
    width = max(len(story.title) for story in stories)
    for number, story in enumerate(stories, 1):
        print("\n%d. Mail %s" % (number, story.title))
        print(textwrap.indent(story.shown.expandtabs(4), "     "))
    print("\n    %-*s  %s" % (width, "Mail", "What became of it"))
    for number, story in enumerate(stories, 1):
        print("%-3s %-*s  %s" % ("ok" if story.right else "NO", width, story.title, story.became))


# ---- staying and stopping ----

def alive(pid, word):
    """True when the process is still the one that was started."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return word.encode() in file.read()
    except OSError:
        return False


def stay(site):
    state = {"top": site.top, "postfix": site.postfix.config,
             "processes": [[site.trimilter.process.pid, site.top], [site.dns_process.pid, site.top]]}
    with open(STATE, "w") as file:
        json.dump(state, file)
    print(textwrap.dedent("""
        It stays. Everything is below %(top)s:
          SMTP from outside     127.0.0.1:%(smtp)d     (XCLIENT ADDR=203.0.113.66 NAME=host.spammer.example plays a stranger)
          submission with SASL  127.0.0.1:%(submission)d     user %(user)s, password "%(password)s"
          DNS                   127.0.0.1@%(dns)d     zone file dns/zone (kill -HUP %(dns_pid)d reads it again)
          trimilter             run/trimilter.conf, run/trimilter.log (kill -HUP %(pid)d reloads)
          mail that arrived     postfix/mail/new
          mail on hold          postqueue -c postfix/etc -p
        Stop it with: ./demo --stop""") % dict(
            top=site.top, smtp=site.postfix.smtp_port, submission=site.postfix.submission_port, user=site.postfix.user,
            password=PASSWORD, dns=site.dns_port, dns_pid=site.dns_process.pid, pid=site.trimilter.process.pid))


def stop():
    """What --stay left; True where there was something."""
    try:
        with open(STATE) as file:
            state = json.load(file)
    except FileNotFoundError:
        return False
    if os.path.isdir(state["postfix"]):
        Postfix.stop_instance(state["postfix"])
    for pid, word in state["processes"]:
        if alive(pid, word):
            os.kill(pid, signal.SIGTERM)
            wait.until("the end of process %d" % pid, lambda p=pid, w=word: not alive(p, w), 30)
    Site.remove(state["top"])
    os.unlink(STATE)
    return True


def play():
    """All stories with a site of their own; (stories, site)."""
    say("starting a DNS server with real zones, trimilter and a private Postfix")
    site = Site(BUILD, {"ReportAddress": "reports@home.example"}, detached=True)
    try:
        site.start_with_reports()
        stories = []
        for tell in STORIES:
            stories.append(tell(site))
            say("sent mail %s" % stories[-1].title)
        return stories, site
    except BaseException as error:
        log = site.trimilter.log()[-2000:]
        site.close()
        if isinstance(error, (PostfixError, wait.Late)):
            sys.exit("demo: %s\n%s" % (error, log))
        if isinstance(error, DaemonError):
            sys.exit("demo: trimilter: %s" % error)
        raise


def main():
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    if sys.argv[1:] == ["--stop"]:
        say("stopped" if stop() else "nothing of ours is running")
        return 0
    if stop():
        say("stopped what an earlier ./demo --stay had left")
    begin = time.monotonic()
    stories, site = play()
    try:
        table(stories)
        if sys.argv[1:] == ["--stay"]:
            stay(site)
            site = None
    finally:
        if site:
            site.close()
    right = all(story.right for story in stories)
    print("\ndemo: %s [%.0f s]" % ("all is as it should be" if right else "something is NOT as it should be",
                                  time.monotonic() - begin))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
