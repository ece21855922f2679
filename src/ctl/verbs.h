/*
 * The verbs of trimilterctl. Each gets its own words, argv[0] being the verb, and returns an exit status of sysexits.h.
 */
#ifndef TRIMILTER_CTL_VERBS_H
#define TRIMILTER_CTL_VERBS_H

int ctl_spf(int argc, char **argv);
int ctl_dmarc(int argc, char **argv);
int ctl_check(int argc, char **argv);
int ctl_explain(int argc, char **argv);
int ctl_sign(int argc, char **argv);
int ctl_showkeys(int argc, char **argv);
int ctl_genzone(int argc, char **argv);
int ctl_genkey(int argc, char **argv);
int ctl_testkey(int argc, char **argv);
int ctl_domain(int argc, char **argv);
int ctl_key(int argc, char **argv);
int ctl_reload(int argc, char **argv);
int ctl_conf(int argc, char **argv);
int ctl_report(int argc, char **argv);

/* Of conf. */
int ctl_conf_convert(int argc, char **argv);

/* Those of report. */
int ctl_report_list(int argc, char **argv);
int ctl_report_preview(int argc, char **argv);
int ctl_report_send(int argc, char **argv);
int ctl_report_retry(int argc, char **argv);
int ctl_report_expire(int argc, char **argv);
int ctl_report_stats(int argc, char **argv);
int ctl_report_show(int argc, char **argv);
int ctl_report_bounce(int argc, char **argv);

#endif
