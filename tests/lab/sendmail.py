"""A private Sendmail: Debian's, unpacked and not installed, for Debian's mail servers exclude each other.

Own configuration, queue and ports on loopback; nothing of the system's /etc/mail is read. All mail, whatever its domain,
is relayed to a sink in this process, so that what "arrived elsewhere" can be looked at byte by byte. Sendmail has no
XCLIENT: a foreign client is one that connects from another address of 127.0.0.0/8.
"""
import glob
import os
import pwd
import re
import signal
import subprocess

from . import wait
from .postfix import PASSWORD, USER
from .sink import Sink

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNPACKED = "/var/cache/trimilter-lab/sendmail"       # by tests/lab/install sendmail
SNIPPET = os.path.join(ROOT, "conf", "sendmail", "trimilter.mc")

SENDMAIL_MC = """
include(`{unpacked}/usr/share/sendmail/cf/m4/cf.m4')dnl
include(`{unpacked}/usr/share/sendmail/cf/debian/autoconf.m4')dnl
VERSIONID(`the lab')dnl
OSTYPE(`debian')dnl
define(`QUEUE_DIR', `{top}/queue')dnl
define(`ALIAS_FILE', `{top}/etc/aliases')dnl
define(`STATUS_FILE', `{top}/etc/statistics')dnl
undefine(`confHOST_STATUS_DIRECTORY')dnl
define(`confPID_FILE', `{top}/sendmail.pid')dnl
define(`confSERVICE_SWITCH_FILE', `{top}/etc/service.switch')dnl
define(`confDOMAIN_NAME', `{hostname}')dnl
define(`confTO_IDENT', `0')dnl
define(`confQUEUE_LA', `9999')dnl
define(`confREFUSE_LA', `9999')dnl
define(`confDELIVERY_MODE', `background')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
RELAY_DOMAIN(`{domain}')dnl
DAEMON_OPTIONS(`Name=MTA, Port={smtp_port}, Addr=127.0.0.1')dnl
DAEMON_OPTIONS(`Name=ORIGINATING, Port={submission_port}, Addr=127.0.0.1, M=Ea')dnl
define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl
TRUST_AUTH_MECH(`PLAIN LOGIN')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {sink_port}')dnl
{lines}
MAILER(`local')dnl
MAILER(`smtp')dnl
LOCAL_CONFIG
ESASL_CONF_PATH={top}/etc/sasl
"""

# What the sendmail command reads: it is a client of the daemon, as on every system with Sendmail.
SUBMIT_MC = """
include(`{unpacked}/usr/share/sendmail/cf/m4/cf.m4')dnl
include(`{unpacked}/usr/share/sendmail/cf/debian/autoconf.m4')dnl
VERSIONID(`the lab')dnl
OSTYPE(`debian')dnl
define(`MSP_QUEUE_DIR', `{top}/client-queue')dnl
define(`STATUS_FILE', `{top}/etc/statistics')dnl
define(`confSERVICE_SWITCH_FILE', `{top}/etc/service.switch')dnl
define(`confDOMAIN_NAME', `{hostname}')dnl
define(`confRUN_AS_USER', `nobody')dnl
define(`confQUEUE_LA', `9999')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {smtp_port}')dnl
define(`LOCAL_MAILER_ARGS', `TCP $h {smtp_port}')dnl
FEATURE(`msp', `[127.0.0.1]')dnl
"""

