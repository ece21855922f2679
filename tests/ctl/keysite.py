"""A configuration with tables in a directory of its own, and trimilterctl on it."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

CTL = os.path.abspath(sys.argv[1])


class Site(unittest.TestCase):
    """self.directory with conf, keytable, signingtable, zone."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="trimilter-ctl-")
        self.addCleanup(shutil.rmtree, self.directory)
        os.chmod(self.directory, 0o755)
        self.write("zone", "")
        self.configure()

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def configure(self, keys="file:{top}/keytable", authors="file:{top}/signingtable", more=""):
        text = f"AuthservID mx.example.net\nKeyTable {keys}\nSigningTable {authors}\nDNSZoneFile {{top}}/zone\n{more}"
        self.write("conf", text.format(top=self.directory))

    def run_ctl(self, *words, **options):
        return subprocess.run([CTL, *words], capture_output=True, text=True, cwd=self.directory, timeout=60, **options)

    def ctl(self, *words, status=0, **options):
        """What it prints; on standard error where it is to fail."""
        done = self.run_ctl(*words, **options)
        self.assertEqual(done.returncode, status, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def json(self, *words, **options):
        return json.loads(self.ctl(*words, "--json", "-c", "conf", **options))

    def tree(self):
        """Every file with its content, mode and owner: what "nothing was changed" is held against."""
        found = {}
        for top, directories, files in os.walk(self.directory):
            for name in directories + files:
                path = os.path.join(top, name)
                st = os.lstat(path)
                content = b""
                if os.path.islink(path):
                    content = os.readlink(path)
                elif os.path.isfile(path):
                    with open(path, "rb") as file:
                        content = file.read()
                found[os.path.relpath(path, self.directory)] = (content, st.st_mode, st.st_uid, st.st_gid)
        return found

    def publish(self, owner, record):
        """A line more in the zone; strings of at most 250 bytes."""
        strings = " ".join('"%s"' % record[i:i + 250] for i in range(0, len(record), 250))
        with open(self.path("zone"), "a") as file:
            file.write(f"{owner} TXT {strings}\n")

    def withdraw(self, owner):
        lines = [line for line in self.read("zone").splitlines(True) if not line.startswith(owner + " ")]
        self.write("zone", "".join(lines))


def main():
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:])
