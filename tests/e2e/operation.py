"""The daemon's life: start, sockets, reload of a broken file, crash, end."""
import os
import signal

from e2e.case import accepted, case, check, has, refused, signed
from e2e.sessions import bank, genuine, outgoing
from lab import mail, wait
from lab.site import ALICE, BOB, FORGER, NEIGHBOUR


def carries_mail(site):
    with site.outside(NEIGHBOUR) as session:
        genuine(site, session)
    with site.submission() as session:
        outgoing(site, session)


@case(own={"socket": "inet"})
def inet_socket(site):
    """Over TCP as over the unix socket."""
    site.start()
    carries_mail(site)


@case
def configuration_checks(site):
    """-n finds nothing wrong with the configuration that is in force."""
    status, text = site.trimilter.check()
    check(status == 0, "exit %d: %s" % (status, text))


def rights(pid):
    with open("/proc/%d/status" % pid) as file:
        found = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return {name: found[name] for name in ("Uid", "CapPrm", "CapEff", "NoNewPrivs", "Seccomp", "Seccomp_filters")}


@case(quick=True)
def least_privilege(site):
    """Who meets mail or answers has no user but its own, no capability, none to gain, and a filter of system calls."""
    trimilter = site.trimilter
    processes = [(role, pid) for role in ("worker", "courier") for pid in trimilter.children(role)]
    check(len(processes) == 2, "the processes: %s" % processes)
    if trimilter.UNIT:
        processes.append(("master", trimilter.process.pid))
    for role, pid in processes:
        found = rights(pid)
        check("0" not in found["Uid"].split(), "%s: %s" % (role, found))
        check(int(found["CapPrm"], 16) == 0 and int(found["CapEff"], 16) == 0, "%s: %s" % (role, found))
        if not trimilter.is_sanitized():
            # Two are the unit's.
            wanted = (2 if trimilter.UNIT else 0) + (role != "master")
            check(found["NoNewPrivs"] == "1" and int(found["Seccomp_filters"]) == wanted, "%s: %s" % (role, found))


@case
def reload_of_broken_file(site):
    """SIGHUP with a mistake in the file: the old configuration stays, the log names the word, mail flows."""
    mark = len(site.trimilter.log())
    try:
        check(not site.trimilter.reload(RejectFailuress="yes"), "the broken file was taken")
        has(site.trimilter.log()[mark:], "RejectFailuress")
        carries_mail(site)
        with site.outside(FORGER) as session:
            bank(site, session)
    finally:
        check(site.trimilter.reload(RejectFailuress=None), "the good file was not taken")


@case
def key_rotated(site):
    """A new key by reload: the next message bears it, none is unsigned in between."""
    record = site.make_key("next", "rsa")
    site.zone_text += '\nnext._domainkey.home.example TXT %s\n' % " ".join(
        '"%s"' % record[i:i + 250] for i in range(0, len(record), 250))
    site.dns.load(site.zone_text)
    site.zone = site.dns.zone
    table = site.trimilter.options["KeyTable"]
    with open(table) as file:
        old = file.read()
    with site.submission() as session:
        try:
            with open(table, "w") as file:
                file.write(old.replace(":mail:", ":next:").replace("/mail.private", "/next.private"))
            check(site.trimilter.reload(), "not taken")
            token = site.token("rotated")
            accepted(session.send(ALICE, BOB, mail.compose(ALICE, BOB, token)))
            signed(site, site.postfix.maildir.wait(token), selectors=("next", "ed"))
        finally:
            with open(table, "w") as file:
                file.write(old)
            site.trimilter.reload()


@case
def worker_killed(site):
    """kill -9 of the worker: the master starts another, mail flows."""
    before = site.trimilter.children()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait.until("a new worker", lambda: set(site.trimilter.children()) - set(before), 30)

    def taken():
        with site.outside(NEIGHBOUR) as session:
            return session.send("olga@example.org", BOB, site.genuine(site.token("killed")))[0] == 250
    wait.until("mail after the worker was killed", taken, 30)
    carries_mail(site)


@case(own={})
def killed_and_started_again(site):
    """kill -9 of everything: the stale socket does no harm to the next start."""
    site.start()
    os.killpg(site.trimilter.process.pid, signal.SIGKILL)
    site.trimilter.process.wait()
    site.trimilter.start()
    carries_mail(site)


@case(own={})
def term_ends_cleanly(site):
    """SIGTERM: exit 0, no process left, socket gone; Postfix defers meanwhile."""
    site.start()
    carries_mail(site)
    children = site.trimilter.children(None)
    address = site.trimilter.address()
    status = site.trimilter.stop()
    check(status == 0, "exit status %s" % status)
    wait.until("the children's end", lambda: not any(os.path.exists("/proc/%d" % pid) for pid in children))
    check(not os.path.exists(address), "the socket is still there")
    with site.outside(NEIGHBOUR) as session:
        refused(session.send("olga@example.org", BOB, site.genuine(site.token("gone"))), 451, "4.7.1")
    site.trimilter.start()
    carries_mail(site)
