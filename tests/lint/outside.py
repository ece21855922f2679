#!/usr/bin/python3
"""Where src/ starts a program, loads code, opens a database or names a file, docs/security.md says whence the name comes.

Reads the table `| where | calls | whence the words come |` of that page. A call that is not in it, or stands in it and
nowhere else, is a mistake: whoever adds one has to say why nothing of a message can be in its name. What takes a format
is left to the compiler: -Wformat=2 and -Werror, which nothing in src/ may switch off.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = "docs/security.md"
HEAD = ["where", "calls", "whence the words come"]
CALLS = """
    system popen exec[lv]\\w* fexecve posix_spawnp? v?fork wordexp dlopen dlmopen dlv?sym
    open openat openat2 creat fopen freopen opendir scandir glob nftw ftw fts_open mkstemp mkdtemp tmpfile
    unlink unlinkat remove rmdir rename renameat renameat2 mkdir mkdirat mknod mkfifo link linkat symlink symlinkat
    chmod fchmodat chown lchown fchownat truncate chdir chroot realpath stat lstat fstatat access faccessat readlink utime\\w*
    bind shm_open mq_open mount inotify_add_watch
    sqlite3_open\\w* mdb_env_open psl_load_file gzopen xmlReaderForFile xmlNewTextWriterFilename xmlReadFile
    xmlParseFile BIO_new_file ub_ctx_resolvconf ub_ctx_hosts ub_ctx_add_ta_file ub_ctx_add_ta_autr ub_ctx_trustedkeys ub_ctx_config
    json_load_file json_dump_file""".split()
# libpq is loaded, so its functions are members.
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(|(?<!\w)(PQconnect\w*)\s*\(" % "|".join(CALLS))
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"', re.S)


def calls_of(text):
    """Those of the C library's and of others' that name something; a static function of such a name is not one."""
    text = NOISE.sub('""', text)
    own = set(re.findall(r"^static [^;{}()=]*?(\w+)\(", text, re.M))
    return {one or member for one, member in CALL.findall(text)} - own


def read_page():
    """[(files or folders, calls)], a row each"""
    rows, inside = [], False
    with open(os.path.join(ROOT, PAGE)) as file:
        for line in file:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
            if cells == HEAD:
                inside = True
            elif not cells:
                inside = False
            elif inside and len(cells) == 3 and not set(cells[0]) <= set("-: "):
                rows.append((set(cells[0].replace("`", "").replace(",", " ").split()), set(cells[1].replace("`", "").split())))
    return rows


def read_sources():
    """{path below src/: calls}, and what is wrong with formats"""
    calls, mistakes = {}, []
    for folder, _, names in os.walk(os.path.join(ROOT, "src")):
        for name in names:
            if not name.endswith(".c"):
                continue
            with open(os.path.join(folder, name)) as file:
                text = file.read()
            path = os.path.relpath(file.name, os.path.join(ROOT, "src"))
            calls[path] = calls_of(text)
            if re.search(r'diagnostic ignored "-Wformat', text):
                mistakes.append("src/%s: a format may not be hidden from the compiler" % path)
    return calls, mistakes


def main():
    rows, (sources, mistakes) = read_page(), read_sources()
    if not rows:
        mistakes.append("%s: the table %s is missing" % (PAGE, HEAD))
    seen = set()
    for places, calls in rows:
        files = {path for path in sources for place in places if path == place or place.endswith("/") and path.startswith(place)}
        seen |= files
        used = set().union(*(sources[path] for path in files))
        mistakes += ["%s: there is no src/%s" % (PAGE, place) for place in sorted(places) if not os.path.exists(os.path.join(ROOT, "src", place))]
        if calls != {"*"} and calls - used:
            mistakes.append("%s: %s: not called there: %s" % (PAGE, " ".join(sorted(places)), " ".join(sorted(calls - used))))
        if calls != {"*"}:
            mistakes += ["src/%s: %s() is not in its row of %s" % (path, call, PAGE)
                         for path in sorted(files) for call in sorted(sources[path] - calls)]
    mistakes += ["src/%s: %s() is not in the table of %s: whence does its name come?" % (path, call, PAGE)
                 for path in sorted(set(sources) - seen) for call in sorted(sources[path])]
    with open(os.path.join(ROOT, "meson.build")) as file:
        if not re.search(r"^\s*[^#\n]*'-Wformat=2'", file.read(), re.M):
            mistakes.append("meson.build: -Wformat=2 is not among the warnings")
    print("\n".join(mistakes) or "%d places, each says whence its words come" % len(seen))
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
