/*
 * The floor: what any filter on libmilter pays to verify one signature, and nothing else.
 *
 *	floor [-i] SOCKET
 *
 * All no-reply bits and no macros; relaxed canonicalisation of all header fields and of the body, SHA-256 of both,
 * one RSA-2048 verification with a key that is parsed once (the modular exponentiation is the same whether the
 * signature fits or not, and here it does not). It asks no DNS, decides nothing, keeps nothing, logs nothing.
 * With -i it inserts a results field of the usual size, which no real filter can leave out.
 */
#include <ctype.h>
#include <libmilter/mfapi.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROTOCOL                                                                                                       \
	(SMFIP_NR_CONN | SMFIP_NR_HELO | SMFIP_NR_MAIL | SMFIP_NR_RCPT | SMFIP_NR_HDR | SMFIP_NR_EOH | SMFIP_NR_BODY | \
		SMFIP_NODATA | SMFIP_NOUNKNOWN | SMFIP_HDR_LEADSPC)

struct message {
	EVP_MD_CTX *header, *body;
	size_t n_blank_lines; /* at the end of the body so far */
	bool in_space, line_empty;
};

static EVP_PKEY *key;
static const EVP_MD *sha256;
static unsigned char signature[256];
static bool insert;

static struct message *message_of(SMFICTX *ctx)
{
	struct message *message = smfi_getpriv(ctx);
	if (message == NULL) {
		message = calloc(1, sizeof(*message));
		message->header = EVP_MD_CTX_new();
		message->body = EVP_MD_CTX_new();
		smfi_setpriv(ctx, message);
	}
	return message;
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long protocol, unsigned long reserved2,
	unsigned long reserved3, unsigned long *ret_actions, unsigned long *ret_protocol, unsigned long *ret_reserved2,
	unsigned long *ret_reserved3)
{
	(void)ctx, (void)actions, (void)reserved2, (void)reserved3;
	*ret_actions = SMFIF_ADDHDRS;
	*ret_protocol = protocol & PROTOCOL;
	*ret_reserved2 = *ret_reserved3 = 0;
	return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *ctx, char *name, _SOCK_ADDR *address)
{
	(void)ctx, (void)name, (void)address;
	return SMFIS_NOREPLY;
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
	(void)ctx, (void)name;
	return SMFIS_NOREPLY;
}

static sfsistat on_mail(SMFICTX *ctx, char **arguments)
{
	struct message *message = message_of(ctx);
	(void)arguments;
	EVP_DigestInit_ex2(message->header, sha256, NULL);
	EVP_DigestInit_ex2(message->body, sha256, NULL);
	message->in_space = false;
	message->line_empty = true;
	message->n_blank_lines = 0;
	return SMFIS_NOREPLY;
}

static sfsistat on_rcpt(SMFICTX *ctx, char **arguments)
{
	(void)ctx, (void)arguments;
	return SMFIS_NOREPLY;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	struct message *message = message_of(ctx);
	char buffer[1024];
	size_t n = 0;
	bool space = false;
	for (; *name != '\0'; name++) {
		buffer[n++] = (char)tolower((unsigned char)*name);
		if (n == sizeof(buffer) - 4) {
			EVP_DigestUpdate(message->header, buffer, n);
			n = 0;
		}
	}
	buffer[n++] = ':';
	for (value += strspn(value, " \t\n"); *value != '\0'; value++) {
		if (*value == ' ' || *value == '\t' || *value == '\r' || *value == '\n') {
			space = true;
			continue;
		}
		if (space)
			buffer[n++] = ' ';
		space = false;
		buffer[n++] = *value;
		if (n >= sizeof(buffer) - 4) {
			EVP_DigestUpdate(message->header, buffer, n);
			n = 0;
		}
	}
	buffer[n++] = '\r';
	buffer[n++] = '\n';
	EVP_DigestUpdate(message->header, buffer, n);
	return SMFIS_NOREPLY;
}

