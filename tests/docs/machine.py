"""The machine that a guide is tried on: Postfix as Debian sets it up, the DNS, and the rest of the world, all in a box."""
import os
import re
import smtplib
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.dirname(HERE))
sys.dont_write_bytecode = True

from lab import box, dns, guide, mail, wait     # noqa: E402
from lab.sink import Sink                       # noqa: E402

DOMAIN, HOSTNAME = "example.com", "mail.example.com"
OUTSIDE, FORGER = "198.51.100.25", "203.0.113.66"

# As Debian's installation leaves it for an "Internet Site", but that all mail, in and out, ends in the sink.
POSTFIX = ("myhostname=" + HOSTNAME, "mydomain=" + DOMAIN, "myorigin=" + DOMAIN, "mydestination=" + DOMAIN, "mynetworks=127.0.0.1/32",
           "inet_interfaces=127.0.0.1", "inet_protocols=ipv4", "maillog_file=/var/log/mail.log", "local_recipient_maps=",
           "smtp_dns_support_level=disabled", "smtp_host_lookup=native", "smtpd_peername_lookup=no")

ZONE = """
$TTL 0
mail.example.com        A    127.0.0.1
example.com             MX   10 mail.example.com
example.org             TXT  "v=spf1 ip4:%s -all"
_dmarc.example.org      TXT  "v=DMARC1; p=reject"
""" % OUTSIDE


class World:
    """Name server on port 53, and the mail server that everything goes to."""

    def __init__(self):
        box.network(HOSTNAME, OUTSIDE, FORGER)
        self.zone_text = ZONE
        self.dns = dns.Server(dns.Zone(ZONE), port=53).start()
        self.sink = Sink()
        self.n = 0
        self.make_neighbour()

    def make_neighbour(self):
        """example.org, which signs with a key of its own (python3-dkim)."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        import base64
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.neighbour_key = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                               serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.publish("s1._domainkey.example.org", "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode())

    def publish(self, name, value):
        self.zone_text += "%s TXT %s\n" % (name, " ".join('"%s"' % value[i:i + 250] for i in range(0, len(value), 250)))
        self.dns.load(self.zone_text)

    def paste(self, printed):
        """Publish every record in zone file form that a command printed, as the administrator would; their names."""
        found = re.findall(r'(?m)^(\S+)\. IN TXT \( (.*) \)$', printed)
        for name, strings in found:
            self.publish(name, "".join(re.findall(r'"([^"]*)"', strings)))
        return [name for name, _ in found]

    def txt(self, name):
        found = self.dns.zone.find(name.lower())
        if found is None or "TXT" not in found.records:
            return None
        data, record = found.records["TXT"][0][1], b""
        while data:
            record, data = record + data[1:1 + data[0]], data[1 + data[0]:]
        return record

    # ---- mail ----

    def token(self):
        self.n += 1
        return "guide.%d.%d" % (self.n, time.monotonic_ns())

    def arrived(self, token):
        """The messages with the token that reached their recipient."""
        with self.sink.lock:
            return [message.data for message in self.sink.messages if token.encode() in message.data]

    def wait(self, token):
        return wait.until("mail with " + token, lambda: self.arrived(token), 30)[0]

    @staticmethod
    def hand_over(source, sender, recipient, message):
        """(code, text) of Postfix's last word."""
        with smtplib.SMTP("127.0.0.1", 25, local_hostname="client.example", timeout=60, source_address=(source, 0)) as smtp:
            smtp.ehlo()
            for reply in (smtp.mail(sender), smtp.rcpt(recipient)):
                if reply[0] != 250:
                    return reply
            try:
                return smtp.data(message)
            except smtplib.SMTPDataError as error:
                return error.smtp_code, error.smtp_error

    def leave(self, author="alice@" + DOMAIN):
        """A message of ours to somebody elsewhere; its token."""
        token = self.token()
        reply = self.hand_over("127.0.0.1", author, "someone@example.org", mail.compose(author, "someone@example.org", token))
        demand(reply[0] == 250, "outgoing mail: %r" % (reply,))
        return token

    def arrive(self):
        """A message of the neighbour's to us; its token."""
        token = self.token()
        message = mail.sign(mail.compose("Olga <olga@example.org>", "bob@" + DOMAIN, token), "example.org", "s1", self.neighbour_key)
        reply = self.hand_over(OUTSIDE, "olga@example.org", "bob@" + DOMAIN, message)
        demand(reply[0] == 250, "incoming mail: %r" % (reply,))
        return token

    def forge(self, author):
        """(code, text) to a forgery in the name of author."""
        return self.hand_over(FORGER, "x@spammer.example", "bob@" + DOMAIN, mail.compose(author, "bob@" + DOMAIN, self.token()))

    def demand_signed(self, message, domain=DOMAIN):
        found = mail.verify_python(message, self.txt)
        demand(len(found) == 1 and found[0][0] == domain and found[0][3], "not one valid signature of %s: %s" % (domain, found))

    @staticmethod
    def demand_verified(message):
        text = " ".join(mail.field(message, "Authentication-Results"))
        demand("dkim=pass" in text and "dmarc=pass" in text, "not verified: %s" % message.decode(errors="replace"))


