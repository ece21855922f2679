#!/usr/bin/python3
"""docs/first-key.md, from an installed Trimilter to a refused forgery; then docs/several-domains.md and docs/trouble.md on the same machine."""
from machine import DOMAIN, OUTSIDE, Guide, demand, install, mail, play, shell, start_postfix


def first_key(world):
    guide = Guide("first-key")
    guide.run("configuration")
    names = world.paste(guide.run("key"))
    demand(len(names) == 3 and DOMAIN in names and "_dmarc." + DOMAIN in names, "records to publish: %s" % names)
    guide.run("published")
    demand(guide.run("start").strip().endswith("active"), "the service is not active")
    guide.run("postfix")
    printed = guide.run("send")
    demand("signed=%s/" % DOMAIN in printed.splitlines()[-1], "the log: " + printed)
    world.demand_signed(world.wait("The first one."))
    world.demand_signed(world.wait(world.leave()))
    world.demand_verified(world.wait(world.arrive()))
    printed = guide.run("look")
    demand("origin=outside" in printed and "dkim=pass:example.org/s1" in printed and "dmarc=pass" in printed, "the log: " + printed)
    code, text = world.forge("ceo@example.org")
    demand(code == 250, "refused with Enforce no: %d %s" % (code, text))
    guide.run("enforce")
    code, text = world.forge("ceo@example.org")
    demand(code == 550 and b"DMARC" in text, "a forgery after the last step: %d %s" % (code, text))
    guide.finish()


def several_domains(world):
    guide = Guide("several-domains")
    names = world.paste(guide.run("add"))
    demand("_dmarc.example.net" in names, "records to publish: %s" % names)
    demand(b"DKIM-Signature" not in world.wait(world.leave("carol@example.net")), "signed before the reload")
    guide.run("publish")
    world.demand_signed(world.wait(world.leave("carol@example.net")), "example.net")
    world.demand_signed(world.wait(world.leave()))
    demand("example.net" in guide.run("list"), "the list lacks example.net")
    guide.run("remove")
    demand(b"DKIM-Signature" not in world.wait(world.leave("carol@example.net")), "signed after the removal")
    guide.finish()


def trouble(world):
    """Each symptom is made, seen with the words that the page has, and mended by what the page says."""
    guide = Guide("trouble")
    page = guide.text
    message = world.wait(world.arrive())
    with open("message.eml", "wb") as file:
        file.write(message)
    printed = guide.run("first")
    demand("DKIM: pass" in printed and "DMARC: pass" in printed, "trimilterctl check: " + printed)
    for breaking, words in ((MOVED, "No such file or directory"), (SHUT, "Permission denied")):
        shell(breaking)
        code, text = world.hand_over(OUTSIDE, "olga@example.org", "bob@" + DOMAIN, mail.compose("olga@example.org", "bob@" + DOMAIN, "x"))
        demand(code == 451 and text.startswith(b"4.7.1 Service unavailable"), "%s: %d %s" % (words, code, text))
        with open("/var/log/mail.log") as log:
            demand(words in log.read().rpartition("connect to Milter service")[2], "Postfix does not say " + words)
        demand(words in page, "docs/trouble.md does not have: " + words)
        shell(MENDED)
        guide.run("socket")
        world.demand_verified(world.wait(world.arrive()))
    guide.finish()


# The path as seen from outside of the chroot; a directory that Postfix may not enter.
MOVED = "postconf -e smtpd_milters=unix:/var/spool/postfix/trimilter/socket; postfix reload; sleep 1"
SHUT = "chmod 700 /var/spool/postfix/trimilter"
MENDED = "postconf -e smtpd_milters=unix:trimilter/socket; postfix reload; sleep 1"


def story(build, world):
    install(build)
    start_postfix(world)
    first_key(world)
    several_domains(world)
    trouble(world)


if __name__ == "__main__":
    play(story)
