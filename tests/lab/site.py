"""A whole mail site on loopback: DNS with real zones, keys, trimilter and Postfix, in one directory of its own.

  home.example     ours: signs with RSA and Ed25519 keys made by `trimilterctl genkey`; publishes p=none
  example.org      a good neighbour: SPF, a key of its own (python3-dkim signs with it), p=reject
  example.net      another: SPF alone, no signature, p=quarantine
  bank.example     forged by others: p=reject;   shop.example: p=quarantine;   club.example: p=none
  spammer.example  the forger's own domain, whose SPF passes
  plain.example    publishes nothing at all
"""
import base64
import os
import pwd
import grp
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from . import dns, mail, wait
from .postfix import Postfix
from .sendmail import Sendmail
from .trimilter import Trimilter

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOMAIN, HOSTNAME = "home.example", "mx.home.example"
ALICE, BOB = "alice@home.example", "bob@home.example"

# Who connects: (address, name), and the HELO they say.
NEIGHBOUR = ("198.51.100.25", "mail.example.org")
NEIGHBOUR_NET = ("198.51.100.80", "mail.example.net")
FORGER = ("203.0.113.66", "host.spammer.example")
PLAIN = ("203.0.113.99", "mail.plain.example")

ZONE = """
$TTL 0
home.example            TXT  "v=spf1 ip4:192.0.2.1 -all"
_dmarc.home.example     TXT  "v=DMARC1; p=none"
{ours}
example.org             TXT  "v=spf1 ip4:198.51.100.25 -all"
example.org             MX   10 mail.example.org
mail.example.org        A    198.51.100.25
mail.example.org        TXT  "v=spf1 a -all"
_dmarc.example.org      TXT  "v=DMARC1; p=reject"
s1._domainkey.example.org TXT {neighbour}
example.net             TXT  "v=spf1 include:_spf.example.net -all"
_spf.example.net        TXT  "v=spf1 ip4:198.51.100.80/29 ~all"
_dmarc.example.net      TXT  "v=DMARC1; p=quarantine"
bank.example            TXT  "v=spf1 ip4:192.0.2.77 -all"
_dmarc.bank.example     TXT  "v=DMARC1; p=reject; rua=mailto:dmarc@bank.example"
shop.example            TXT  "v=spf1 ip4:192.0.2.78 -all"
_dmarc.shop.example     TXT  "v=DMARC1; p=quarantine"
club.example            TXT  "v=spf1 ip4:192.0.2.79 ~all"
_dmarc.club.example     TXT  "v=DMARC1; p=none"
spammer.example         TXT  "v=spf1 ip4:203.0.113.0/24 -all"
host.spammer.example    A    203.0.113.66
plain.example           MX   10 mail.plain.example
mail.plain.example      A    203.0.113.99
"""


def quoted(text):
    """As a TXT record in a zone file, in strings that fit."""
    return " ".join('"%s"' % text[i:i + 250] for i in range(0, len(text), 250))


