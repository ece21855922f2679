/*
 * trimilterctl dmarc: what would DMARC say of this author domain, given these results?
 */
#include <stdio.h>
#include <sysexits.h>

#include "ctl/command_line.h"
#include "ctl/verbs.h"
#include "dmarc/psl.h"

#define ROUNDS_MAX 64
#define IDENTIFIERS_MAX 64

static const char usage[] =
	"Usage: trimilterctl dmarc [--discovery treewalk|psl] [--spf DOMAIN=RESULT]... [--dkim DOMAIN=RESULT]...\n"
	"                          [OPTION]... AUTHOR-DOMAIN\n"
	"Evaluate DMARC (RFC 9989) for a message whose From is at AUTHOR-DOMAIN.\n\n"
	"  --discovery HOW          treewalk (RFC 9989, the default) or psl (RFC 7489, public suffix list)\n"
	"  --spf DOMAIN=RESULT      an SPF result, such as example.com=pass; may be repeated\n"
	"  --dkim DOMAIN=RESULT     a DKIM result; may be repeated\n" CTL_COMMON_USAGE;

enum { OPTION_DISCOVERY = CTL_OPTION_OWN, OPTION_SPF, OPTION_DKIM };

static const struct option options[] = {
	{"discovery", required_argument, NULL, OPTION_DISCOVERY},
	{"spf", required_argument, NULL, OPTION_SPF},
	{"dkim", required_argument, NULL, OPTION_DKIM},
	{"help", no_argument, NULL, 'h'},
	CTL_COMMON_OPTIONS,
	{NULL, 0, NULL, 0},
};

struct request {
	struct ctl ctl;
	const char *discovery;
	struct dmarc_input input;
	struct dmarc_dkim_input dkim[IDENTIFIERS_MAX];
	struct str author_domain;
};

/* A name that is none aligns with nothing; it is kept as it is, so that the evaluation says so. */
static struct str domain_of(struct ctl *ctl, struct str text)
{
	struct str domain;
	return domain_normalize(ctl->arena, text, &domain) ? domain : arena_dup_lower(ctl->arena, text);
}

static bool split_result(const char *argument, struct str *ret_domain, struct str *ret_word)
{
	struct str text = str_of(argument);
	ptrdiff_t at = str_rindex(text, '=');
	if (at < 0)
		return false;
	*ret_domain = str_head(text, (size_t)at);
	*ret_word = str_skip(text, (size_t)at + 1);
	return true;
}

static int add_spf(struct request *request, const char *argument)
{
	struct str domain, word;
	if (!split_result(argument, &domain, &word))
		return ctl_usage_error("dmarc", "--spf: \"%s\" is not DOMAIN=RESULT", argument);
	for (int status = SPF_NONE; status <= SPF_PERMERROR; status++) {
		if (!str_ieq(word, str_of(spf_status_text((enum spf_status)status))))
			continue;
		/* There is one MAIL FROM: of several results a pass is the one that can matter. */
		if (request->input.spf_domain.n > 0 && status != SPF_PASS)
			return EX_OK;
		request->input.spf_domain = domain_of(&request->ctl, domain);
		request->input.spf_status = (enum spf_status)status;
		return EX_OK;
	}
	return ctl_usage_error("dmarc", "--spf: \"%.*s\" is not a result of SPF", STR_ARG(word));
}

static int add_dkim(struct request *request, const char *argument)
{
	struct str domain, word;
	if (!split_result(argument, &domain, &word))
		return ctl_usage_error("dmarc", "--dkim: \"%s\" is not DOMAIN=RESULT", argument);
	if (request->input.n_dkim == IDENTIFIERS_MAX)
		return ctl_usage_error("dmarc", "--dkim: more than %d", IDENTIFIERS_MAX);
	for (int status = DKIM_NONE; status <= DKIM_PERMERROR; status++) {
		if (!str_ieq(word, str_of(dkim_status_text((enum dkim_status)status))))
			continue;
		request->dkim[request->input.n_dkim++] = (struct dmarc_dkim_input){
			domain_of(&request->ctl, domain), (enum dkim_status)status, status == DKIM_PASS};
		return EX_OK;
	}
	return ctl_usage_error("dmarc", "--dkim: \"%.*s\" is not a result of DKIM", STR_ARG(word));
}

