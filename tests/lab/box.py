"""
A copy of a whole system that is thrown away: own files, own network with loopback alone, own processes.

What a guide tells an administrator to do (write into /etc, reload Postfix, start a service) is done there as written, with
the paths and ports of a real machine, and nothing of it reaches the machine that it runs on. Files are an overlay, kept
in memory, over the machine's root or another one. systemd is no part of it: `systemctl` and `journalctl` are stand-ins
(systemctl.py) that do with a unit file what a guide asks for.
"""
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STAND_INS = {"systemctl": "systemctl.py", "journalctl": "journalctl.sh"}
PLACE = "/mnt"


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def within(script, *arguments, network=False):
    """The command that runs a script of ours in namespaces of its own; it must call prepare() or enter() first."""
    return ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", *([] if network else ["--net"]), sys.executable, "-B", script,
            *arguments]


def prepare(lower="/", keep=False):
    """Make the box; where its root is. keep: what is written stays in the root at `lower`, which must not be the machine's."""
    top = PLACE + "/root"
    run("mount", "--make-rprivate", "/")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "none", PLACE)
    for folder in ("upper", "work", "root"):
        os.mkdir(os.path.join(PLACE, folder))
    if keep:
        run("mount", "--bind", lower, top)
    else:
        run("mount", "-t", "overlay", "overlay", "-o", "lowerdir=%s,upperdir=%s/upper,workdir=%s/work" % (lower, PLACE, PLACE), top)
    run("mount", "--rbind", "/dev", top + "/dev")
    run("mount", "-t", "proc", "proc", top + "/proc")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "none", top + "/run")
    for name, source in STAND_INS.items():
        path = "%s/usr/local/sbin/%s" % (top, name)
        shutil.copyfile(os.path.join(ROOT, "tests", "lab", source), path)
        os.chmod(path, 0o755)
    os.environ.update(PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LC_ALL="C.UTF-8")
    return top


def enter():
    """A box over this machine, and into it. The name server is to be on loopback."""
    top = prepare()
    # The checkout may lie on a file system of its own, which an overlay of the root does not show.
    os.makedirs(top + ROOT, exist_ok=True)
    run("mount", "--bind", ROOT, top + ROOT)
    name_server(top)
    os.chroot(top)
    os.chdir("/root")


def network(hostname, *addresses):
    """The box's host name and its network: the loopback interface, with addresses by which clients are told apart."""
    run("hostname", hostname)
    run("ip", "link", "set", "lo", "up")
    for address in addresses:
        run("ip", "address", "add", address, "dev", "lo")


def name_server(top):
    """The name server of the system at `top` is the one on its loopback interface."""
    path = top + "/etc/resolv.conf"
    if os.path.lexists(path):
        os.unlink(path)
    with open(path, "w") as file:
        file.write("nameserver 127.0.0.1\n")
