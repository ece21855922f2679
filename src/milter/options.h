/*
 * What can be set for the daemon. Filled by config from options.def.
 */
#ifndef TRIMILTER_MILTER_OPTIONS_H
#define TRIMILTER_MILTER_OPTIONS_H

#include <stdbool.h>

#include "base/str.h"

enum milter_engine { MILTER_ENGINE_LIBMILTER, MILTER_ENGINE_NATIVE };

struct milter_options {
	struct str socket;            /* Socket, normalised: "inet:PORT@HOST", "inet6:PORT@HOST", "local:PATH" */
	enum milter_engine engine;    /* MilterEngine */
	struct str user;              /* UserID: "user" or "user:group"; empty: stay */
	bool sandbox;                 /* Sandbox: only the system calls that are needed */
	struct str pid_file;          /* PidFile; empty: none */
	unsigned umask;               /* UMask; -1u: not set */
	bool background;              /* Background; -f wins */
	bool use_syslog;              /* Syslog */
	struct str syslog_facility;   /* SyslogFacility, "mail" */
	bool syslog_success;          /* SyslogSuccess: a line for each accepted message too */
	bool debug;                   /* LogLevel debug */
	unsigned statistics_interval; /* StatisticsInterval; seconds; 0: no line */
	unsigned dataset_refresh;     /* DataSetRefresh; seconds; 0: at a reload alone */
};

#endif
