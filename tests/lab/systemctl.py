#!/usr/bin/python3
"""
Stand-in for systemd's systemctl in a box: systemctl start|stop|restart|reload|is-active|daemon-reload UNIT...,
systemctl enable|disable [--now] UNIT... Reads unit files and their drop-ins; knows Type, User, Group, ExecStartPre,
ExecStart, ExecReload, PIDFile, RuntimeDirectory and StateDirectory. What a service prints is in /var/log/journal-of-UNIT.
"""
import glob
import grp
import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
import time

FOLDERS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
STATE = "/run/stand-in"


class Unit:
    def __init__(self, name):
        self.name = name.removesuffix(".service")
        self.settings = {}
        found = [path for path in ("%s/%s.service" % (folder, self.name) for folder in FOLDERS) if os.path.exists(path)]
        if not found:
            sys.exit("Failed: Unit %s.service not found." % self.name)
        drop_ins = [path for folder in FOLDERS for path in sorted(glob.glob("%s/%s.service.d/*.conf" % (folder, self.name)))]
        for path in found[:1] + drop_ins:
            self._read(path)
        self.pid_file = self.get("PIDFile") or "%s/%s.pid" % (STATE, self.name)

    def _read(self, path):
        with open(path) as file:
            for line in file.read().replace("\\\n", " ").splitlines():
                key, equals, value = line.partition("=")
                if not equals or line.startswith("#"):
                    continue
                if not value:
                    self.settings.pop(key, None)
                else:
                    self.settings.setdefault(key, []).append(value.strip())

    def get(self, key, default=None):
        return self.settings.get(key, [default])[-1]

    def pid(self):
        try:
            with open(self.pid_file) as file:
                pid = int(file.read())
        except (OSError, ValueError):
            return None
        return pid if self._runs(pid) else None

    @staticmethod
    def _runs(pid):
        try:
            with open("/proc/%d/stat" % pid) as file:
                return file.read().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def _directories(self, user, group):
        for key, top in (("RuntimeDirectory", "/run"), ("StateDirectory", "/var/lib")):
            for name in (self.get(key) or "").split():
                path = os.path.join(top, name)
                os.makedirs(path, exist_ok=True)
                os.chmod(path, int(self.get(key + "Mode", "0755"), 8))
                subprocess.run(["chown", "-R", "%d:%d" % (user, group), path], check=True)

    def start(self):
        if self.pid():
            return
        user = pwd.getpwnam(self.get("User", "root"))
        group = grp.getgrnam(self.get("Group")).gr_gid if self.get("Group") else user.pw_gid
        self._directories(user.pw_uid, group)
        os.makedirs(STATE, exist_ok=True)
        address = "%s/%s.notify" % (STATE, self.name)
        if os.path.exists(address):
            os.unlink(address)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(address)
        os.chmod(address, 0o777)
        notify.settimeout(0.1)
        options = {"user": user.pw_uid, "group": group, "extra_groups": os.getgrouplist(user.pw_name, group), "umask": 0o022, "cwd": "/",
                   "stdin": subprocess.DEVNULL, "stdout": open("/var/log/journal-of-" + self.name, "a"), "stderr": subprocess.STDOUT,
                   "env": {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": address}, "start_new_session": True}
        for command in self.settings.get("ExecStartPre", []):
            self._ended(subprocess.run(shlex.split(command), **options).returncode)
        process = subprocess.Popen(shlex.split(self.get("ExecStart")), **options)
        if self.get("Type") == "forking":
            self._ended(process.wait(60))
            return self._wait(lambda: self.pid())
        with open(self.pid_file, "w") as file:
            file.write("%d\n" % process.pid)
        self._wait(lambda: self._is_ready(notify, process) if self.get("Type") == "notify" else True)

    def _is_ready(self, notify, process):
        if process.poll() is not None:
            self._ended(process.returncode or 1)
        try:
            return b"READY=1" in notify.recv(4096)
        except socket.timeout:
            return False

    def _ended(self, status):
        if status:
            sys.exit("Job for %s.service failed (exit status %d). See \"journalctl -u %s\"." % (self.name, status, self.name))

    @staticmethod
    def _wait(ready, seconds=60):
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end:
                sys.exit("Job failed: timed out.")
            time.sleep(0.02)

    def stop(self):
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            # Not by the pid file: some take that away first.
            self._wait(lambda: not self._runs(pid))

    def restart(self):
        self.stop()
        self.start()

    def reload(self):
        if not self.pid():
            sys.exit("%s.service is not active, cannot reload." % self.name)
        subprocess.run(shlex.split(self.get("ExecReload").replace("$MAINPID", str(self.pid()))), check=True)

    def is_active(self):
        print("active" if self.pid() else "inactive")
        if not self.pid():
            sys.exit(3)


def main():
    verb, names = sys.argv[1], [word for word in sys.argv[2:] if not word.startswith("-")]
    if verb == "daemon-reload":
        return
    if verb in ("enable", "disable"):
        if "--now" not in sys.argv:
            return
        verb = "start" if verb == "enable" else "stop"
    if verb not in ("start", "stop", "restart", "reload", "is-active"):
        sys.exit("systemctl (stand-in): what is %s?" % verb)
    for name in names:
        getattr(Unit(name), verb.replace("-", "_"))()


if __name__ == "__main__":
    main()
