#!/usr/bin/python3
"""docs/first-key.md, from an installed Trimilter to a refused forgery; then docs/several-domains.md on the same machine."""
from machine import DOMAIN, Guide, demand, install, play, start_postfix


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


def story(build, world):
    install(build)
    start_postfix(world)
    first_key(world)
    several_domains(world)


if __name__ == "__main__":
    play(story)
