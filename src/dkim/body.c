#include "dkim/body.h"

#include "dkim/canonicalize.h"

/* One canonicalization and all the hashes that its output feeds. */
struct stream {
	struct body_canonicalizer canonicalizer;
	struct sink sink;
	struct dkim_body_hash *hashes;
	size_t n_open;      /* that need more */
	size_t n_unlimited; /* that will never have enough */
};

struct dkim_body {
	struct arena *arena;
	struct stream *streams[2]; /* by enum dkim_canonicalization; NULL: not wanted */
	bool ended;
};

struct dkim_body *dkim_body_new(struct arena *arena)
{
	struct dkim_body *body = ARENA_NEW(arena, struct dkim_body);
	body->arena = arena;
	return body;
}

static void hash_text(void *object, struct str text)
{
	struct stream *stream = object;
	for (struct dkim_body_hash *hash = stream->hashes; hash != NULL; hash = hash->next) {
		if (hash->exceeded)
			continue;
		uint64_t left = hash->limit - hash->n_hashed;
		struct str counted = text.n > left ? str_head(text, (size_t)left) : text;
		sha256_add(hash->sha256, counted);
		hash->n_hashed += counted.n;
		/* Only the byte behind the limit tells that l= leaves something unsigned. */
		if (counted.n == text.n)
			continue;
		hash->exceeded = true;
		stream->n_open--;
	}
}

static struct stream *stream_of(struct dkim_body *body, enum dkim_canonicalization how)
{
	struct stream *stream = body->streams[how];
	if (stream != NULL)
		return stream;
	stream = ARENA_NEW(body->arena, struct stream);
	sink_init(&stream->sink, hash_text, stream);
	stream->canonicalizer = (struct body_canonicalizer){.how = how, .sink = &stream->sink};
	body->streams[how] = stream;
	return stream;
}

static struct dkim_body_hash *find_hash(const struct stream *stream, uint64_t limit)
{
	for (struct dkim_body_hash *hash = stream->hashes; hash != NULL; hash = hash->next)
		if (hash->limit == limit)
			return hash;
	return NULL;
}

const struct dkim_body_hash *dkim_body_find(
	const struct dkim_body *body, enum dkim_canonicalization how, uint64_t limit)
{
	const struct stream *stream = body->streams[how];
	return body->ended && stream != NULL ? find_hash(stream, limit) : NULL;
}

const struct dkim_body_hash *dkim_body_want(struct dkim_body *body, enum dkim_canonicalization how, uint64_t limit)
{
	struct stream *stream = stream_of(body, how);
	struct dkim_body_hash *hash = find_hash(stream, limit);
	if (hash != NULL)
		return hash;
	hash = ARENA_NEW(body->arena, struct dkim_body_hash);
	hash->limit = limit;
	hash->sha256 = sha256_new(body->arena);
	hash->next = stream->hashes;
	stream->hashes = hash;
	stream->n_open++;
	stream->n_unlimited += limit == BODY_WHOLE;
	return hash;
}

bool dkim_body_add(struct dkim_body *body, struct str chunk)
{
	bool more = false;
	for (size_t i = 0; i < 2; i++) {
		struct stream *stream = body->streams[i];
		if (stream == NULL || stream->n_open == 0)
			continue;
		dkim_canonicalize_body(&stream->canonicalizer, chunk);
		/* Where all lengths are limited, know now whether they have been reached. */
		if (stream->n_unlimited == 0)
			sink_flush(&stream->sink);
		more = more || stream->n_open > 0;
	}
	return more;
}

void dkim_body_end(struct dkim_body *body)
{
	if (body->ended)
		return;
	body->ended = true;
	for (size_t i = 0; i < 2; i++) {
		struct stream *stream = body->streams[i];
		if (stream == NULL)
			continue;
		/* Where all had enough, chunks may have been left out: what is held back means nothing. */
		if (stream->n_open > 0)
			dkim_canonicalize_body_end(&stream->canonicalizer);
		for (struct dkim_body_hash *hash = stream->hashes; hash != NULL; hash = hash->next)
			hash->usable = sha256_end(hash->sha256, hash->digest);
	}
}