static sfsistat on_eoh(SMFICTX *ctx)
{
	(void)ctx;
	return SMFIS_NOREPLY;
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *chunk, size_t size)
{
	struct message *message = message_of(ctx);
	unsigned char *buffer = malloc(2 * size + 4 * message->n_blank_lines + 8), *to = buffer;
	for (const unsigned char *at = chunk, *end = chunk + size; at < end; at++) {
		if (*at == '\r')
			continue;
		if (*at == '\n') {
			if (message->line_empty) {
				message->n_blank_lines++;
			} else {
				*to++ = '\r';
				*to++ = '\n';
			}
			message->line_empty = true;
			message->in_space = false;
			continue;
		}
		if (*at == ' ' || *at == '\t') {
			message->in_space = true;
			continue;
		}
		for (; message->n_blank_lines > 0; message->n_blank_lines--) {
			*to++ = '\r';
			*to++ = '\n';
		}
		if (message->in_space)
			*to++ = ' ';
		message->in_space = message->line_empty = false;
		/* The words of a line at once. */
		const unsigned char *word = at;
		while (at<end && * at> ' ')
			at++;
		if (at == word)
			at++;
		memcpy(to, word, (size_t)(at - word));
		to += at - word;
		at--;
	}
	EVP_DigestUpdate(message->body, buffer, (size_t)(to - buffer));
	free(buffer);
	return SMFIS_NOREPLY;
}

static sfsistat on_end(SMFICTX *ctx)
{
	struct message *message = message_of(ctx);
	unsigned char digest[32];
	EVP_DigestFinal_ex(message->body, digest, NULL);
	EVP_DigestUpdate(message->header, digest, sizeof(digest));
	EVP_DigestFinal_ex(message->header, digest, NULL);
	EVP_PKEY_CTX *verify = EVP_PKEY_CTX_new(key, NULL);
	EVP_PKEY_verify_init(verify);
	EVP_PKEY_CTX_set_rsa_padding(verify, RSA_PKCS1_PADDING);
	EVP_PKEY_CTX_set_signature_md(verify, sha256);
	EVP_PKEY_verify(verify, signature, sizeof(signature), digest, sizeof(digest));
	EVP_PKEY_CTX_free(verify);
	if (insert) {
		static char value[] = " floor.example.net;\n\tdkim=none;\n\tspf=none smtp.mailfrom=a@example.org;"
				      "\n\tdmarc=none header.from=example.org policy.dmarc=none";
		smfi_insheader(ctx, 0, (char[]){"Authentication-Results"}, value);
	}
	return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
	struct message *message = smfi_getpriv(ctx);
	if (message != NULL) {
		EVP_MD_CTX_free(message->header);
		EVP_MD_CTX_free(message->body);
		free(message);
	}
	smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

int main(int argc, char **argv)
{
	int option;
	while ((option = getopt(argc, argv, "i")) == 'i')
		insert = true;
	if (option != -1 || argc - optind != 1) {
		fputs("usage: floor [-i] SOCKET\n", stderr);
		return 64;
	}
	size_t n = sizeof(signature);
	unsigned char digest[32] = {0};
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	key = EVP_RSA_gen(2048);
	EVP_PKEY_CTX *sign = EVP_PKEY_CTX_new(key, NULL);
	EVP_PKEY_sign_init(sign);
	EVP_PKEY_CTX_set_rsa_padding(sign, RSA_PKCS1_PADDING);
	EVP_PKEY_CTX_set_signature_md(sign, sha256);
	EVP_PKEY_sign(sign, signature, &n, digest, sizeof(digest));
	EVP_PKEY_CTX_free(sign);
	struct smfiDesc description = {
		.xxfi_name = (char[]){"floor"},
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = SMFIF_ADDHDRS,
		.xxfi_connect = on_connect,
		.xxfi_helo = on_helo,
		.xxfi_envfrom = on_mail,
		.xxfi_envrcpt = on_rcpt,
		.xxfi_header = on_header,
		.xxfi_eoh = on_eoh,
		.xxfi_body = on_body,
		.xxfi_eom = on_end,
		.xxfi_close = on_close,
		.xxfi_negotiate = on_negotiate,
	};
	smfi_setmaxdatasize((size_t)1024 * 1024);
	if (smfi_register(description) != MI_SUCCESS || smfi_setconn(argv[optind]) != MI_SUCCESS ||
		smfi_setbacklog(1024) != MI_SUCCESS)
		return 70;
	return smfi_main();
}
