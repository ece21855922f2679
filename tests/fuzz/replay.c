/*
 * Runs a fuzz target over each file of a directory, for builds without libFuzzer.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	static uint8_t data[1 << 20];
	size_t n = fread(data, 1, sizeof(data), file);
	fclose(file);
	/* A copy of the exact size, so that reading past the end is seen. */
	uint8_t *copy = malloc(n > 0 ? n : 1);
	if (copy == NULL)
		return 1;
	memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
		return 64;
	}
	DIR *directory = opendir(argv[1]);
	if (directory == NULL) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 66;
	}
	int n = 0, failed = 0;
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		char path[4096];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		failed |= replay_file(path);
		n++;
	}
	closedir(directory);
	printf("%d inputs replayed\n", n);
	return failed || n == 0;
}
