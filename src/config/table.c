#include <stddef.h>

#include "config/values.h"

/* The C type that each type of option needs its member to have. */
#define X(name, c_type) typedef c_type c_type_of_##name;
OPTION_TYPES(X)
#undef X

/* A row whose member has another type does not compile. */
#define SECTION(title)
#define OPTION(module, member, name, type, default_text, min, max, unit, when, origin, help)                           \
	_Static_assert(_Generic(((struct config_values *)0)->module.member, c_type_of_##type : 1, default : 0),        \
		"option " name ": its type does not fit the member");
#define KNOWN(name, treatment, harmless, origin, help)
#include "config/options.def"
#undef SECTION
#undef OPTION
#undef KNOWN

/* Where a list's number of elements stands. */
#define NO_COUNT(module, member) 0
#define COUNT(module, member) offsetof(struct config_values, module.n_##member)
#define COUNT_BOOL NO_COUNT
#define COUNT_UNSIGNED NO_COUNT
#define COUNT_CLAMP NO_COUNT
#define COUNT_LIMIT NO_COUNT
#define COUNT_SECONDS NO_COUNT
#define COUNT_SIZE NO_COUNT
#define COUNT_SIZE_LIMIT NO_COUNT
#define COUNT_STRING NO_COUNT
#define COUNT_PATH NO_COUNT
#define COUNT_DATASET NO_COUNT
#define COUNT_SOCKET NO_COUNT
#define COUNT_USER NO_COUNT
#define COUNT_FACILITY NO_COUNT
#define COUNT_SELECTOR NO_COUNT
#define COUNT_AUTHSERV_ID NO_COUNT
#define COUNT_UMASK NO_COUNT
#define COUNT_MODE NO_COUNT
#define COUNT_ENGINE NO_COUNT
#define COUNT_LOG_LEVEL NO_COUNT
#define COUNT_CANONICALIZATION NO_COUNT
#define COUNT_QUARANTINE_ACTION NO_COUNT
#define COUNT_ON_ERROR NO_COUNT
#define COUNT_DISCOVERY NO_COUNT
#define COUNT_FAILURE_ACTION NO_COUNT
#define COUNT_REJECT_STRING NO_COUNT
#define COUNT_SPF_RESULTS NO_COUNT
#define COUNT_REPORT_FORMAT NO_COUNT
#define COUNT_ADDRESS NO_COUNT
#define COUNT_SERVER NO_COUNT
#define COUNT_STORE NO_COUNT
#define COUNT_LIST COUNT
#define COUNT_DOMAINS COUNT
#define COUNT_HEADERS COUNT
#define COUNT_NAMESERVERS COUNT
#define COUNT_ADDRESSES COUNT
#define COUNT_COMMAND COUNT

#define SECTION(title) {.section = title},
#define OPTION(module_, member, name_, type_, default_text_, min_, max_, unit_, when_, origin_, help_)                 \
	{                                                                                                              \
		.name = name_,                                                                                         \
		.module = #module_,                                                                                    \
		.treatment = OPTION_SUPPORTED,                                                                         \
		.type = OPTION_##type_,                                                                                \
		.when = OPTION_##when_,                                                                                \
		.origin = OPTION_##origin_,                                                                            \
		.offset = offsetof(struct config_values, module_.member),                                              \
		.count_offset = COUNT_##type_(module_, member),                                                        \
		.min = min_,                                                                                           \
		.max = max_,                                                                                           \
		.unit = unit_,                                                                                         \
		.default_text = default_text_,                                                                         \
		.help = help_,                                                                                         \
	},
#define KNOWN(name_, treatment_, harmless_, origin_, help_)                                                            \
	{                                                                                                              \
		.name = name_,                                                                                         \
		.treatment = OPTION_##treatment_,                                                                      \
		.origin = OPTION_##origin_,                                                                            \
		.harmless = harmless_,                                                                                 \
		.help = help_,                                                                                         \
	},

const struct option_row option_rows[] = {
#include "config/options.def"
};

const size_t n_option_rows = sizeof(option_rows) / sizeof(*option_rows);

const struct option_row *option_find(struct str name)
{
	for (size_t i = 0; i < n_option_rows; i++)
		if (option_rows[i].name != NULL && str_ieq(str_of(option_rows[i].name), name))
			return &option_rows[i];
	return NULL;
}
