#include "dns/nameservers.h"

#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include "base/ip.h"

#define RESOLV_CONF_MAX 65536
#define PORT 53

/* "%eth0" of a link-local address as the number that libunbound wants. */
static bool scope_number(struct str scope, unsigned *ret_number)
{
	uint64_t number;
	char name[IF_NAMESIZE];
	if (str_to_u64(scope, UINT32_MAX, &number)) {
		*ret_number = (unsigned)number;
		return number > 0;
	}
	if (scope.n == 0 || scope.n >= sizeof(name))
		return false;
	memcpy(name, scope.p, scope.n);
	name[scope.n] = '\0';
	*ret_number = if_nametoindex(name);
	return *ret_number > 0;
}

bool nameservers_add(struct nameservers *servers, struct str word)
{
	struct str port_text = word, address = {NULL, 0};
	str_cut(&port_text, '@', &address);
	uint64_t port = PORT;
	if (port_text.p != NULL && (!str_to_u64(port_text, 65535, &port) || port == 0))
		return false;
	unsigned scope = 0;
	ptrdiff_t percent = str_index(address, '%');
	if (percent >= 0 && !scope_number(str_skip(address, (size_t)percent + 1), &scope))
		return false;
	struct ip ip;
	if (!ip_parse(percent >= 0 ? str_head(address, (size_t)percent) : address, &ip) ||
		servers->n == NAMESERVERS_MAX)
		return false;
	char text[IP_TEXT_SIZE], suffix[16] = "";
	if (scope > 0)
		snprintf(suffix, sizeof(suffix), "%%%u", scope);
	snprintf(servers->text[servers->n++], NAMESERVER_SIZE, "%s%s@%u", ip_text(&ip, text), suffix, (unsigned)port);
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct str first_word(struct str s)
{
	size_t n = 0;
	while (n < s.n && !is_blank(s.p[n]))
		n++;
	return str_head(s, n);
}

void nameservers_parse_resolv_conf(struct str text, struct nameservers *ret_servers)
{
	static const struct str keyword = STR_INIT("nameserver");
	*ret_servers = (struct nameservers){0};
	for (struct str rest = text, line; str_cut(&rest, '\n', &line);) {
		/* As the C library: the keyword at the start of the line, white space, the address. */
		if (!str_starts(line, keyword) || line.n == keyword.n || !is_blank(line.p[keyword.n]))
			continue;
		nameservers_add(ret_servers, first_word(str_trim(str_skip(line, keyword.n))));
	}
	if (ret_servers->n == 0)
		nameservers_add(ret_servers, STR("127.0.0.1"));
}

struct file_stamp file_stamp_of(const char *path)
{
	struct stat status;
	if (stat(path, &status) != 0)
		return (struct file_stamp){0};
	return (struct file_stamp){status.st_mtim, status.st_ino, status.st_size};
}

bool file_stamp_eq(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec &&
	       a->inode == b->inode && a->size == b->size;
}

enum err nameservers_read(const char *path, struct nameservers *ret_servers)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return ERR_IO;
	char text[RESOLV_CONF_MAX];
	size_t n = 0;
	ssize_t got;
	while (n < sizeof(text) && (got = read(fd, text + n, sizeof(text) - n)) > 0)
		n += (size_t)got;
	close(fd);
	nameservers_parse_resolv_conf(str_from(text, n), ret_servers);
	return ERR_OK;
}
