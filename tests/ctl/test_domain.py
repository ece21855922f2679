#!/usr/bin/python3
"""
trimilterctl domain: what it adds signs, and whatever goes wrong leaves everything as it was.

    test_domain.py TRIMILTERCTL [unittest arguments]
"""
import fcntl
import os
import pwd
import re
import resource
import signal
import stat
import subprocess
import unittest

from keysite import CTL, Site, main


class Add(Site):
    def test_kinds_of_tables(self):
        for kind, pattern in (("file:", ""), ("refile:", "*@"), ("", "")):
            with self.subTest(kind=kind):
                self.setUp()
                self.configure(keys="{top}/keytable" if kind == "refile:" else kind + "{top}/keytable", authors=kind + "{top}/signingtable")
                self.write("keytable", "# no newline at the end")
                out = self.ctl("domain", "add", "-c", "conf", "Example.ORG", "--now", "1763900000")
                key = self.path("keys/202511.example.org.private")
                self.assertEqual(self.read("keytable"), f"# no newline at the end\nexample.org example.org:202511:{key}\n")
                self.assertEqual(self.read("signingtable"), f"{pattern}example.org example.org\n")
                self.assertEqual(stat.S_IMODE(os.stat(key).st_mode), 0o600)
                self.assertIn("_dmarc.example.org. IN TXT", out)
                owner, strings = re.search(r"^(\S+)\. IN TXT \( (.*p=.*) \)$", out, re.M).groups()
                self.assertEqual(owner, "202511._domainkey.example.org")
                self.publish(owner, "".join(re.findall('"([^"]*)"', strings)))
                self.assertIn(": ok (rsa, 2048 bits", self.ctl("testkey", "-c", "conf", "-d", "example.org"))

    def test_beside_the_others(self):
        """A directory for each domain, where the first key has one; owner and mode of tables stay; links stay links."""
        self.ctl("genkey", "-s", "old", "-d", "first.example", "-D", self.directory)
        os.makedirs(self.path("k/first.example"), 0o700)
        os.rename(self.path("old.private"), self.path("k/first.example/old.private"))
        self.write("real", f"first first.example:old:{self.path('k/first.example/old.private')}\n")
        os.chmod(self.path("real"), 0o640)
        os.symlink("real", self.path("keytable"))
        self.write("signingtable", "first.example first\n")
        found = self.json("domain", "add", "second.example", "-s", "s1", "--type", "ed25519")
        self.assertEqual(found["keys"][0]["key_file"], self.path("k/second.example/s1.private"))
        self.assertEqual(found["keys"][0]["algorithm"], "ed25519")
        self.assertTrue(os.path.islink(self.path("keytable")))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("real")).st_mode), 0o640)
        self.assertIn("second.example:s1:", self.read("real"))
        self.assertFalse([name for name in self.tree() if name.endswith((".new", ".old"))])

    def test_both_kinds_of_keys(self):
        self.assertIn("MultipleSignatures", self.ctl("domain", "add", "-c", "conf", "--type", "both", "a.example", status=78))
        self.configure(more="MultipleSignatures yes\n")
        keys = self.json("domain", "add", "--type", "both", "-s", "k", "a.example")["keys"]
        self.assertEqual([(key["selector"], key["algorithm"]) for key in keys], [("k", "rsa"), ("k-ed25519", "ed25519")])
        for key in keys:
            self.publish(key["owner"], key["record"])
        self.assertEqual(len(re.findall(": ok", self.ctl("testkey", "-c", "conf"))), 2)

    @unittest.skipUnless(os.geteuid() == 0, "only root gives keys to another user")
    def test_key_belongs_to_user(self):
        self.configure(more="UserID nobody\n")
        key = self.json("domain", "add", "a.example")["keys"][0]["key_file"]
        self.assertEqual(os.stat(key).st_uid, pwd.getpwnam("nobody").pw_uid)
        self.assertEqual(os.stat(os.path.dirname(key)).st_uid, pwd.getpwnam("nobody").pw_uid)


