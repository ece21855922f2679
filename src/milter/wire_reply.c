#include <arpa/inet.h>
#include <stdlib.h>

#include "milter/wire.h"

void wire_out_finish(struct wire_out *out)
{
	free(out->p);
	*out = (struct wire_out){0};
}

/* Room for @n more bytes, or NULL. */
static char *reserve(struct wire_out *out, size_t n)
{
	if (out->n + n > out->capacity) {
		size_t capacity = 2 * (out->n + n) + 512;
		char *p = realloc(out->p, capacity);
		if (p == NULL) {
			out->failed = true;
			return NULL;
		}
		out->p = p;
		out->capacity = capacity;
	}
	char *place = out->p + out->n;
	out->n += n;
	return place;
}

static char *put_bytes(char *to, const void *bytes, size_t n)
{
	memcpy(to, bytes, n);
	return to + n;
}

static char *put_u32(char *to, uint32_t value)
{
	value = htonl(value);
	return put_bytes(to, &value, sizeof(value));
}

/* A packet with room for @n bytes of data, which begin where the result points to. NULL: out of memory. */
static char *put_head(struct wire_out *out, char reply, size_t n)
{
	char *to = reserve(out, n + 5);
	if (to == NULL)
		return NULL;
	to = put_u32(to, (uint32_t)n + 1);
	*to = reply;
	return to + 1;
}

void wire_put(struct wire_out *out, enum wire_reply reply)
{
	put_head(out, (char)reply, 0);
}

bool wire_put_field(struct wire_out *out, enum wire_reply reply, uint32_t index, const char *name, const char *value)
{
	size_t n_name = strlen(name) + 1, n_value = strlen(value) + 1;
	if (n_name == 1 || n_name + n_value + 4 > WIRE_PACKET_MAX)
		return false;
	char *to = put_head(out, (char)reply, 4 + n_name + n_value);
	if (to == NULL)
		return false;
	to = put_u32(to, index);
	to = put_bytes(to, name, n_name);
	put_bytes(to, value, n_value);
	return true;
}

bool wire_put_text(struct wire_out *out, enum wire_reply reply, const char *text)
{
	size_t n = strlen(text) + 1;
	if (n == 1 || n > WIRE_PACKET_MAX)
		return false;
	char *to = put_head(out, (char)reply, n);
	if (to == NULL)
		return false;
	put_bytes(to, text, n);
	return true;
}

/*
 * Exactly the macros that are read; what the MTA would send by default is dozens. Stages that need nothing ask for one
 * that most likely does not exist yet: an empty list would not be told from none by libmilter's peers, and libmilter
 * takes none.
 */
const struct wire_macro_list wire_macro_lists[WIRE_MACRO_LISTS] = {
	{0, STR_INIT("j {daemon_name}")}, /* CONNECT */
	{1, STR_INIT("i")},               /* HELO */
	{2, STR_INIT("{auth_authen}")},   /* MAIL */
	{3, STR_INIT("i")},               /* RCPT */
	{5, STR_INIT("i")},               /* end of the message */
	{6, STR_INIT("i")},               /* end of the header */
};

void wire_put_terms(struct wire_out *out, const struct wire_terms *terms)
{
	bool set_macros = (terms->actions & WIRE_SET_MACROS) != 0;
	size_t n = 12;
	for (size_t i = 0; set_macros && i < WIRE_MACRO_LISTS; i++)
		n += 4 + wire_macro_lists[i].names.n + 1;
	char *to = put_head(out, 'O', n);
	if (to == NULL)
		return;
	to = put_u32(to, terms->version);
	to = put_u32(to, terms->actions);
	to = put_u32(to, terms->protocol);
	for (size_t i = 0; set_macros && i < WIRE_MACRO_LISTS; i++) {
		to = put_u32(to, wire_macro_lists[i].stage);
		to = put_bytes(to, wire_macro_lists[i].names.p, wire_macro_lists[i].names.n + 1);
	}
}