class Wrong(Exception):
    pass


def demand(condition, why):
    if not condition:
        raise Wrong(why)


def shell(text, before=(), seconds=120):
    """Run a block as a shell would that stops at the first failure; what it printed. before: a command that runs the shell."""
    # A file, not a pipe: services keep what they inherit, and reading would wait for their end.
    with tempfile.TemporaryFile("w+") as out:
        done = subprocess.run([*before, "bash", "-ec", text], stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=seconds)
        out.seek(0)
        printed = out.read()
    demand(done.returncode == 0, "exit %d of:\n%s\n%s" % (done.returncode, text.strip(), printed))
    return printed


class Guide:
    """A guide's blocks; each must be asked for, and every fenced block must be one that can be."""

    def __init__(self, name):
        self.name, self.text, self.blocks, self.done = name, guide.text(name), guide.blocks(name), set()
        demand(len(self.blocks) == guide.n_fenced(name), "docs/%s.md: a block without a mark" % name)

    def run(self, which):
        self.done.add(which)
        return shell(self.blocks[which])

    def finish(self):
        demand(self.done == set(self.blocks), "docs/%s.md: not run: %s" % (self.name, sorted(set(self.blocks) - self.done)))


def start_postfix(world, before=()):
    relay = "smtp:[127.0.0.1]:%d" % world.sink.port
    settings = (*POSTFIX, "default_transport=" + relay, "local_transport=" + relay)
    shell("postconf -e " + " ".join("'%s'" % setting for setting in settings), before)
    shell("newaliases; postfix start", before)
    wait.until("Postfix", lambda: wait.greets(25), 30)


def install(build):
    """What docs/install.md has done when it is through: programs, service, user, directories."""
    shell("install %s/trimilter /usr/sbin/; install %s/trimilterctl /usr/bin/" % (build, build))
    conf = os.path.join(box.ROOT, "conf", "systemd")
    shell("install -m 644 -D %s/trimilter.service -t /usr/lib/systemd/system" % conf)
    shell("install -m 644 -D %s/trimilter.sysusers /usr/lib/sysusers.d/trimilter.conf" % conf)
    shell("install -m 644 -D %s/trimilter.tmpfiles /usr/lib/tmpfiles.d/trimilter.conf" % conf)
    shell(guide.block("install", "user"))


def play(story):
    """The body of a case: story(build, world) in a box; exit status 1 with the reason where something is wrong."""
    box.enter()
    world = World()
    try:
        story(os.path.abspath(sys.argv[1]), world)
    except (Wrong, wait.Late, subprocess.TimeoutExpired, OSError, smtplib.SMTPException) as error:
        print(error)
        subprocess.run("tail -n 30 /var/log/mail.log /var/log/journal-of-*", shell=True, stderr=subprocess.STDOUT)
        sys.exit(1)
