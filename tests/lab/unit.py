#!/usr/bin/python3
"""Runs a command as a systemd unit would run it, where there is no systemd: mounts, user, capabilities, seccomp.

    unit.py UNIT [--user USER[:GROUP]] [--writable PATH]... [-- COMMAND...]

UNIT is the unit's file; what its [Service] says is applied, line by line, and a word that this program does not know is an
error, so that nothing of the unit is passed over in silence. --user in place of the unit's, --writable in place of
StateDirectory and ReadWritePaths: where the test keeps what /var/lib and /run have else. Without COMMAND: what each line
comes to. Needs root. The process id stays the same, so signals reach the command.

The sets of system calls are those that `systemd-analyze syscall-filter` prints.
"""
import argparse
import ctypes
import errno
import grp
import os
import pwd
import re
import resource
import socket
import stat
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY, SYS_MOUNT_SETATTR = -100, 0x8000, 1, 442
CLONE_NEWNS, CLONE_NEWUTS = 0x20000, 0x4000000
CLONE_NEW = {"newns": 0x20000, "newcgroup": 0x2000000, "newuts": 0x4000000, "newipc": 0x8000000, "newuser": 0x10000000,
             "newpid": 0x20000000, "newnet": 0x40000000}
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
SUID_SGID = (stat.S_ISUID, stat.S_ISGID)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


class UnitError(Exception):
    pass


def call(function, *arguments):
    if function(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (arguments, os.strerror(number)))


def mount(source, target, kind=None, flags=0, data=None):
    encode = lambda text: text.encode() if text else None   # noqa: E731
    call(LIBC.mount, encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(data))


def set_read_only(path, on, recursive):
    attr = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY if on else 0, 0 if on else MOUNT_ATTR_RDONLY, 0, 0)
    call(LIBC.syscall, SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE if recursive else 0, attr, ctypes.sizeof(attr))


def hide(path):
    if os.path.isdir(path):
        mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=000")
    elif os.path.exists(path):
        mount("/dev/null", path, None, MS_BIND)


# ---- what the unit says ----

def read_unit(path):
    """{directive: [values]} of [Service]."""
    found, section = {}, None
    with open(path) as file:
        for line in file:
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Service]" and line and line[0] not in "#;":
                name, _, value = line.partition("=")
                found.setdefault(name, []).append(value)
    return found


def syscall_sets():
    """{"@name": set of calls and @names}, as this machine's systemd has them."""
    sets, current = {}, None
    text = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        line = re.sub("\x1b[^m]*m", "", line)
        if line.startswith("@"):
            current = sets.setdefault(line.strip(), set())
        elif line.startswith("    ") and not line.strip().startswith("#"):
            current.add(line.strip())
    return sets


def expand(sets, word):
    if not word.startswith("@"):
        return {word}
    return set().union(*(expand(sets, one) for one in sets[word]))


