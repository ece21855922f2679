/*
 * The answer packet. The question is read from the packet itself, so that the
 * sections behind it are reached: its name as written at the start, its type.
 */
#include <stdint.h>
#include <limits.h>
#include <stdlib.h>

#include "dns/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[DOMAIN_MAX + 2];
	size_t n = 0, i = 12;
	while (i < size && data[i] != 0 && data[i] < 64 && data[i] < size - i && n + data[i] + 1 < sizeof(name)) {
		if (n > 0)
			name[n++] = '.';
		memcpy(name + n, data + i + 1, data[i]);
		n += data[i];
		i += data[i] + 1u;
	}
	struct dns_question question = {DNS_TXT, str_from(name, n)};
	if (i + 2 < size) {
		static const enum dns_type types[] = {DNS_A, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA};
		for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++)
			if (data[i + 1] == 0 && data[i + 2] == (unsigned)types[k])
				question.type = types[k];
	}
	struct dns_answer *answer = packet_read(data, size, &question);
	if (answer == NULL)
		return 0;
	/* What was promised: readable records for data, a reason for failure, neither otherwise. */
	if ((answer->status == DNS_DATA) != (answer->n_records > 0) ||
		(answer->status == DNS_FAILED) != (answer->why != NULL))
		abort();
	unsigned sum = 0; /* reads each byte */
	for (size_t k = 0; k < answer->n_records; k++)
		for (size_t b = 0; b < answer->records[k].data.n; b++)
			sum += (unsigned char)answer->records[k].data.p[b];
	if (sum == UINT_MAX)
		abort();
	dns_answer_unref(answer);
	return 0;
}