SASL_CONF = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {top}/etc/sasl/users.db
mech_list: PLAIN LOGIN
"""

# The sink's: with 8BITMIME, for Sendmail would otherwise convert 8-bit mail.
EHLO = b"250-sink\r\n250-SIZE 60000000\r\n250 8BITMIME\r\n"
NO_8BITMIME = b"250-sink\r\n250 SIZE 60000000\r\n"


class SendmailError(Exception):
    pass


class Arrived:
    """The messages that the sink has taken, asked for as lab.maildir does; with CRLF, as they came."""

    def __init__(self, sink):
        self.sink = sink

    def find(self, token):
        return [message.data for message in list(self.sink.messages) if token.encode() in message.data]

    def wait(self, token, count=1, seconds=30):
        return wait.until("mail with %s relayed" % token,
                          lambda: len(self.find(token)) >= count and self.find(token), seconds)[0]


class Sendmail:
    """
    top     an empty directory that any user may enter
    milter  as in INPUT_MAIL_FILTER's S=: "local:/path", "inet:port@host"; it takes the place of the snippet's
    extra   further lines for sendmail.mc
    hosts   [(address, name)] of those who connect
    """

    def __init__(self, top, milter, hostname="mx.home.example", domain="home.example", extra="", hosts=()):
        self.top, self.domain = top, domain
        self.smtp_port, self.submission_port = wait.free_port(), wait.free_port()
        self.process = None
        if not os.path.exists(os.path.join(UNPACKED, "usr/libexec/sendmail/sendmail")):
            raise SendmailError("no Sendmail in %s: run tests/lab/install sendmail" % UNPACKED)
        with open(SNIPPET) as file:
            snippet = file.read()
        lines, n = re.subn(r"(?<=`)S=[^,']+", lambda _: "S=" + milter, snippet)
        if n != 1:
            raise SendmailError("%d times S= in the lines for sendmail.mc" % n)
        for folder in ("etc/sasl", "queue", "client-queue", "log"):
            os.makedirs(os.path.join(top, folder), mode=0o755, exist_ok=True)
        os.chmod(os.path.join(top, "queue"), 0o700)
        nobody = pwd.getpwnam("nobody")
        os.chown(os.path.join(top, "client-queue"), nobody.pw_uid, nobody.pw_gid)
        os.chmod(os.path.join(top, "client-queue"), 0o770)
        self.sink = Sink(ehlo=EHLO)
        self.arrived = Arrived(self.sink)
        self.values = dict(top=top, unpacked=UNPACKED, hostname=hostname, domain=domain, smtp_port=self.smtp_port,
                           submission_port=self.submission_port, sink_port=self.sink.port, lines=lines + extra)
        self._write("etc/hosts", "".join("%s %s\n" % host for host in [("127.0.0.1", hostname), *hosts]))
        self._write("etc/service.switch", "hosts files\naliases files\n")
        self._write("etc/aliases", "postmaster: root\n")
        self._write("etc/sasl/Sendmail.conf", SASL_CONF.format(**self.values).lstrip())
        self.config = self.make_cf("sendmail", SENDMAIL_MC)
        self.submit_config = self.make_cf("submit", SUBMIT_MC)
        self.log_path = os.path.join(top, "log", "stderr")
        users = os.path.join(top, "etc", "sasl", "users.db")
        self._run(["saslpasswd2", "-p", "-c", "-f", users, "-u", hostname, USER], input=PASSWORD.encode())
        self.user = "%s@%s" % (USER, hostname)
        os.chmod(users, 0o640)

    def _write(self, name, text):
        path = os.path.join(self.top, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    @staticmethod
    def environment():
        folders = [folder for folder in glob.glob(UNPACKED + "/usr/lib/*-linux-gnu*") if os.path.isdir(folder)]
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}

    @classmethod
    def _run(cls, command, **options):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, env=cls.environment(),
                              **options or {"stdin": subprocess.DEVNULL})
        if done.returncode != 0:
            raise SendmailError("%s: exit %d: %s" % (" ".join(command), done.returncode,
                                                     (done.stderr or done.stdout).decode(errors="replace")))
        return done.stdout.decode(errors="replace")

    def make_cf(self, name, template):
        """m4, as `make` in /etc/mail has it; the path of the .cf file."""
        source = self._write("etc/%s.mc" % name, template.format(**self.values).lstrip())
        text = self._run([UNPACKED + "/usr/bin/m4", "-D_CF_DIR_=%s/usr/share/sendmail/cf/" % UNPACKED, source])
        return self._write("etc/%s.cf" % name, text)

    def program(self, *arguments):
        """
        In namespaces of its own: before it has read any file it waits a minute for a host name with a dot in it, and the
        names of those who connect are to be found without asking the world's DNS.
        """
        return ["unshare", "--uts", "--mount", "sh", "-c",
                'hostname "$1" && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"', "sh", self.values["hostname"],
                os.path.join(self.top, "etc", "hosts"), UNPACKED + "/usr/libexec/sendmail/sendmail", *arguments]

    def start(self):
        self._run(self.program("-C", self.config, "-bi"))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.program("-C", self.config, "-bD"), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment(), start_new_session=True)

        def ready(port):
            if self.process.poll() is not None:
                raise SendmailError("exit %d: %s" % (self.process.returncode, self.log()))
            return wait.greets(port)
        for port in (self.smtp_port, self.submission_port):
            wait.until("Sendmail on port %d" % port, lambda p=port: ready(p), 30)
        return self

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            # Those that still serve a session or deliver are in its process group.
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process = None
        self.sink.close()

    def sendmail(self, message, sender, recipients):
        """Local submission by the sendmail command, as a cron job does it."""
        self._run(self.program("-Ac", "-C", self.submit_config, "-i", "-f", sender, *recipients), input=message)

    def command(self, *arguments):
        """What the daemon's program prints, called with these arguments and its configuration."""
        return self._run(self.program("-C", self.config, *arguments))

    def quarantined(self):
        """The messages that a milter had put aside: {queue id: the queue file's text}. Sendmail calls them hf..."""
        found = {}
        for path in glob.glob(os.path.join(self.top, "queue", "hf*")):
            with open(path, errors="replace") as file:
                found[os.path.basename(path)[2:]] = file.read()
        return found

    def log(self):
        try:
            with open(self.log_path, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""