class Site:
    """
    build     the directory with trimilter and trimilterctl
    options   trimilter options that differ: {"Enforce": "no"}; None takes one out
    detached  the DNS server is a process of its own and outlives this one
    """

    PARENT = None

    def __init__(self, build, options=None, socket="local", detached=False):
        self.top = tempfile.mkdtemp(prefix="trimilter-lab-", dir=self.PARENT)
        os.chmod(self.top, 0o755)
        self.build, self.detached = os.path.abspath(build), detached
        self.mta = self.trimilter = self.dns = self.dns_process = None
        self.mark = 0
        try:
            self._prepare(options or {}, socket)
        except BaseException:
            self.close()
            raise

    def _folder(self, name, owner="root", mode=0o755):
        path = os.path.join(self.top, name)
        os.makedirs(path)
        os.chown(path, pwd.getpwnam(owner).pw_uid, -1)
        os.chmod(path, mode)
        return path

    def _prepare(self, options, socket):
        self.keys = self._folder("keys", "nobody", 0o700)
        records = [self.make_key("mail", "rsa"), self.make_key("ed", "ed25519")]
        self._neighbour_key()
        self.zone_text = ZONE.format(
            ours="\n".join("%s._domainkey.%s TXT %s" % (selector, DOMAIN, quoted(record))
                           for selector, record in zip(("mail", "ed"), records)),
            neighbour=quoted(self.neighbour_record))
        self._start_dns()
        tables = self._folder("tables")
        with open(os.path.join(tables, "KeyTable"), "w") as file:
            for selector in ("mail", "ed"):
                file.write("%s %s:%s:%s/%s.private\n" % (selector, DOMAIN, selector, self.keys, selector))
        with open(os.path.join(tables, "SigningTable"), "w") as file:
            file.write("*@%s mail\n*@%s ed\n" % (DOMAIN, DOMAIN))
        folder = self._folder("run", "nobody")
        group = grp.getgrgid(pwd.getpwnam("postfix").pw_gid).gr_name
        settings = {
            "Socket": "local:%s/trimilter.sock" % folder if socket == "local" else
                      "%s:%d@127.0.0.1" % (socket, wait.free_port()),
            "UserID": "nobody:" + group,
            "UMask": "007",
            "AuthservID": HOSTNAME,
            "KeyTable": tables + "/KeyTable",
            "SigningTable": "refile:%s/SigningTable" % tables,
            "MultipleSignatures": "yes",
            "InternalHosts": "127.0.0.1, local",
            "Nameservers": "127.0.0.1@%d" % self.dns_port,
            "DNSTimeout": "5",
            "RejectFailures": "yes",
            "HoldQuarantinedMessages": "yes",
            "LogWhy": "yes",
            "ReportSpool": folder + "/spool",
            "ReportStore": "sqlite:%s/reports.db" % folder,
            "Syslog": "no",
        }
        # A guide's place for the socket is one of the system's.
        settings.update((name, value) for name, value in options.items() if value != "local:/run/trimilter/socket")
        # The worker runs the program anew as its user, who may not be allowed into the checkout.
        program = shutil.copy2(os.path.join(self.build, "trimilter"), self._folder("bin"))
        self.trimilter = Trimilter(program, folder, settings)
        self.mta = self._make_mta()

    def _make_mta(self):
        self.postfix = Postfix(self._folder("postfix"), self.trimilter.milter(), HOSTNAME, DOMAIN)
        return self.postfix

    def ctl(self, *arguments):
        done = subprocess.run([os.path.join(self.build, "trimilterctl"), *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError("trimilterctl %s: exit %d: %s" % (arguments[0], done.returncode, done.stderr))
        return done.stdout

    def make_key(self, selector, kind):
        """A key by genkey, owned by the daemon's user; its DNS record, read from what genkey prints to paste."""
        printed = self.ctl("genkey", "-D", self.keys, "-d", DOMAIN, "-s", selector, "--type", kind)
        os.chown(os.path.join(self.keys, selector + ".private"), pwd.getpwnam("nobody").pw_uid, -1)
        return "".join(re.findall(r'"([^"]*)"', printed))

    def _neighbour_key(self):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.neighbour_key = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                               serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.DER,
                                               serialization.PublicFormat.SubjectPublicKeyInfo)
        self.neighbour_record = "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()

    def _start_dns(self):
        self.zone = dns.Zone(self.zone_text)
        if not self.detached:
            self.dns = dns.Server(self.zone).start()
            self.dns_port = self.dns.port
            return
        folder = self._folder("dns")
        zone, ready = os.path.join(folder, "zone"), os.path.join(folder, "port")
        with open(zone, "w") as file:
            file.write(self.zone_text)
        with open(os.path.join(folder, "log"), "w") as log:
            self.dns_process = subprocess.Popen(
                [sys.executable, dns.__file__, "--zone", zone, "--log", os.path.join(folder, "queries"), "--ready", ready],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait.until("DNS server", lambda: os.path.exists(ready) or self.dns_process.poll() is not None)
        with open(ready) as file:
            self.dns_port = int(file.read())

    def start(self):
        self.trimilter.start()
        self.mta.start()
        return self

    def stop(self):
        """Everything; the daemon's exit status."""
        try:
            if self.mta:
                self.mta.stop()
        finally:
            try:
                return self.trimilter.stop() if self.trimilter else None
            finally:
                if self.dns:
                    self.dns.close()
                if self.dns_process:
                    self.dns_process.terminate()
                    self.dns_process.wait(10)

    def close(self, keep=False):
        """Stop and take the directory away."""
        try:
            self.stop()
        finally:
            if not keep:
                self.remove(self.top)

    @staticmethod
    def remove(top):
        """A site's directory, with all that is in it."""
        shutil.rmtree(top, ignore_errors=True)

    # ---- the records, for independent verifiers ----

    def txt(self, name):
        """The TXT record of a name as bytes, or None."""
        found = self.zone.find(name.lower())
        if found is None or "TXT" not in found.records:
            return None
        data, record = found.records["TXT"][0][1], b""
        while data:
            record, data = record + data[1:1 + data[0]], data[1 + data[0]:]
        return record

    def key_records(self):
        return {name: self.txt(name) for name in self.zone.names if "._domainkey." in name}

    # ---- senders ----

    def token(self, name):
        """Unique in this lab, for a message's Message-ID."""
        self.mark += 1
        return "%s.%d.%d" % (re.sub(r"\W+", "-", name), self.mark, time.monotonic_ns())

    def submission(self):
        return mail.Session(self.mta, helo="laptop.home.example", login=True)

    def outside(self, client):
        return mail.Session(self.mta, client=client, helo=client[1])

    def internal(self):
        return mail.Session(self.mta, helo="printer.home.example")

    def genuine(self, token, **more):
        """Mail of the good neighbour, signed as it should be."""
        return mail.sign(mail.compose("Olga <olga@example.org>", BOB, token, **more), "example.org", "s1",
                         self.neighbour_key)

    # ---- reports ----

    def start_with_reports(self):
        """Reports go out through this host, as its other mail does."""
        self.trimilter.configure(ReportServer="127.0.0.1:%d" % self.mta.smtp_port)
        self.start()
        self.mta.set(smtpd_relay_restrictions="permit_mynetworks, reject_unauth_destination")
        return self

    def send_reports(self, now=None):
        """What `trimilterctl report send` did, once the daemon's courier was not at it."""
        words = ["report", "send", "--json", "-c", self.trimilter.config] + (["--now", str(now)] if now else [])

        def sent():
            try:
                return self.ctl(*words)
            except RuntimeError as error:
                if "exit 75" not in str(error):
                    raise
                return None
        return json.loads(wait.until("the courier's lease", sent, 30, 0.2))

    def as_received(self, message, now):
        """What `trimilterctl check` says, at `now`, of a report as its receiver sees it: our address, the null sender."""
        path = os.path.join(self.top, "report.eml")
        with open(path, "wb") as file:
            file.write(message)
        return json.loads(self.ctl("check", "--json", "--client-ip", "192.0.2.1", "--helo", HOSTNAME, "--mail-from", "",
                                   "--nameserver", "127.0.0.1@%d" % self.dns_port, "--now", str(now), path))


# Sendmail has no XCLIENT: those who connect to it do so from 127.0.0.0/8, and the zone says so.
NEAR_NEIGHBOUR = ("127.0.0.25", "mail.example.org")
NEAR_FORGER = ("127.0.0.66", "host.spammer.example")


class SendmailSite(Site):
    """The same site with Sendmail in Postfix's place."""

    PARENT = "/run"     # /tmp, which anybody may write to, is no safe place in Sendmail's eyes

    def __init__(self, build, extra="", **more):
        """extra: further lines for sendmail.mc"""
        self.extra = extra
        super().__init__(build, **more)

    def _make_mta(self):
        self.zone_text = self.zone_text.replace("ip4:198.51.100.25", "ip4:127.0.0.25").replace(
            "ip4:203.0.113.0/24", "ip4:127.0.0.66")
        self.dns.load(self.zone_text)
        self.zone = self.dns.zone
        self.sendmail = Sendmail(self._folder("sendmail"), self.trimilter.options["Socket"], HOSTNAME, DOMAIN,
                                 self.extra, hosts=[NEAR_NEIGHBOUR, NEAR_FORGER])
        return self.sendmail

    def outside(self, client):
        return mail.Session(self.sendmail, source=client[0], helo=client[1])
