#!/usr/bin/python3
"""docs/migration-guide.md, block by block: from files as people have them to a daemon that signs with their keys, and back.

    migration_guide.py TRIMILTER TRIMILTERCTL

Paths of the guide move below a directory of the test's. systemctl starts and stops the real daemon as ExecStart does, and notes
all else; postconf is Postfix's, on a main.cf of the test's. Last line: "N passed, N failed".
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "milter")]
from lab import guide
from miltertest import Milter

DAEMON, CTL = (os.path.abspath(path) for path in sys.argv[1:3])
KEYS = os.path.join(HERE, "..", "scenarios", "keys")
RECORD = open(os.path.join(KEYS, "k1.record")).read().strip()

SYSTEMCTL = """#!/bin/sh
echo "$*" >> @/calls
case "$*" in
"enable --now trimilter")
    @/bin/trimilter -n -c @/etc/trimilter.conf || exit
    @/bin/trimilter -f -c @/etc/trimilter.conf -c @/test.conf </dev/null >>@/log 2>&1 & echo $! > @/pid ;;
"disable --now trimilter") kill "$(cat @/pid)" ;;
esac
"""

OPENDKIM = {
    "etc/opendkim.conf": "Socket inet:%(port)d@127.0.0.1\nKeyTable refile:/etc/opendkim/KeyTable\n"
                         "SigningTable refile:/etc/opendkim/SigningTable\nUserID opendkim\n",
    "etc/opendkim/KeyTable": "k example.com:mail:/var/lib/dkim/mail.key\n",
    "etc/opendkim/SigningTable": "*@example.com k\n",
    "etc/opendmarc.conf": "Socket inet:8893@127.0.0.1\nRejectFailures true\nHistoryFile /run/opendmarc/dat\n",
}
MYSQL = {
    "etc/opendkim.conf": "Socket inet:%(port)d@127.0.0.1\nUserID opendkim\n"
                         "KeyTable\tdsn:mysql://vmail:secret@localhost/vmail/table=dkim?keycol=id?datacol=domain,selector,private_key\n"
                         "SigningTable dsn:mysql://vmail:secret@localhost/vmail/table=dkim?keycol=domain?datacol=id\n",
    "etc/opendmarc.conf": OPENDKIM["etc/opendmarc.conf"],
}
# What MySQL answers.
MYSQL_CLIENT = """#!/bin/sh
[ "$*" = "-N -B -e SELECT domain, id FROM dkim vmail" ] && printf 'example.com\\t7\\n' && exit
case "$*" in *CONCAT_WS*) printf '7\\texample.com:mail:'; sed ':a;N;$!ba;s/\\n/\\\\n/g' < @/var/lib/dkim/mail.key; exit ;; esac
exit 1
"""
DKIM_FILTER = {
    "etc/dkim-filter.conf": "KeyList /etc/mail/keylist\nSocket inet:%(port)d@127.0.0.1\n",
    "etc/mail/keylist": "*@example.com:example.com:/var/lib/dkim/mail.key\n",
    "etc/default/dkim-filter": "DAEMON_OPTS=\"-l -c relaxed/relaxed\"\n",
}
AMAVISD = {
    "etc/amavis/conf.d/50-user": "use strict;\n$enable_dkim_signing = 1;\n"
                                 "dkim_key('example.com', 'mail', '/var/lib/dkim/mail.key');\n"
                                 "@dkim_signature_options_bysender_maps = ( { '.' => { ttl => 21*24*3600 } } );\n1;\n",
}
RSPAMD = {
    "etc/rspamd/local.d/dkim_signing.conf": "path = \"/var/lib/rspamd/dkim/$domain.$selector.key\";\nselector = \"mail\";\n"
                                            "allow_username_mismatch = true;\n",
    "etc/rspamd/override.d/none.conf": "",
}
KEY = "var/lib/dkim/mail.key"
CASES = [
    ("opendkim", OPENDKIM, KEY, "mail",
     ["opendkim-convert", "opendkim-user", "opendkim-switch", "opendkim-milters", "SIGNED", "testkey", "opendkim-back", "GONE"]),
    ("mysql", MYSQL, KEY, "mail", ["mysql-tables", "START", "SIGNED", "testkey"]),
    ("dkim-filter", DKIM_FILTER, KEY, "mail.key", ["dkim-filter", "START", "SIGNED", "testkey"]),
    ("amavisd", AMAVISD, KEY, "mail", ["amavisd", "amavisd-keys", "START", "SIGNED", "testkey"]),
    ("rspamd", RSPAMD, "var/lib/rspamd/dkim/example.com.mail.key", "mail", ["rspamd", "rspamd-switch", "START", "SIGNED", "testkey"]),
]


class Wrong(Exception):
    pass


def want(condition, text):
    if not condition:
        raise Wrong(text)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Host:
    """What the guide's commands see."""

    def __init__(self, root, files, key, selector):
        self.root, self.selector, self.port = root, selector, free_port()
        for name, text in files.items():
            self.write(name, self.here(text % {"port": self.port} if "%(port)" in text else text))
        self.write(key, open(os.path.join(KEYS, "k1.pem")).read(), 0o600)
        # No user of the test's host is opendkim or trimilter; whether rights are dropped is tested elsewhere.
        for name in files:
            self.write(name, open(os.path.join(root, name)).read().replace("UserID opendkim\n", ""))
        self.write("zone", "%s._domainkey.example.com TXT %s\n" % (selector, RECORD))
        self.write("test.conf", "DNSZoneFile %s/zone\nSyslog no\nSocket inet:%d@127.0.0.1\nAggregateReports no\n" % (root, self.port))
        self.write("postfix/main.cf", "compatibility_level = 3.6\n")
        self.write("bin/systemctl", SYSTEMCTL.replace("@", root), 0o755)
        self.write("bin/postfix", "#!/bin/sh\necho postfix \"$*\" >> %s/calls\n" % root, 0o755)
        self.write("bin/chown", "#!/bin/sh\necho chown \"$*\" >> %s/calls\n" % root, 0o755)
        self.write("bin/mysql", MYSQL_CLIENT.replace("@", root), 0o755)
        os.symlink(DAEMON, os.path.join(root, "bin", "trimilter"))
        os.symlink(CTL, os.path.join(root, "bin", "trimilterctl"))

    def here(self, text):
        return re.sub(r"(?<![\w/.])/(etc|var|run)/", lambda m: self.root + m.group(0), text).replace("-o /etc ", "-o %s/etc " % self.root)

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)

    def run(self, which):
        """A block, as it would be pasted; a command that fails ends it."""
        text = guide.block("migration-guide", which).replace("8891", str(self.port))
        if which == "testkey":
            text = text.replace("-c /etc/trimilter.conf", "-c /etc/trimilter.conf -c %s/test.conf" % self.root)
        done = subprocess.run(["/bin/sh", "-e", "-c", self.here(text)], capture_output=True, text=True, timeout=120, env={
            "PATH": "%s/bin:/usr/sbin:/usr/bin:/bin" % self.root, "MAIL_CONFIG": self.root + "/postfix"})
        want(done.returncode == 0, "%s: exit %d: %s%s" % (which, done.returncode, done.stdout, done.stderr))

    def start(self):
        subprocess.run([self.root + "/bin/systemctl", "enable", "--now", "trimilter"], check=True, timeout=60)

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def signs(self):
        import dkim
        want(wait_for(self.listens), "nobody listens: " + open(self.root + "/log").read())
        headers = [("From", " joe@example.com"), ("To", " you@receiver.example"), ("Date", " Tue, 14 Nov 2023 22:13:20 +0000")]
        with Milter("inet:%d@127.0.0.1" % self.port, macros={"{daemon_name}": "smtpd"}) as milter:
            milter.connect("[127.0.0.1]", "127.0.0.1")
            milter.helo("client.example")
            result = milter.message("joe@example.com", ["you@receiver.example"], headers, b"text\r\n", queue_id="4F00", macros={"{auth_authen}": "joe"})
        fields = "".join("%s:%s\r\n" % (n, v.replace("\n", "\r\n")) for n, v in result.headers).encode()
        want(dkim.DKIM(fields + b"\r\ntext\r\n").verify(dnsfunc=lambda name, timeout=5: RECORD.encode()), "not signed: %r" % result.headers)
        want("s=%s;" % self.selector in "".join(result.header("DKIM-Signature")), "selector: %r" % result.headers)

    def stop(self):
        if os.path.exists(self.root + "/pid"):
            subprocess.run(["/bin/sh", "-c", "kill $(cat %s/pid)" % self.root], stderr=subprocess.DEVNULL, timeout=60)


