#!/usr/bin/python3
"""The installed libspf2 and libopendmarc run nothing but what is known of them, whatever records and mail say.

    tests/guard.py TRIMILTERCTL [SCENARIO-FILE | TEST-PROGRAM]...

symbols.py looks at what the programs take from these libraries; this one at what the libraries then call in themselves. Each
function that they export, but for those that are listed here or there, is displaced by one that ends the process and says its
name; so are the C library's ways to ask the DNS; and the texts that they get are held against what we write. Then the scenarios run, hostile records among them. Another version
of a library that comes to call more, or one of ours that does, fails here. A TEST-PROGRAM runs likewise, and ends with 0. Last line: "N passed, N failed".
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import symbols  # noqa: E402

# What the allowed functions call within their library. Some of it is known to go wrong with what a sender has written
# (macros in SPF_record_expand_data, a one-letter domain in opendmarc_policy_check_alignment), so what comes in is
# looked at as well: records and names that we wrote, nothing else.
WITHIN = {
    "libspf2.so.2": {
        "SPF_dns_lookup", "SPF_dns_rr_new", "SPF_i_done", "SPF_record_expand_data", "SPF_record_find_mod_value", "SPF_record_free",
        "SPF_record_interpret", "SPF_record_new", "SPF_request_get_exp", "SPF_request_get_rec_dom", "SPF_request_is_loopback",
        "SPF_response_errors", "SPF_response_new", "SPF_server_get_record", "SPF_strreason", "SPF_strresult"},
    "libopendmarc.so.2": {
        "opendmarc_policy_check_alignment", "opendmarc_policy_connect_clear", "opendmarc_policy_parse_dmarc",
        "opendmarc_reverse_domain", "opendmarc_util_cleanup", "opendmarc_util_clearargv", "opendmarc_util_finddomain"},
}
# (function, place of the argument, what it may be): the texts that the two libraries get.
TEXTS = [
    ("SPF_record_compile", 3, r"^v=spf1( [-+?~](exists|include):[0-9]+\\.t)*( redirect=[0-9]+\\.t)?$"),
    ("opendmarc_policy_store_dmarc", 1, "^v=DMARC1; p=(none|quarantine|reject); sp=(none|quarantine|reject)$"),
    ("opendmarc_policy_store_dmarc", 2, r"^author\\.example\\.com$"),
    ("opendmarc_policy_store_from_domain", 1, r"^author\\.example\\.com$"),
    ("opendmarc_policy_store_spf", 1, r"^author\\.example\\.com$"),
    ("opendmarc_policy_store_dkim", 1, r"^author\\.example\\.com$"),
    ("opendmarc_policy_check_alignment", 0, r"^author\\.example\\.com$"),
    ("opendmarc_policy_check_alignment", 1, r"^author\\.example\\.com$"),
]
NO_DNS = {"res_nquery", "res_nsearch", "res_query", "res_search", "__res_ninit", "gethostbyname", "gethostbyaddr"}
# Their own way into what is forbidden, so that a trap which does not snap is noticed: (library, function).
SNAPS = [("libopendmarc.so.2", "new = lib.opendmarc_policy_connect_init; new.restype = ctypes.c_void_p; "
          "lib.opendmarc_policy_query_dmarc(ctypes.c_void_p(new(b'192.0.2.1', 4)), b'a.example')"),
         ("libspf2.so.2", "lib.SPF_server_new(0, 0)")]
TRAP = "guard: forbidden: "
C = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

static void trap(const char *name, const char *text)
{
	fprintf(stderr, "%s%%s %%s\\n", name, text);
	abort();
}

static void look(const char *name, const char *pattern, const char *text)
{
	regex_t regex;
	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0 || regexec(&regex, text, 0, NULL, 0) != 0)
		trap(name, text);
	regfree(&regex);
}
"""
SHUT = 'void %s(void) { trap("%s", "was called"); }\n'
# Six words are more than any of them takes, and cost nothing here.
LOOKED_AT = """
long %(name)s(long a, long b, long c, long d, long e, long f)
{
	static long (*real)(long, long, long, long, long, long);
	const long words[] = {a, b, c, d, e, f};
	if (real == NULL)
		real = dlsym(RTLD_NEXT, "%(name)s");
%(looks)s	return real(a, b, c, d, e, f);
}
"""


def functions(path):
    text = subprocess.run(["nm", "-D", "--defined-only", path], stdout=subprocess.PIPE, text=True, check=True).stdout
    rows = [line.split() for line in text.splitlines()]
    return {row[-1].split("@")[0] for row in rows if row[-2] in "TW"}


def build(folder, names):
    """The library to preload."""
    source, library = os.path.join(folder, "guard.c"), os.path.join(folder, "guard.so")
    with open(source, "w") as file:
        file.write(C % TRAP + "".join(SHUT % (name, name) for name in sorted(names)))
        for name in sorted({name for name, _, _ in TEXTS}):
            looks = "".join('\tlook("%s", "%s", (const char *)words[%d]);\n' % (name, pattern, at)
                            for other, at, pattern in TEXTS if other == name)
            file.write(LOOKED_AT % {"name": name, "looks": looks})
    subprocess.run(["cc", "-shared", "-fPIC", "-fno-builtin", "-w", "-o", library, source], check=True)
    return library


def snaps(guard, path, expression):
    """Whether it ends in a trap further in."""
    program = "import ctypes; lib = ctypes.CDLL(%r); %s"
    done = subprocess.run([sys.executable, "-c", program % (path, expression)], env={**os.environ, "LD_PRELOAD": guard},
                          capture_output=True, text=True)
    return TRAP in done.stderr


def main():
    ctl, files = sys.argv[1], [path for path in sys.argv[2:] if path.endswith(".txt")]
    programs = [path for path in sys.argv[2:] if path not in files]
    libraries = symbols.libraries(ctl)
    names = set(NO_DNS)
    for library, allowed in symbols.ALLOWED.items():
        names |= functions(libraries[library]) - allowed - WITHIN[library]
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        guard = build(folder, names)
        for library, expression in SNAPS:
            good = snaps(guard, libraries[library], expression)
            passed, failed = passed + good, failed + (not good)
            print("%s caught: %s" % ("ok  " if good else "FAIL", expression.rpartition("; ")[2]))
        for program in programs:
            done = subprocess.run([program], env={**os.environ, "LD_PRELOAD": guard}, stdout=subprocess.DEVNULL)
            passed, failed = passed + (done.returncode == 0), failed + (done.returncode != 0)
            print("%s %s" % ("FAIL" if done.returncode else "ok  ", os.path.basename(program)))
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "scenarios", "run"), "--ctl", ctl, *files],
                              env={**os.environ, "LD_PRELOAD": guard}, stdout=subprocess.PIPE, text=True)
        print(done.stdout, end="")
        last = done.stdout.splitlines()[-1].split()
    passed, failed = passed + int(last[0]), failed + int(last[2]) + (done.returncode != 0 and last[2] == "0")
    print("%d functions shut, %d scenarios" % (len(names), int(last[0]) + int(last[2])))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
