/*
 * Which nameservers to ask: what the administrator names, or what resolv.conf(5) says. Pure but for reading the file.
 */
#ifndef TRIMILTER_DNS_NAMESERVERS_H
#define TRIMILTER_DNS_NAMESERVERS_H

#include <sys/stat.h>

#include "base/err.h"
#include "base/str.h"

#define NAMESERVERS_MAX 16
#define NAMESERVER_SIZE 80 /* an address with scope, '@', a port, NUL */

struct nameservers {
	size_t n;
	char text[NAMESERVERS_MAX][NAMESERVER_SIZE]; /* "ADDR@PORT" */
};

/** "ADDR" or "ADDR@PORT" (53 without). False: it is neither, or there are NAMESERVERS_MAX already. */
bool nameservers_add(struct nameservers *servers, struct str word);

/**
 * The nameserver lines of a resolv.conf; what cannot be read is passed over, as the C library does;
 * unlike there an address may have a port. Without any it is the local host: resolv.conf(5).
 */
void nameservers_parse_resolv_conf(struct str text, struct nameservers *ret_servers);

/** What changes when the file does. All zero: no file. */
struct file_stamp {
	struct timespec modified;
	ino_t inode;
	off_t size;
};

/** Follows links, as resolv.conf most often is one. */
struct file_stamp file_stamp_of(const char *path);
bool file_stamp_eq(const struct file_stamp *a, const struct file_stamp *b);

/** nameservers_parse_resolv_conf() of the file. ERR_IO: it cannot be read; *ret_servers is then untouched. */
enum err nameservers_read(const char *path, struct nameservers *ret_servers);

#endif