class Plan:
    """What is to be done, in the order in which the kernel allows it."""

    # What needs nothing done here: how systemd starts and watches, and what other lines bring about already.
    ELSEWHERE = {
        "Type": "", "ExecStartPre": "the test's own", "ExecStart": "the test's own", "ExecReload": "", "Restart": "",
        "RestartSec": "", "StateDirectory": "--writable", "StateDirectoryMode": "--writable", "ReadWritePaths": "--writable",
        "SystemCallErrorNumber": "with SystemCallFilter", "SystemCallArchitectures": "libseccomp's own rule",
        "ProtectHostname": "own UTS namespace; the calls are not in SystemCallFilter",
        "ProtectClock": "no capability; the calls are not in SystemCallFilter"}

    def __init__(self, unit, user, writable):
        self.unit, self.writable, self.told = unit, writable, []
        self.mounts, self.filters, self.limits, self.allowed = [], [], [], None
        self.no_new_privileges = self.drop_capabilities = False
        self.user = user or "%s:%s" % (unit["User"][-1], unit["Group"][-1])
        for name, values in unit.items():
            if name in self.ELSEWHERE:
                self.tell(name, values, self.ELSEWHERE[name] or "of no effect on what it may do")
                continue
            method = getattr(self, name, None)
            if method is None:
                raise UnitError("%s=: not known here; see tests/lab/unit.py" % name)
            self.tell(name, values, method(values))

    def tell(self, name, values, what):
        self.told.append("%-24s %s" % (name + "=" + " ".join(values)[:40], what))

    def yes(self, values):
        if values[-1] not in ("yes", "true"):
            raise UnitError("only yes is known: %s" % values)

    # One method to each directive; each says what it comes to.

    def User(self, values):
        return "setresuid: " + self.user

    def Group(self, values):
        return "setresgid, no further groups"

    def LimitNOFILE(self, values):
        self.limits.append((resource.RLIMIT_NOFILE, int(values[-1])))
        return "setrlimit"

    def NoNewPrivileges(self, values):
        self.yes(values)
        self.no_new_privileges = True
        return "prctl"

    def CapabilityBoundingSet(self, values):
        if values != [""]:
            raise UnitError("only the empty CapabilityBoundingSet is known")
        self.drop_capabilities = True
        return "each dropped"

    def ProtectSystem(self, values):
        if values != ["strict"]:
            raise UnitError("only ProtectSystem=strict is known")
        return "all mounts read-only but: " + " ".join(self.writable)

    def ProtectHome(self, values):
        self.yes(values)
        self.mounts += [lambda path=path: hide(path) for path in ("/home", "/root", "/run/user")]
        return "hidden"

    def PrivateTmp(self, values):
        self.yes(values)
        self.mounts += [lambda path=path: mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") for path in ("/tmp", "/var/tmp")]
        return "an empty tmpfs each"

    def PrivateDevices(self, values):
        self.yes(values)
        self.mounts.append(private_devices)
        return "/dev has " + " ".join(DEVICES)

    def ProtectKernelTunables(self, values):
        self.yes(values)
        return "/proc/sys and /sys are read-only, as all is"

    def ProtectControlGroups(self, values):
        self.yes(values)
        return "/sys/fs/cgroup is read-only, as all is"

    def ProtectKernelModules(self, values):
        self.yes(values)
        self.mounts += [lambda: hide("/usr/lib/modules")]
        return "/usr/lib/modules hidden; the calls are not in SystemCallFilter"

    def ProtectKernelLogs(self, values):
        self.yes(values)
        self.mounts += [lambda: hide("/proc/kmsg")]
        return "/proc/kmsg hidden, no /dev/kmsg; the call is not in SystemCallFilter"

    def ProtectProc(self, values):
        if values != ["invisible"]:
            raise UnitError("only ProtectProc=invisible is known")
        self.mounts.insert(0, lambda: mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=invisible"))
        return "/proc mounted with hidepid=invisible"

    def RestrictAddressFamilies(self, values):
        families = {getattr(socket, word) for word in " ".join(values).split()}
        self.filters += [(errno.EAFNOSUPPORT, "socket", [(0, "EQ", n)]) for n in range(64) if n not in families]
        self.filters.append((errno.EAFNOSUPPORT, "socket", [(0, "GE", 64)]))
        return "socket: no family but %s" % sorted(families)

    def RestrictNamespaces(self, values):
        self.yes(values)
        self.filters += [(errno.EPERM, name, []) for name in ("unshare", "setns")] + [(errno.ENOSYS, "clone3", [])]
        self.filters += [(errno.EPERM, "clone", [(0, "MASKED_EQ", bit, bit)]) for bit in CLONE_NEW.values()]
        return "unshare, setns, clone3, clone with a new namespace"

    def RestrictRealtime(self, values):
        self.yes(values)
        self.filters.append((errno.EPERM, "sched_setscheduler", [(1, "GE", 1)]))
        return "sched_setscheduler"

    def RestrictSUIDSGID(self, values):
        self.yes(values)
        for bit in SUID_SGID:
            self.filters += [(errno.EPERM, name, [(at, "MASKED_EQ", bit, bit)]) for name, at in (
                ("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2), ("mknod", 1), ("mknodat", 2), ("creat", 1))]
            self.filters += [(errno.EPERM, name, [(at, "MASKED_EQ", os.O_CREAT, os.O_CREAT), (at + 1, "MASKED_EQ", bit, bit)])
                             for name, at in (("open", 1), ("openat", 2))]
        return "chmod, mkdir, mknod, open"

    def LockPersonality(self, values):
        self.yes(values)
        self.filters.append((errno.EPERM, "personality", [(0, "NE", 0)]))
        return "personality"

    def MemoryDenyWriteExecute(self, values):
        self.yes(values)
        both = PROT_WRITE | PROT_EXEC
        self.filters += [(errno.EPERM, "mmap", [(2, "MASKED_EQ", both, both)]),
                         (errno.EPERM, "mprotect", [(2, "MASKED_EQ", PROT_EXEC, PROT_EXEC)]),
                         (errno.EPERM, "pkey_mprotect", [(2, "MASKED_EQ", PROT_EXEC, PROT_EXEC)]),
                         (errno.EPERM, "shmat", [(2, "MASKED_EQ", SHM_EXEC, SHM_EXEC)])]
        return "mmap, mprotect, pkey_mprotect, shmat"

    def SystemCallFilter(self, values):
        sets = syscall_sets()
        self.allowed = expand(sets, "@default")
        for value in values:
            for word in value.lstrip("~").split():
                if value.startswith("~"):
                    self.allowed -= expand(sets, word)
                else:
                    self.allowed |= expand(sets, word)
        self.allowed |= expand(sets, "@default")
        return "%d calls, others EPERM" % len(self.allowed)

    # ---- doing it ----

    def mount_all(self):
        call(LIBC.unshare, CLONE_NEWNS | CLONE_NEWUTS)
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        # Bound before they are hidden: what the test shares with the command may lie below /tmp.
        for path in self.writable:
            mount(path, path, None, MS_BIND | MS_REC)
        set_read_only("/", True, True)
        for one in self.mounts:
            one()
        set_read_only("/proc", True, False)
        for path in self.writable:
            set_read_only(path, False, True)

    def become_user(self):
        name, _, group = self.user.partition(":")
        user = pwd.getpwnam(name)
        gid = grp.getgrnam(group).gr_gid if group else user.pw_gid
        if self.drop_capabilities:
            for capability in range(64):
                if LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 and ctypes.get_errno() != errno.EINVAL:
                    raise OSError(ctypes.get_errno(), "capability %d" % capability)
            call(LIBC.prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        for what, value in self.limits:
            # A container's root may not raise it.
            hard = resource.getrlimit(what)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(what, (value, value))
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
        if self.no_new_privileges:
            call(LIBC.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    def filter_calls(self):
        """Two filters, of which each must allow a call; the stricter one last, for it forbids to load another."""
        import seccomp
        some = seccomp.SyscallFilter(seccomp.ALLOW)
        for number, name, conditions in self.filters:
            arguments = [seccomp.Arg(one[0], getattr(seccomp, one[1]), *one[2:]) for one in conditions]
            some.add_rule(seccomp.ERRNO(number), name, *arguments)
        some.load()
        if self.allowed is not None:
            all_others = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
            for name in self.allowed:
                try:
                    all_others.add_rule(seccomp.ALLOW, name)
                except (RuntimeError, OSError, ValueError):
                    pass    # a call of another machine
            all_others.load()


def private_devices():
    mount("tmpfs", "/mnt", "tmpfs", MS_NOSUID, "mode=0755")
    for name in DEVICES:
        open("/mnt/" + name, "w").close()
        mount("/dev/" + name, "/mnt/" + name, None, MS_BIND)
    if os.path.exists("/dev/log"):
        os.symlink("/run/systemd/journal/dev-log", "/mnt/log")
    mount("/mnt", "/dev", None, MS_BIND | MS_REC)
    set_read_only("/dev", True, False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unit")
    parser.add_argument("--user")
    parser.add_argument("--writable", action="append", default=[])
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    words, command = sys.argv[1:end], sys.argv[end + 1:]
    args = parser.parse_args(words)
    try:
        plan = Plan(read_unit(args.unit), args.user, args.writable)
        if not command:
            print("\n".join(plan.told))
            return 0
        plan.mount_all()
        plan.become_user()
        plan.filter_calls()
    except (UnitError, OSError) as error:
        print("unit.py: %s: %s" % (args.unit, error), file=sys.stderr)
        return 78
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
