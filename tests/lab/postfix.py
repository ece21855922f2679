"""A private Postfix: own configuration, queue and data directory, loopback ports, its own log.

The system's /etc/postfix is only read (as meta_directory), and only this instance is started and stopped. All mail,
whatever its domain, ends in one Maildir, so that what "arrived elsewhere" can be looked at. Foreign clients are played
with XCLIENT; SASL is the real thing (Cyrus, with a password file of its own).
"""
import json
import os
import pwd
import subprocess
import tempfile
import time

from . import wait
from .maildir import Maildir

USER, PASSWORD = "alice", "correct horse"

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {top}/queue
data_directory = {top}/data
maillog_file = {top}/log/maillog
maillog_file_prefixes = {top}/log
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
meta_directory = /etc/postfix

myhostname = {hostname}
mydomain = {domain}
myorigin = {domain}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = all
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
notify_classes =
biff = no

# Mail for us, and mail of ours that goes elsewhere: all is kept in one Maildir.
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
default_transport = virtual
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {top}
virtual_mailbox_maps = static:mail/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
enable_original_recipient = no

# Foreign clients and many of them, from this machine.
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
default_process_limit = 200
message_size_limit = 52428800
mailbox_size_limit = 0
virtual_mailbox_limit = 0

smtpd_milters = {milter}
non_smtpd_milters = {milter}
milter_default_action = tempfail
milter_command_timeout = 60s
milter_content_timeout = 120s

smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = {domain}
{extra}
"""

MASTER_CF = """
127.0.0.1:{smtp_port} inet n - n - - smtpd
127.0.0.1:{submission_port} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o {{ milter_macro_daemon_name = ORIGINATING }}
pickup    unix  n       -       n       1       1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
anvil     unix  -       -       n       -       1       anvil
postlog   unix-dgram n  -       n       -       1       postlogd
"""

# Debian's Postfix looks for it in sasl/ of its configuration directory, whatever cyrus_sasl_config_path says.
SASL_CONF = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {top}/etc/sasl/users.db
mech_list: PLAIN LOGIN
"""


class PostfixError(Exception):
    pass


class Postfix:
    """
    top       an empty directory that any user may enter
    milter    as in smtpd_milters: "unix:/path", "inet:host:port", or "" for none
    """

    def __init__(self, top, milter="", hostname="mx.home.example", domain="home.example", extra=""):
        self.top, self.config, self.domain = top, os.path.join(top, "etc"), domain
        self.smtp_port, self.submission_port = wait.free_port(), wait.free_port()
        self.user = "%s@%s" % (USER, domain)
        nobody = pwd.getpwnam("nobody")
        postfix = pwd.getpwnam("postfix")
        for folder in ("etc/sasl", "queue", "data", "log", "mail"):
            os.makedirs(os.path.join(top, folder), mode=0o755, exist_ok=True)
        os.chown(os.path.join(top, "data"), postfix.pw_uid, postfix.pw_gid)
        os.chown(os.path.join(top, "mail"), nobody.pw_uid, nobody.pw_gid)
        self.maildir = Maildir(os.path.join(top, "mail"))
        self.log_path = os.path.join(top, "log", "maillog")
        values = dict(top=top, milter=milter, hostname=hostname, domain=domain, extra=extra, smtp_port=self.smtp_port,
                      submission_port=self.submission_port, uid=nobody.pw_uid, gid=nobody.pw_gid)
        for path, text in (("etc/main.cf", MAIN_CF), ("etc/master.cf", MASTER_CF), ("etc/sasl/smtpd.conf", SASL_CONF)):
            with open(os.path.join(top, path), "w") as file:
                file.write(text.format(**values).lstrip())
        users = os.path.join(top, "etc", "sasl", "users.db")
        self._run(["saslpasswd2", "-p", "-c", "-f", users, "-u", domain, USER], input=PASSWORD)
        os.chown(users, 0, postfix.pw_gid)
        os.chmod(users, 0o640)
        self.running = False

    @staticmethod
    def _run(command, **options):
        # Files, not pipes: the master keeps what it inherits, and reading would wait for its end.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(command, stdout=out, stderr=err, text=True, timeout=60,
                                  **options or {"stdin": subprocess.DEVNULL})
            out.seek(0), err.seek(0)
            if done.returncode != 0:
                raise PostfixError("%s: exit %d: %s" % (" ".join(command), done.returncode, err.read() or out.read()))
            return out.read()

    def start(self):
        self._run(["postfix", "-c", self.config, "start"])
        self.running = True
        for port in (self.smtp_port, self.submission_port):
            wait.until("Postfix on port %d" % port, lambda p=port: wait.greets(p), 30)
        return self

    def stop(self):
        if not self.running:
            return
        self.stop_instance(self.config)
        self.running = False

    @classmethod
    def stop_instance(cls, config):
        """The instance with this configuration directory, whoever started it."""
        cls._run(["postfix", "-c", config, "stop"])

    def smtpds(self):
        """Process ids of those that speak SMTP now, idle ones too."""
        with open(os.path.join(self.top, "queue", "pid", "master.pid")) as file:
            master = int(file.read())
        with open("/proc/%d/task/%d/children" % (master, master)) as file:
            return {pid for pid in file.read().split() if self._name(pid) == "smtpd"}

    @staticmethod
    def _name(pid):
        try:
            with open("/proc/%s/comm" % pid) as file:
                return file.read().strip()
        except (FileNotFoundError, ProcessLookupError):
            return None

    def reload(self):
        """Returns when no idle smtpd with the old main.cf can take the next connection; one in a session stays for its time."""
        old = self.smtpds()
        self._run(["postfix", "-c", self.config, "reload"])
        end = time.monotonic() + 3
        while old & self.smtpds() and time.monotonic() < end:
            time.sleep(0.02)

    def edit(self, *arguments):
        """postconf, to change main.cf ("name=value") or master.cf ("-F", "service/field=value")."""
        self._run(["postconf", "-c", self.config, *arguments])

    def set(self, **parameters):
        """Change parameters of main.cf; in force for processes that start after the reload."""
        self.edit(*("%s=%s" % item for item in parameters.items()))
        self.reload()

    def sendmail(self, message, sender, recipients):
        """Local submission by the sendmail command, as a cron job does it."""
        done = subprocess.run(["/usr/sbin/sendmail", "-C", self.config, "-i", "-f", sender, *recipients],
                              input=message, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        if done.returncode != 0:
            raise PostfixError("sendmail: exit %d: %s" % (done.returncode, done.stderr.decode(errors="replace")))

    def queue(self):
        """What `postqueue -j` lists, as dictionaries."""
        text = self._run(["postqueue", "-c", self.config, "-j"])
        return [json.loads(line) for line in text.splitlines() if line]

    def held(self, sender):
        """The held messages of an envelope sender."""
        return [entry for entry in self.queue() if entry["queue_name"] == "hold" and entry["sender"] == sender]

    def release(self, queue_id):
        """Let a held message go."""
        self._run(["postsuper", "-c", self.config, "-H", queue_id])
        self._run(["postqueue", "-c", self.config, "-i", queue_id])

    def queued_message(self, queue_id):
        """A queued message as it would be delivered."""
        return self._run(["postcat", "-c", self.config, "-bhq", queue_id])

    def log(self):
        try:
            with open(self.log_path, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""
