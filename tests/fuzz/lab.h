/*
 * What targets that judge whole messages share: a service over the real decision and a small zone.
 */
#ifndef TRIMILTER_TESTS_FUZZ_LAB_H
#define TRIMILTER_TESTS_FUZZ_LAB_H

#include "auth/runtime.h"
#include "milter/service.h"

/**
 * With limits low enough to be reached, and every answer at hand: nothing is ever waited for. @adjust may change the
 * options further; NULL: not. Lives until the process ends; whatever fails ends it.
 */
struct service *lab_service(const char *program, void (*adjust)(struct runtime *runtime));

/** Of what was begun nothing is left, or the process ends. */
void lab_check_idle(const struct service *service);

#endif
