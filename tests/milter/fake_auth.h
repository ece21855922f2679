/* See fake_auth.c. */
#ifndef TRIMILTER_TESTS_FAKE_AUTH_H
#define TRIMILTER_TESTS_FAKE_AUTH_H

#include "auth/auth.h"

/** Messages begun and not dropped. */
unsigned fake_auth_live(void);

#endif
