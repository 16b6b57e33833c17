/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Runs a fuzzer over files of inputs, and over pieces of them: a test without a fuzzing engine.
 *
 *  usage: replay-NAME DIRECTORY-OR-FILE... */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

enum { INPUT_MAX = 1 << 16, NAME_LENGTH_MAX = 4096 };

static int cases;
static int failures;

/* The input in memory of exactly its size, so that a sanitizer sees what reads beyond it. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);

    if (copy == NULL)
        abort();
    memcpy(copy + 1, data, size);
    (void)LLVMFuzzerTestOneInput(copy + 1, size);
    free(copy);
}

static void replay_file(const char *path)
{
    static uint8_t data[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    const char *name = strrchr(path, '/');
    size_t size = 0;

    cases++;
    if (file != NULL) {
        size = fread(data, 1, sizeof(data), file);
        (void)fclose(file);
        fprintf(stderr, "# %s\n", path); /* so that it is known which one a crash is of */
        (void)alarm(60);
        for (size_t left = size; left > 0; left -= left < 8 ? 1 : left / 8)
            run(data, left);
        run(data, 0);
    }
    failures += file == NULL;
    printf("%s %d - %s\n", file != NULL ? "ok" : "not ok", cases, name != NULL ? name + 1 : path);
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_directory(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, is_shown, alphasort);
    char name[NAME_LENGTH_MAX];

    for (int i = 0; i < count; i++) {
        if (snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name) < (int)sizeof(name))
            replay_file(name);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat status;

        if (stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode))
            replay_directory(argv[i]);
        else
            replay_file(argv[i]);
    }
    printf("1..%d\n", cases);
    return failures > 0 || cases == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