static void choose_discovery(struct request *request)
{
	struct dmarc_options *dmarc = &request->ctl.runtime->dmarc;
	const char *name = request->discovery;
	if (name != NULL && strcmp(name, "psl") == 0)
		dmarc->discovery = DMARC_PSL;
	else if (name != NULL)
		dmarc->discovery = DMARC_TREE_WALK;
}

static void set_author(struct request *request, const char *argument)
{
	struct dmarc_input *input = &request->input;
	if (domain_normalize(request->ctl.arena, str_of(argument), &request->author_domain)) {
		input->author = AUTHOR_ONE;
		input->author_domains = &request->author_domain;
		input->n_author_domains = 1;
	} else {
		input->author = AUTHOR_MALFORMED;
		input->author_reason = "author domain is not a domain name";
	}
	input->dkim = request->dkim;
}

static void show(struct request *request, const struct dmarc_result *result)
{
	struct ctl *ctl = &request->ctl;
	struct buf out = buf_in(ctl->arena);
	if (ctl->json) {
		struct json json = json_to(&out);
		ctl_json_dmarc(&json, NULL, &ctl->runtime->dmarc, &request->input, result);
	} else {
		ctl_text_dmarc(&out, &ctl->runtime->dmarc, &request->input, result);
		out.n--;
	}
	ctl_print(&out);
}

static int evaluate(struct request *request, const char *author)
{
	struct ctl *ctl = &request->ctl;
	struct dmarc_result result = {0};
	struct dmarc_suffixes *suffixes = NULL;
	int status = ctl_open(ctl);
	if (status != EX_OK)
		return status;
	choose_discovery(request);
	struct dmarc_options *dmarc = &ctl->runtime->dmarc;
	if (dmarc->discovery == DMARC_PSL && dmarc->suffixes == NULL) {
		dmarc->suffixes = suffixes = dmarc_suffixes_load(NULL);
		if (suffixes == NULL) {
			fputs("trimilterctl dmarc: no public suffix list on this system; install the package "
			      "publicsuffix\n",
				stderr);
			return EX_UNAVAILABLE;
		}
	}
	set_author(request, author);
	struct answers *answers = answers_new(ctl->arena);
	for (int round = 0; !dmarc_evaluate(ctl->arena, dmarc, &request->input, answers, &result); round++) {
		if (round == ROUNDS_MAX)
			answers_give_up(answers);
		dns_fetch(ctl->dns, answers, ctl->dns_timeout_ms);
	}
	show(request, &result);
	dmarc_suffixes_free(suffixes);
	return EX_OK;
}

static int take_option(void *context, int option, const char *argument)
{
	struct request *request = context;
	switch (option) {
	case OPTION_DISCOVERY:
		request->discovery = argument;
		return strcmp(argument, "psl") == 0 || strcmp(argument, "treewalk") == 0
			       ? EX_OK
			       : ctl_usage_error("dmarc", "--discovery: \"%s\" is neither treewalk nor psl", argument);
	case OPTION_SPF:
		return add_spf(request, argument);
	case OPTION_DKIM:
		return add_dkim(request, argument);
	default:
		return CTL_UNKNOWN_OPTION;
	}
}

static const struct ctl_command command = {"dmarc", usage, "c:h", options, take_option};

int ctl_dmarc(int argc, char **argv)
{
	struct request request = {0};
	ctl_init(&request.ctl);
	int status = ctl_options(&request.ctl, &command, argc, argv, &request);
	if (status != CTL_GO_ON)
		return ctl_close(&request.ctl, status);
	if (optind + 1 != argc)
		return ctl_close(&request.ctl, ctl_usage_error("dmarc", "exactly one AUTHOR-DOMAIN is needed"));
	return ctl_close(&request.ctl, evaluate(&request, argv[optind]));
}
