"""RSA-2048 keys by the ten thousand, from all pairs of a few hundred primes: to measure with, and for nothing else."""
import base64
import concurrent.futures
import itertools
import os
import subprocess

E = 65537


def prime(_):
    done = subprocess.run(["openssl", "prime", "-generate", "-bits", "1024"], check=True, capture_output=True, text=True)
    return int(done.stdout)


def der(tag, content):
    n = len(content)
    size = bytes([n]) if n < 128 else bytes([0x82]) + n.to_bytes(2, "big")
    return bytes([tag]) + size + content


def integer(value):
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def pem(p, q):
    """PKCS#1, RFC 8017 appendix A.1.2."""
    d = pow(E, -1, (p - 1) * (q - 1))
    numbers = (0, p * q, E, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    text = base64.encodebytes(der(0x30, b"".join(map(integer, numbers)))).decode()
    return f"-----BEGIN RSA PRIVATE KEY-----\n{text}-----END RSA PRIVATE KEY-----\n"


def private(path, _):
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def distinct_keys(work, n):
    """Their paths; what was made before is kept."""
    directory = os.path.join(work, f"distinct-{n}")
    paths = [os.path.join(directory, f"{number // 1000}", f"{number}.pem") for number in range(n)]
    mark = os.path.join(directory, "made")
    if os.path.exists(mark):
        return paths
    n_primes = next(k for k in itertools.count(2) if k * (k - 1) // 2 >= n)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        primes = list(pool.map(prime, range(n_primes)))
    for path, (p, q) in zip(paths, itertools.combinations(primes, 2)):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", opener=private) as file:
            file.write(pem(p, q))
    open(mark, "w").close()
    return paths
