/*
 * The floor: what any filter on libmilter pays to verify one signature, and nothing else.
 *
 *	floor [-i] [-s KEY] SOCKET
 *
 * All no-reply bits and no macros; relaxed canonicalisation of all header fields and of the body, SHA-256 of both,
 * one RSA-2048 verification with a key that is parsed once (the modular exponentiation is the same whether the
 * signature fits or not, and here it does not). It asks no DNS, decides nothing, keeps nothing, logs nothing.
 * With -i it inserts a results field of the usual size, which no real filter can leave out; with -s it signs instead
 * of verifying, with the RSA or Ed25519 key in the PEM file KEY.
 */
#include <ctype.h>
#include <libmilter/mfapi.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
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
};

static EVP_PKEY *key;
static const EVP_MD *sha256;
static unsigned char signature[256];
static bool insert, signs;

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

/* Nothing to change within the line; written so that the compiler can take many bytes at once. */
static bool is_clean(const unsigned char *line, size_t n)
{
	unsigned bad = 0;
	for (size_t i = 0; i + 1 < n; i++)
		bad |= (unsigned)(line[i] == '\t') | ((unsigned)(line[i] == ' ') & (unsigned)(line[i + 1] == ' '));
	return bad == 0 && (n == 0 || (line[n - 1] != ' ' && line[n - 1] != '\t'));
}

static void hash_line(struct message *message, const unsigned char *line, size_t n)
{
	char buffer[1024];
	size_t out = 0;
	bool space = false;
	for (size_t i = 0; i < n; i++) {
		if (line[i] == ' ' || line[i] == '\t') {
			space = true;
			continue;
		}
		if (space)
			buffer[out++] = ' ';
		space = false;
		buffer[out++] = (char)line[i];
		if (out >= sizeof(buffer) - 4) {
			EVP_DigestUpdate(message->body, buffer, out);
			out = 0;
		}
	}
	buffer[out++] = '\r';
	buffer[out++] = '\n';
	EVP_DigestUpdate(message->body, buffer, out);
}

/* Lines are taken to end where the chunk does: good enough for a floor. Clean ones are hashed where they lie. */
static sfsistat on_body(SMFICTX *ctx, unsigned char *chunk, size_t size)
{
	struct message *message = message_of(ctx);
	const unsigned char *at = chunk, *end = chunk + size, *clean = chunk;
	while (at < end) {
		const unsigned char *newline = memchr(at, '\n', (size_t)(end - at));
		const unsigned char *next = newline != NULL ? newline + 1 : end;
		size_t n = (size_t)((newline != NULL ? newline : end) - at);
		if (n > 0 && at[n - 1] == '\r')
			n--;
		if (!is_clean(at, n)) {
			EVP_DigestUpdate(message->body, clean, (size_t)(at - clean));
			hash_line(message, at, n);
			clean = next;
		}
		at = next;
	}
	EVP_DigestUpdate(message->body, clean, (size_t)(end - clean));
	return SMFIS_NOREPLY;
}

static void verify_digest(const unsigned char *digest, size_t n)
{
	EVP_PKEY_CTX *verify = EVP_PKEY_CTX_new(key, NULL);
	EVP_PKEY_verify_init(verify);
	EVP_PKEY_CTX_set_rsa_padding(verify, RSA_PKCS1_PADDING);
	EVP_PKEY_CTX_set_signature_md(verify, sha256);
	EVP_PKEY_verify(verify, signature, sizeof(signature), digest, n);
	EVP_PKEY_CTX_free(verify);
}

static void sign_digest(const unsigned char *digest, size_t digest_size)
{
	unsigned char made[512];
	size_t n = sizeof(made);
	if (EVP_PKEY_is_a(key, "ED25519")) {
		EVP_MD_CTX *sign = EVP_MD_CTX_new();
		EVP_DigestSignInit(sign, NULL, NULL, NULL, key);
		EVP_DigestSign(sign, made, &n, digest, digest_size);
		EVP_MD_CTX_free(sign);
		return;
	}
	EVP_PKEY_CTX *sign = EVP_PKEY_CTX_new(key, NULL);
	EVP_PKEY_sign_init(sign);
	EVP_PKEY_CTX_set_rsa_padding(sign, RSA_PKCS1_PADDING);
	EVP_PKEY_CTX_set_signature_md(sign, sha256);
	EVP_PKEY_sign(sign, made, &n, digest, digest_size);
	EVP_PKEY_CTX_free(sign);
}

static sfsistat on_end(SMFICTX *ctx)
{
	struct message *message = message_of(ctx);
	unsigned char digest[32];
	EVP_DigestFinal_ex(message->body, digest, NULL);
	EVP_DigestUpdate(message->header, digest, sizeof(digest));
	EVP_DigestFinal_ex(message->header, digest, NULL);
	if (signs)
		sign_digest(digest, sizeof(digest));
	else
		verify_digest(digest, sizeof(digest));
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

static void make_key(void)
{
	size_t n = sizeof(signature);
	unsigned char digest[32] = {0};
	key = EVP_RSA_gen(2048);
	EVP_PKEY_CTX *sign = EVP_PKEY_CTX_new(key, NULL);
	EVP_PKEY_sign_init(sign);
	EVP_PKEY_CTX_set_rsa_padding(sign, RSA_PKCS1_PADDING);
	EVP_PKEY_CTX_set_signature_md(sign, sha256);
	EVP_PKEY_sign(sign, signature, &n, digest, sizeof(digest));
	EVP_PKEY_CTX_free(sign);
}

static bool load_key(const char *path)
{
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return false;
	key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	return key != NULL;
}

int main(int argc, char **argv)
{
	const char *key_path = NULL;
	int option;
	while ((option = getopt(argc, argv, "is:")) != -1) {
		if (option == 'i')
			insert = true;
		else if (option == 's')
			key_path = optarg;
	}
	if (argc - optind != 1) {
		fputs("usage: floor [-i] [-s KEY] SOCKET\n", stderr);
		return 64;
	}
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	signs = key_path != NULL;
	if (!signs)
		make_key();
	else if (!load_key(key_path))
		return 66;
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