class Refused(Site):
    """Each says why, and changes nothing."""

    def setUp(self):
        super().setUp()
        self.ctl("domain", "add", "-c", "conf", "-s", "s1", "first.example")

    def refused(self, words, why, status=65, **options):
        before = self.tree()
        self.assertRegex(self.ctl("domain", "add", "-c", "conf", *words, status=status, **options), why)
        self.assertEqual(self.tree(), before)

    def test_duplicates(self):
        self.refused(["first.example"], "has the key first.example .selector s1. already.*key rotate")
        self.write("signingtable", self.read("signingtable") + "second.example first.example\n")
        self.refused(["second.example"], "signingtable:2: mail of second.example is signed")
        self.write("keytable", self.read("keytable") + "third.example first.example:s1:/nowhere\n")
        self.refused(["third.example"], "has a key called third.example already")
        self.write("keys/s2.fourth.example.private", "kept")
        self.refused(["fourth.example", "-s", "s2"], "there already: choose another selector")

    def test_words(self):
        for words, why in ((["exa mple"], "not a domain"), ([], "exactly one"), (["a.example", "b.example"], "exactly one"),
                           (["a.example", "-s", "a b"], "not a selector"), (["a.example", "-b", "512"], "1024 to 4096"),
                           (["a.example", "--type", "dsa"], "none of rsa")):
            self.refused(words, why, status=64)

    def test_kinds(self):
        self.configure(keys="csl:first=a.example:s:{top}/k")
        self.refused(["a.example"], "only file:, refile: and a bare path", status=78)
        self.write("conf", f"Domain first.example\nSelector s1\nKeyFile {self.path('keys/s1.first.example.private')}\n")
        self.refused(["a.example"], "sets no KeyTable", status=78)

    def test_a_pattern_further_up(self):
        self.configure(authors="refile:{top}/signingtable")
        self.write("signingtable", "*@first.example first.example\n* first.example\n")
        self.refused(["second.example"], r'put the row "\*@second.example second.example" above', status=78)

    def test_configuration_is_broken_elsewhere(self):
        self.write("keytable", self.read("keytable") + "broken broken.example:s:/nowhere/key\n")
        self.refused(["second.example"], "/nowhere/key.*(.|\n)*nothing was changed", status=78)

    def test_disk_full_on_the_way(self):
        """The key fits, the table does not."""
        self.write("keytable", self.read("keytable") + "# much\n" * 1000)

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        self.refused(["second.example"], "cannot write .*keytable", status=74, preexec_fn=limit)
        self.ctl("domain", "add", "-c", "conf", "second.example")

    def test_another_is_at_work(self):
        lock = os.open(self.directory, os.O_RDONLY)
        self.addCleanup(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.refused(["second.example"], "another trimilterctl", status=69)

    def test_many_at_once(self):
        """Each one that says so is in the tables, whole; the others are not."""
        running = {f"d{n}.example": subprocess.Popen([CTL, "domain", "add", "-c", "conf", "-b", "1024", f"d{n}.example"],
                                                     cwd=self.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                   for n in range(8)}
        added = {domain for domain, process in running.items() if process.wait(60) == 0}
        self.assertTrue(added)
        listed = {key["domain"]: key["signs"] for key in self.json("domain", "list")["keys"]}
        self.assertEqual(listed, {domain: [domain] for domain in added | {"first.example"}})
        self.ctl("conf", "check", "-c", "conf")
        self.assertEqual(len(os.listdir(self.path("keys"))), len(listed))


class Remove(Site):
    def setUp(self):
        super().setUp()
        for domain in ("a.example", "b.example"):
            self.ctl("domain", "add", "-c", "conf", "-s", "s1", domain)

    def test_remove(self):
        self.write("signingtable", "sub.a.example a.example\n" + self.read("signingtable"))
        self.assertEqual(self.json("domain", "remove", "a.example")["keys"][0]["deleted"], False)
        self.assertEqual([key["domain"] for key in self.json("domain", "list")["keys"]], ["b.example"])
        self.assertEqual(self.read("signingtable"), "b.example b.example\n")
        self.assertEqual(len(os.listdir(self.path("keys"))), 2)
        self.ctl("domain", "remove", "-c", "conf", "--delete-keys", "b.example")
        self.assertEqual(os.listdir(self.path("keys")), ["s1.a.example.private"])
        self.ctl("domain", "remove", "-c", "conf", "b.example", status=65)

    def test_still_needed(self):
        self.write("lists", "list@x.example a.example\n")
        self.configure(more="ResignMailTo file:{top}/lists\n")
        before = self.tree()
        self.assertIn("nothing was changed", self.ctl("domain", "remove", "--delete-keys", "-c", "conf", "a.example", status=78))
        self.assertEqual(self.tree(), before)


if __name__ == "__main__":
    main()
