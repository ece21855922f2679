/* Whatever a client says in HELO, even where an MTA writes it down unchecked: it is never taken for another client. */
#include <stdlib.h>

#include "base/buf.h"
#include "message/received.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		const char *before, *after;
	} forms[] = {
		{" from ", " (unknown [192.0.2.1]) by mx.example (Postfix) with ESMTP id 1; Tue, 14 Nov 2023 22:13:20 "
			   "+0000"},
		{" from ", " ([192.0.2.1]) by mx.example (8.17.1/8.17.1) with ESMTPS id 1 for <a@b>; Tue, 14 Nov 2023"},
		{" from [192.0.2.1] (helo=", ") by mx.example with esmtp (Exim 4.96) id 1; Tue, 14 Nov 2023"},
		{" from ",
			" (192.0.2.1) by ex.example (10.0.0.1) with Microsoft SMTP Server id 15.1; Tue, 14 Nov 2023"},
	};
	struct arena *arena = arena_new(0);
	struct str bytes = str_from((const char *)data, size);
	struct received received;
	struct ip client;
	ip_parse(STR("192.0.2.1"), &client);
	if (received_parse(arena, bytes, &received) == NULL)
		check(received.client.family != IP_NONE && received.helo.n > 0);
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		struct buf field = buf_in(arena);
		buf_add_cstr(&field, forms[i].before);
		buf_add(&field, bytes);
		buf_add_cstr(&field, forms[i].after);
		if (received_parse(arena, buf_str(&field), &received) == NULL)
			check(ip_eq(&received.client, &client));
	}
	arena_free(arena);
	return 0;
}
