#include "report/schema.h"

#include "base/buf.h"

/*
 * Once a version is released it never changes again: what is to be different goes into the next one. Integers are
 * BIGINT, for parameters are 64 bits wide. An index of PostgreSQL takes no text of more than 2,700 bytes, so what
 * others may have made long (records, rows) is found by a hash.
 */
static const char *const version_1[] = {
	/* How far each file of the spool has come. */
	"CREATE TABLE source (name TEXT PRIMARY KEY, position BIGINT NOT NULL, changed BIGINT NOT NULL)",

	/*
	 * A report to be. hash: of policy and period; NULL from when the report is begun, so that what comes late
	 * counts in a batch of its own. reported: when; 0: not yet.
	 */
	"CREATE TABLE batch (id {id}, hash {bytes} UNIQUE, domain TEXT NOT NULL, record TEXT NOT NULL,"
	" discovery TEXT NOT NULL, period BIGINT NOT NULL, messages BIGINT NOT NULL, reported BIGINT NOT NULL DEFAULT "
	"0)",
	"CREATE INDEX batch_open ON batch (period) WHERE hash IS NOT NULL",
	"CREATE INDEX batch_unreported ON batch (id) WHERE reported = 0",
	"CREATE INDEX batch_reported ON batch (reported) WHERE reported > 0",

	/* data: the row as JSON, hash: of that. */
	"CREATE TABLE batch_row (batch BIGINT NOT NULL REFERENCES batch (id) ON DELETE CASCADE, hash {bytes} NOT NULL,"
	" data TEXT NOT NULL, messages BIGINT NOT NULL, PRIMARY KEY (batch, hash))",

	/* batch NULL: a failure report. */
	"CREATE TABLE report (id {id}, batch BIGINT REFERENCES batch (id) ON DELETE CASCADE,"
	" report_id TEXT NOT NULL UNIQUE, domain TEXT NOT NULL, first_second BIGINT NOT NULL, last_second BIGINT NOT "
	"NULL,"
	" messages BIGINT NOT NULL, row_count BIGINT NOT NULL, built BIGINT NOT NULL, file_name TEXT NOT NULL,"
	" subject TEXT NOT NULL, data {bytes} NOT NULL)",
	"CREATE INDEX report_batch ON report (batch)",
	"CREATE INDEX report_of_failure ON report (built) WHERE batch IS NULL",
	"CREATE INDEX report_domain ON report (domain)",

	/* state: enum store_delivery_state. claimed: until when somebody is at it. */
	"CREATE TABLE delivery (id {id}, report BIGINT NOT NULL REFERENCES report (id) ON DELETE CASCADE,"
	" address TEXT NOT NULL, state BIGINT NOT NULL, attempts BIGINT NOT NULL, next_attempt BIGINT NOT NULL,"
	" claimed BIGINT NOT NULL, created BIGINT NOT NULL, changed BIGINT NOT NULL, note TEXT NOT NULL)",
	"CREATE INDEX delivery_report ON delivery (report)",
	"CREATE INDEX delivery_pending ON delivery (next_attempt) WHERE state = 0",

	/* data: the line of the spool. */
	"CREATE TABLE failure (id {id}, record_id TEXT NOT NULL UNIQUE, time BIGINT NOT NULL, claimed BIGINT NOT NULL,"
	" data TEXT NOT NULL)",
	"CREATE TABLE quota (domain TEXT PRIMARY KEY, hour BIGINT NOT NULL, sent BIGINT NOT NULL, suppressed BIGINT "
	"NOT NULL)",

	"CREATE TABLE bounce (address TEXT PRIMARY KEY, bounces BIGINT NOT NULL, suppressed_until BIGINT NOT NULL,"
	" note TEXT NOT NULL)",
	"CREATE TABLE lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, expires BIGINT NOT NULL)",
};

const struct schema_version schema_versions[] = {
	{version_1, sizeof(version_1) / sizeof(*version_1)},
};
const size_t schema_n_versions = sizeof(schema_versions) / sizeof(*schema_versions);

static const struct {
	const char *word, *sqlite, *postgresql;
} words[] = {
	/* Never used twice, not even after the row with the highest one is gone: report ids are made of them. */
	{"{id}", "INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"},
	{"{bytes}", "BLOB", "BYTEA"},
};

static const char *statement_for(struct arena *arena, enum db_kind kind, const char *statement)
{
	struct buf sql = buf_in(arena);
	for (const char *p = statement; *p != '\0';) {
		size_t i = 0;
		while (i < sizeof(words) / sizeof(*words) && !str_starts(str_of(p), str_of(words[i].word)))
			i++;
		if (i == sizeof(words) / sizeof(*words)) {
			buf_add_char(&sql, *p++);
			continue;
		}
		buf_add_cstr(&sql, kind == DB_SQLITE ? words[i].sqlite : words[i].postgresql);
		p += strlen(words[i].word);
	}
	return buf_cstr(&sql);
}

static enum err version_of(struct db *db, int64_t *ret_version)
{
	*ret_version = 0;
	db_query(db, "SELECT version FROM schema_version", DB_NO_VALUES);
	while (db_next(db))
		*ret_version = db_column_int(db, 0);
	return db_end(db);
}

static enum err migrate_from(
	struct db *db, struct arena *arena, int64_t version, const struct schema_version *versions, size_t n)
{
	enum err err = ERR_OK;
	for (size_t v = (size_t)version; v < n; v++)
		for (size_t i = 0; err == ERR_OK && i < versions[v].n; i++)
			err = db_script(db, statement_for(arena, db_kind(db), versions[v].statements[i]));
	if (err == ERR_OK)
		err = db_run(db, "DELETE FROM schema_version", DB_NO_VALUES);
	if (err == ERR_OK)
		err = db_run(db, "INSERT INTO schema_version (version) VALUES ($1)", DB_VALUES(db_int((int64_t)n)));
	return err;
}

static enum err refuse_newer(struct db *db, int64_t version, size_t n)
{
	return db_refuse(db,
		"its tables are of version %lld, made by a newer release of this program; this one knows versions up "
		"to "
		"%zu: upgrade it, or name another store",
		(long long)version, n);
}

/* In a transaction that keeps all others out. */
static enum err migrate_alone(struct db *db, const struct schema_version *versions, size_t n)
{
	int64_t version = 0;
	enum err err = db_lock(db);
	if (err == ERR_OK)
		err = db_script(db, "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)");
	if (err == ERR_OK)
		err = version_of(db, &version);
	if (err != ERR_OK || version == (int64_t)n)
		return err;
	if (version > (int64_t)n)
		return refuse_newer(db, version, n);
	struct arena *arena = arena_new(0);
	if (arena == NULL)
		return db_refuse(db, "out of memory");
	err = migrate_from(db, arena, version, versions, n);
	arena_free(arena);
	return err;
}

enum err schema_migrate(struct db *db, const struct schema_version *versions, size_t n)
{
	int64_t version;
	/* Most often all is well, and nobody need wait for a lock to hear it. */
	if (version_of(db, &version) == ERR_OK && version == (int64_t)n)
		return ERR_OK;
	enum err err = db_begin(db);
	if (err == ERR_OK)
		err = migrate_alone(db, versions, n);
	if (err == ERR_OK)
		return db_commit(db);
	db_rollback(db);
	return err;
}
