#!/usr/bin/python3
"""What the programs take from libraries that are dangerous when used plainly is what they are meant to take.

    tests/symbols.py PROGRAM...

libspf2 and libopendmarc have functions that block, crash, or are wrong (docs/security.md); the C library has some that
cannot be used safely, and some that start a shell. Last line: "N passed, N failed".
"""
import re
import subprocess
import sys

ALLOWED = {
    "libspf2.so.2": {
        "SPF_dns_rr_buf_realloc", "SPF_dns_rr_free", "SPF_dns_rr_new_init", "SPF_record_compile", "SPF_request_free",
        "SPF_request_new", "SPF_request_query_mailfrom", "SPF_request_set_env_from", "SPF_request_set_ipv4", "SPF_response_free",
        "SPF_response_reason", "SPF_response_result"},
    "libopendmarc.so.2": {
        "opendmarc_get_policy_to_enforce", "opendmarc_policy_connect_init", "opendmarc_policy_connect_shutdown",
        "opendmarc_policy_store_dkim", "opendmarc_policy_store_dmarc", "opendmarc_policy_store_from_domain",
        "opendmarc_policy_store_spf"},
}
FORBIDDEN = {
    "system", "popen", "wordexp", "execlp", "execvp", "execvpe", "posix_spawnp",  # a shell, or a search for the program
    "gets", "strcpy", "strcat", "stpcpy", "sprintf", "vsprintf", "strtok", "scanf", "sscanf", "fscanf",
    "mktemp", "tmpnam", "tempnam", "rand", "srand", "random", "drand48",
    "gethostbyname", "gethostbyaddr", "res_query", "res_search", "localtime", "ctime", "asctime"}


def symbols(path, *options):
    text = subprocess.run(["nm", "-D", *options, path], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in text.splitlines() if line.split()}


def libraries(program):
    """{name: path}"""
    text = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(re.findall(r"(\S+) => (\S+)", text))


def check(program):
    wanted, problems, paths = symbols(program, "--undefined-only"), [], libraries(program)
    for library, allowed in ALLOWED.items():
        if library not in paths:
            problems.append("does not use %s: has it another name now?" % library)
            continue
        taken = wanted & symbols(paths[library], "--defined-only")
        problems += ["%s of %s" % (name, library) for name in sorted(taken - allowed)]
    return problems + ["%s" % name for name in sorted(wanted & FORBIDDEN)]


def main():
    failed = 0
    for program in sys.argv[1:]:
        problems = check(program)
        failed += bool(problems)
        print("%s %s %s" % ("FAIL" if problems else "ok  ", program, "; ".join(problems)))
    print("%d passed, %d failed" % (len(sys.argv) - 1 - failed, failed))
    return 1 if failed or len(sys.argv) == 1 else 0


if __name__ == "__main__":
    sys.exit(main())
