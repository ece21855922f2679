/*
 * Words of Perl, as far as amavisd.conf needs them: enough to find the statements, and to see in them what is a
 * string, a number, a name or a sign. Nothing is evaluated; what cannot be told for certain is PERL_OTHER. Pure.
 */
#ifndef TRIMILTER_CONVERT_PERL_H
#define TRIMILTER_CONVERT_PERL_H

#include "base/diag.h"

enum perl_kind {
	PERL_END,
	PERL_WORD,     /* bare: dkim_key */
	PERL_VARIABLE, /* with its sigil: $mydomain, @mynetworks */
	PERL_STRING,   /* without quotes, escapes undone */
	PERL_NUMBER,
	PERL_LIST,  /* qw(...): the text between */
	PERL_SIGN,  /* one of ( ) { } [ ] , ; = * \ or "=>" */
	PERL_OTHER, /* an expression, a pattern, a string with variables in it */
};

struct perl_word {
	enum perl_kind kind;
	struct str text;
	unsigned line;
};

/** All words of @text, the last one of kind PERL_END. An error in @diag where it cannot be read to its end. In @arena.
 */
const struct perl_word *perl_words(struct arena *arena, struct str text, const char *file, struct diag *diag);

#endif