def wait_for(true, tries=500):
    import time
    for _ in range(tries):
        if true():
            return True
        time.sleep(0.02)
    return False


def check_switch(host):
    """What the commands have done besides."""
    calls = open(host.root + "/calls").read()
    for line in ("daemon-reload", "disable --now opendkim opendmarc", "enable --now opendkim opendmarc", "postfix reload"):
        want(line in calls, "%r was not called: %s" % (line, calls))
    main = open(host.root + "/postfix/main.cf").read()
    want("smtpd_milters = inet:127.0.0.1:%d\n" % host.port in main and "milter_default_action = tempfail" in main, main)
    unit = open(host.root + "/etc/systemd/system/trimilter.service.d/user.conf").read()
    want("[Service]\nUser=opendkim\n" in unit, unit)


def run(host, steps, ran):
    for step in steps:
        if step == "START":
            host.start()
        elif step == "SIGNED":
            host.signs()
        elif step == "GONE":
            want(wait_for(lambda: not host.listens()), "still listens")
            check_switch(host)
        else:
            ran.add(step)
            host.run(step)


def main():
    passed = failed = 0
    ran = set()
    for name, files, key, selector, steps in CASES:
        root = tempfile.mkdtemp(prefix="trimilter-guide-")
        os.chmod(root, 0o755)
        host = Host(root, files, key, selector)
        try:
            run(host, steps, ran)
            passed += 1
        except (Wrong, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print("FAIL %s: %s" % (name, error))
        finally:
            host.stop()
            shutil.rmtree(root)
    blocks = guide.blocks("migration-guide")
    if set(blocks) == ran and len(blocks) == guide.n_fenced("migration-guide"):
        passed += 1
    else:
        failed += 1
        print("FAIL blocks of the guide that nothing runs: %s" % (set(blocks) ^ ran))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
