#!/usr/bin/python3
"""docs/switch.md under traffic: from opendkim and opendmarc to Trimilter and back; nothing lost, nothing unsigned or unverified."""
import threading
import time

from machine import DOMAIN, Guide, demand, install, play, shell, start_postfix

# As most howtos have it. Nameservers: libunbound asks nobody on loopback unless told to.
OPENDKIM = """Syslog yes
LogWhy yes
Canonicalization relaxed/simple
Mode sv
OversignHeaders From
KeyTable /etc/dkimkeys/KeyTable
SigningTable refile:/etc/dkimkeys/SigningTable
InternalHosts 127.0.0.1
Nameservers 127.0.0.1
UserID opendkim
UMask 002
Socket local:/var/spool/postfix/opendkim/opendkim.sock
PidFile /run/opendkim/opendkim.pid
"""
OPENDMARC = """AuthservID mail.example.com
TrustedAuthservIDs mail.example.com
Syslog true
UMask 0002
UserID opendmarc
PidFile /run/opendmarc/opendmarc.pid
PublicSuffixList /usr/share/publicsuffix/public_suffix_list.dat
Socket local:/var/spool/postfix/opendmarc/opendmarc.sock
SPFSelfValidate true
RejectFailures true
"""
BEFORE = """
postfix stop || true
for name in opendkim opendmarc; do
	install -d -o $name -g postfix -m 2770 /var/spool/postfix/$name
	install -d -o $name -g $name -m 755 /run/$name
done
install -d -o opendkim -g opendkim -m 700 /etc/dkimkeys
trimilterctl genkey -d example.com -s old2024 -D /etc/dkimkeys
echo 'old example.com:old2024:/etc/dkimkeys/old2024.private' > /etc/dkimkeys/KeyTable
echo '*@example.com old' > /etc/dkimkeys/SigningTable
chown -R opendkim:opendkim /etc/dkimkeys
postconf -e 'smtpd_milters=unix:opendkim/opendkim.sock, unix:opendmarc/opendmarc.sock' 'non_smtpd_milters=$smtpd_milters' \
	milter_default_action=tempfail
"""
FEWEST = 20     # messages each way in each of the three times


class Traffic:
    """Mail in both directions until finish(), by two clients; each message notes in which part of the story it was sent."""

    def __init__(self, world):
        self.world, self.sent, self.errors, self.going, self.part = world, [], [], True, "before"
        self.threads = [threading.Thread(target=self._flow, args=way) for way in (("out", world.leave), ("in", world.arrive))]
        for thread in self.threads:
            thread.start()

    def _flow(self, way, send):
        while self.going:
            part = self.part
            try:
                self.sent.append((part, way, send()))
            except Exception as error:      # whatever it is, it is mail that was not taken
                self.errors.append("%s, %s: %s" % (part, way, error))
                return
            time.sleep(0.1)

    def enter(self, part):
        """From now on it is another part; returns when enough has been sent in it."""
        self.part = part
        end = time.monotonic() + 60
        while not self.errors and any(self.count(part, way) < FEWEST for way in ("in", "out")):
            demand(time.monotonic() < end, "no traffic in the part %s" % part)
            time.sleep(0.05)
        demand(not self.errors, "; ".join(self.errors))

    def count(self, part, way):
        return sum(one[:2] == (part, way) for one in list(self.sent))

    def finish(self):
        self.going = False
        for thread in self.threads:
            thread.join()


def judge(world, traffic):
    demand(not traffic.errors, "; ".join(traffic.errors))
    for part, way, token in traffic.sent:
        message = world.wait(token)
        demand(len(world.arrived(token)) == 1, "%s, %s: arrived %d times" % (part, way, len(world.arrived(token))))
        if way == "out":
            world.demand_signed(message)
            demand(b"s=old2024" in message, "another key")
        else:
            world.demand_verified(message)


def story(build, world):
    install(build)
    for path, text in (("/etc/opendkim.conf", OPENDKIM), ("/etc/opendmarc.conf", OPENDMARC)):
        with open(path, "w") as file:
            file.write(text)
    demand(world.paste(shell(BEFORE)), "no key record")
    shell("systemctl start opendkim opendmarc")
    start_postfix(world)
    guide = Guide("switch")
    traffic = Traffic(world)
    try:
        follow(guide, traffic)
    finally:
        traffic.finish()
    judge(world, traffic)
    guide.finish()
    parts = ("before", "beside", "switched", "alone", "back", "after")
    print("%d messages, all arrived once, signed with the old key or verified: " % len(traffic.sent)
          + ", ".join("%s %d out %d in" % (part, traffic.count(part, "out"), traffic.count(part, "in")) for part in parts))


def follow(guide, traffic):
    traffic.enter("before")
    traffic.part = "beside"
    guide.run("beside")
    printed = guide.run("check")
    demand("error" not in printed, printed)
    traffic.part = "switched"
    guide.run("switch")
    guide.run("stop-old")
    printed = shell("ps -C opendkim,opendmarc -o pid=,stat=,comm= | grep -v ' Z' || true")
    demand(printed == "", "the old daemons still run:\n" + printed)
    traffic.enter("alone")
    with open("/var/log/journal-of-trimilter") as file:
        text = file.read()
    demand("signed=%s/old2024" % DOMAIN in text and "dkim=pass:example.org/s1" in text, "Trimilter has not done it: " + text[-2000:])
    traffic.part = "back"
    guide.run("back")
    guide.run("stop-new")
    traffic.enter("after")


if __name__ == "__main__":
    play(story)
