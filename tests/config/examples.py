#!/usr/bin/python3
"""The examples of trimilter-datasets(5), and of docs/relays-and-lists.md: each starts, with the files and tables given there.

    examples.py TRIMILTER

Last line: "N passed, N failed".
"""
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from lab import guide, postgres
from lab.lmdb import Lmdb

PAGE = os.path.join(HERE, "..", "..", "docs", "man", "trimilter-datasets.5")
KEY = os.path.join(HERE, "..", "scenarios", "keys", "k1.pem")
ROWS = "INSERT INTO dkim (id, domain, selector, key, active) VALUES (1, 'example.com', 's', '%s', 1)"


def blocks():
    page = open(PAGE, encoding="utf-8").read()
    return [text.replace("\\-", "-") for text in re.findall(r"^\.EX\n(.*?)^\.EE", page, re.S | re.M)]


def lay_out(root, texts):
    """What the examples name; the configurations among them are returned."""
    keys = os.path.join(root, "keys")
    os.mkdir(keys)
    for name in ("example.com", "example.org", "all"):
        shutil.copy(KEY, os.path.join(keys, name + ".private"))
    configurations = []
    for text in texts:
        if re.match(r"[A-Z][A-Za-z]+ +(\w+:|/)", text):
            configurations.append(text)
        elif text.startswith("CREATE TABLE"):
            with sqlite3.connect(os.path.join(root, "dkim.db")) as db:
                db.execute(text)
                db.execute(ROWS % open(KEY).read())
            create = text
        else:
            name = "SigningTable" if text.startswith("*") else "KeyTable"
            with open(os.path.join(root, name), "w") as file:
                file.write(text.replace("/etc/opendkim", root))
    with open(os.path.join(root, "domains"), "w") as file:
        file.write("a.example any\nb.example any\n")
    Lmdb(os.path.join(root, "hosts")).put({"192.0.2.0/24": "", "mail.example.com": ""})
    return configurations, create


def check(program, root, text, server):
    path = os.path.join(root, "conf")
    text = text.replace("/etc/opendkim", root)
    if server is not None:
        text = text.replace("mail:secret@5432+localhost", f"{postgres.USER}:p=40ss=2Fw=3Ard=25@{server.port}+127.0.0.1")
        text = text.replace("/run/postgresql&user=mail", f"{server.top}&port={server.port}&user={postgres.USER}")
    with open(path, "w") as file:
        file.write(text + "\nRequireSafeKeys no\n")
    os.chmod(path, 0o600)
    done = subprocess.run([program, "-n", "-c", path], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "is not safe" not in line and "runs as root" not in line]
    good = done.returncode == 0 and not said
    print("%s %s" % ("ok  " if good else "FAIL", text.split("\n")[0]), *said, sep="\n     ")
    return good


def lists_example(root):
    """The page's configuration; what stands behind a table's name in it is the table's row."""
    text = guide.block("relays-and-lists", "lists").replace("/etc/dkimkeys", os.path.join(root, "keys"))
    shutil.copy(KEY, os.path.join(root, "keys", "lists.private"))
    for name, row in re.findall(r"/etc/opendkim/(\w+) +# (.*)", text):
        with open(os.path.join(root, name), "w") as file:
            file.write(row + "\n")
    return text


def main():
    texts = blocks()
    has_server = postgres.programs() is not None
    with tempfile.TemporaryDirectory() as root:
        configurations, create = lay_out(root, texts)
        if not has_server:
            configurations = [text for text in configurations if "pgsql" not in text]
            print("PostgreSQL is not installed: its example is left out")
            results = [check(sys.argv[1], root, text, None) for text in configurations]
        else:
            with postgres.Postgres() as server:
                server.sql(create + ";" + ROWS % open(KEY).read() + ";")
                results = [check(sys.argv[1], root, text, server) for text in configurations]
        results.append(check(sys.argv[1], root, lists_example(root), None))
    failed = results.count(False)
    print("%d passed, %d failed" % (len(results) - failed, failed))
    return 1 if failed or len(results) < (6 if has_server else 5) else 0


if __name__ == "__main__":
    sys.exit(main())
