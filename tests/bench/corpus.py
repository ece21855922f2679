#!/usr/bin/python3
"""Mail to measure with, signed by an independent implementation (dkimpy), and the zones that go with it.

    corpus.py DIRECTORY [--domains N] [--keys N]

Makes, for every size, DIRECTORY/SIZE.list (as load wants it) with its messages; bare.list, the same as the smallest
without a signature; out.list, mail of an authenticated user to be signed; customers.list, such mail of a domain each; silent.list, mail of domains whose name
servers never answer; cold.list, unsigned mail of thousands of domains without records that no cache may keep; and zone. Every domain has its own selector and names; N keys of RSA-2048 are shared among
them, since making one takes longer than all else. What is there already for the same numbers is kept.
"""
import argparse
import concurrent.futures
import os
import random
import subprocess

import dkim

SIZES = {"2k": (2 * 1024, 1), "20k": (20 * 1024, 10), "200k": (200 * 1024, 40), "5m": (5 * 1024 * 1024, 300)}
SIGNED = [b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type", b"reply-to",
          b"list-unsubscribe", b"list-unsubscribe-post"]
VERSION = "8"


def words(generator, size):
    """Text of about @size bytes in lines as mail programs break them, some of them empty, some with runs of blanks."""
    lines, done = [], 0
    while done < size:
        if generator.random() < 0.05:
            line = ""
        else:
            line = " ".join("".join(generator.choices("abcdefghijklmnopqrstuvwxyz=/", k=generator.randint(2, 11)))
                            for _ in range(generator.randint(6, 11)))
            if generator.random() < 0.1:
                line = line.replace(" ", "  ", 2) + " "
        lines.append(line)
        done += len(line) + 2
    return "\r\n".join(lines) + "\r\n"


def header(generator, domain, number, size):
    tag = "%016x" % generator.getrandbits(64)
    return (f"Received: from app7.{domain} (app7.{domain} [10.3.0.{number % 250}])\r\n"
            f"\tby mx.{domain} (Postfix) with ESMTPS id {tag[:10].upper()}\r\n"
            f"\tfor <user{number}@bench.example>; Fri, 20 Nov 2026 10:{number % 60:02d}:04 +0000 (UTC)\r\n"
            f"From: \"News of {domain}\" <news@{domain}>\r\n"
            f"To: user{number}@bench.example\r\n"
            f"Reply-To: <answers@{domain}>\r\n"
            f"Subject: What is new this week, number {number}, and some words\r\n\tthat make the line fold\r\n"
            f"Date: Fri, 20 Nov 2026 10:{number % 60:02d}:03 +0000\r\n"
            f"Message-ID: <{tag}.{size}@{domain}>\r\n"
            f"MIME-Version: 1.0\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\n"
            f"List-Unsubscribe: <https://{domain}/u/{tag}>\r\n"
            f"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
            f"X-Mailer: Bench 1.0\r\n")


def message(number, domain, size, pem):
    generator = random.Random(f"{number} {size}")
    head = header(generator, domain, number, size)
    # The signature takes about 560 bytes.
    text = (head + "\r\n" + words(generator, max(size - len(head) - (560 if pem else 0), 100))).encode()
    if pem is None:
        return text
    return dkim.sign(text, f"s{number}".encode(), domain.encode(), pem, canonicalize=(b"relaxed", b"relaxed"),
                     include_headers=SIGNED) + text


def write_one(task):
    path, number, domain, size, pem = task
    with open(path, "wb") as file:
        file.write(message(number, domain, size, pem))


class Corpus:
    def __init__(self, directory, n_domains, n_keys):
        self.directory = directory
        self.n_domains, self.n_keys = n_domains, n_keys
        self.tasks = []

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def domain(self, number):
        return f"d{number:04d}.example"

    def key(self, number):
        """PEM, and p= of its record."""
        path = self.path(f"key{number}.pem")
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", path, "2048"], check=True, capture_output=True)
        public = subprocess.run(["openssl", "rsa", "-in", path, "-pubout"], check=True, capture_output=True, text=True)
        with open(path, "rb") as file:
            return file.read(), "".join(public.stdout.splitlines()[1:-1])

    def add_list(self, name, n, size, domain, pem, client="192.0.2.7", user=""):
        os.makedirs(self.path(name), exist_ok=True)
        with open(self.path(name + ".list"), "w") as file:
            for number in range(n):
                path = self.path(name, f"{number}.eml")
                where = domain(number)
                self.tasks.append((path, number, where, size, pem(number)))
                file.write(f"{path} {client} mx.{where} bounce@{where} user{number}@bench.example {user}\n")

    def add_cold(self, n):
        """Unsigned mail again, from @n domains that do not exist."""
        with open(self.path("cold.list"), "w") as file:
            for number in range(n):
                domain = f"c{number}.cold"
                file.write(f"{self.path('bare', str(number % self.n_domains) + '.eml')} 192.0.2.7 mx.{domain} bounce@{domain} "
                           f"user{number}@bench.example\n")

    def zone(self, keys):
        with open(self.path("zone"), "w") as file:
            for number in range(self.n_domains):
                domain = self.domain(number)
                file.write(f"{domain} TXT v=spf1 include:_spf.{domain} -all\n"
                           f"{domain} A 192.0.2.7\n"
                           f"{domain} MX 10 mx.{domain}\n"
                           f"_spf.{domain} TXT v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.0/24 -all\n"
                           f"mx.{domain} TXT v=spf1 ip4:192.0.2.7 -all\n"
                           f"mx.{domain} A 192.0.2.7\n"
                           f"_dmarc.{domain} TXT v=DMARC1; p=reject; rua=mailto:dmarc@{domain}; pct=100\n"
                           f"s{number}._domainkey.{domain} TXT v=DKIM1; k=rsa; p={keys[number % len(keys)][1]}\n")
            file.write("silent SILENT\ncold FRESH\n")

    def make(self):
        mark = self.path(f"made-{VERSION}-{self.n_domains}-{self.n_keys}")
        if os.path.exists(mark):
            return
        os.makedirs(self.directory, exist_ok=True)
        keys = [self.key(number) for number in range(self.n_keys)]
        for name, (size, share) in SIZES.items():
            self.add_list(name, max(self.n_domains // share, 1), size, self.domain, lambda n: keys[n % len(keys)][0])
        self.add_list("bare", self.n_domains, SIZES["2k"][0], self.domain, lambda n: None)
        self.add_list("silent", 5 * self.n_domains, SIZES["2k"][0], lambda n: f"d{n:04d}.silent", lambda n: keys[0][0])
        self.add_list("out", self.n_domains, SIZES["2k"][0], lambda n: "sender.example", lambda n: None,
                      client="203.0.113.9", user="alice")
        self.add_list("customers", self.n_domains, SIZES["2k"][0], lambda n: f"customer{n}.example", lambda n: None,
                      client="203.0.113.9", user="alice")
        self.add_cold(5000)
        self.zone(keys)
        with concurrent.futures.ProcessPoolExecutor() as pool:
            list(pool.map(write_one, self.tasks, chunksize=16))
        open(mark, "w").close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--domains", type=int, default=600)
    parser.add_argument("--keys", type=int, default=16)
    arguments = parser.parse_args()
    Corpus(os.path.abspath(arguments.directory), arguments.domains, arguments.keys).make()


if __name__ == "__main__":
    main()
