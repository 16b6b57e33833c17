/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Fuzzes what a service manager leaves in the environment and at the first descriptors: any
 *         LISTEN_PID and LISTEN_FDS, and all kinds of things that are no listening sockets. */
#include "fuzz.h"

enum { PASSED_MAX = 20, TEXT_MAX = 40 };

static struct kernel_passed passed[PASSED_MAX];
static size_t passed_count;

/* A variable of the environment: unset, a number that is right, or any text. */
static const char *set_variable(struct input *in, const char *name, unsigned long right)
{
    uint8_t kind = input_byte(in);
    char text[TEXT_MAX + 1];
    size_t length = input_number(in, TEXT_MAX);

    if (kind % 16 == 0) {
        require(unsetenv(name) == 0);
        return NULL;
    }
    if (length > in->size)
        length = in->size;
    memcpy(text, in->data, length);
    text[length] = '\0';
    in->data += length;
    in->size -= length;
    if (kind % 4 != 0)
        (void)snprintf(text, sizeof(text), "%lu", right + (kind == 255));
    require(setenv(name, text, 1) == 0);
    return getenv(name);
}

static void read_passed(struct input *in)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_INET};

    passed_count = input_number(in, PASSED_MAX);
    for (size_t i = 0; i < passed_count; i++) {
        uint8_t kind = input_byte(in);
        enum kernel_kind odd = (enum kernel_kind)(kind / 8 % 5);

        passed[i] = (struct kernel_passed){kind % 8 == 0 ? odd : KERNEL_LISTENER,
                                           kind == 240 ? AF_APPLETALK : families[kind / 16 % 4],
                                           kind % 2 != 0, kind % 3 != 0};
    }
}

static bool is_fit(const struct kernel_passed *one)
{
    return one->kind == KERNEL_LISTENER && one->family != AF_APPLETALK;
}

/* What listening must come to. */
static nb_status judge(const char *pid_text, const char *count_text, unsigned long *count)
{
    unsigned long pid;

    *count = 0;
    if (pid_text == NULL || count_text == NULL)
        return NB_ADDRESS_UNAVAILABLE;
    if (!read_number(pid_text, INT_MAX, &pid))
        return NB_BAD_ENDPOINT;
    if (pid != (unsigned long)getpid())
        return NB_ADDRESS_UNAVAILABLE;
    if (!read_number(count_text, INT_MAX - 3, count))
        return NB_BAD_ENDPOINT;
    if (*count == 0)
        return NB_ADDRESS_UNAVAILABLE;
    if (*count > NB_LISTENER_SOCKETS_MAX)
        return NB_TOO_LONG;
    for (size_t i = 0; i < *count; i++) {
        if (i >= passed_count || !is_fit(&passed[i]))
            return NB_BAD_ENDPOINT;
    }
    if (kernel.refuses_fd >= 3 && kernel.refuses_fd < 3 + (int)*count)
        return NB_PERMISSION;
    return NB_OK;
}

/* What was passed is as it was. */
static void check_untouched(size_t first)
{
    for (size_t i = first; i < passed_count; i++)
        require(passed[i].kind == KERNEL_HOLE ||
                kernel_is(i, passed[i].cloexec, passed[i].blocking));
}

static void check_listener(nb_listener *listener, size_t count)
{
    require(nb_listener_count(listener) == count);
    for (size_t i = 0; i < count; i++) {
        nb_address address;

        require(nb_listener_fd(listener, i) == 3 + (int)i);
        require(kernel_is(i, true, false)); /* children do not get it, and nobody waits in it */
        require(nb_listener_address(listener, i, &address) == NB_OK);
        require(nb_address_family(&address) != NB_FAMILY_NONE);
    }
    check_untouched(count);
}

static void check_message(const nb_error *err, nb_status status)
{
    require(err->status == status);
    require(strncmp(err->message, "listen on systemd:: ", 20) == 0);
    require_printable(err->message);
}

static void check_same(const char *name, const char *before)
{
    const char *after = getenv(name);

    require(before == NULL ? after == NULL : after != NULL && strcmp(before, after) == 0);
}

/* Each input is another process, as it were, in which nothing was passed at first. */
static void forget_what_was_passed(void)
{
    nb_listener *listener;

    kernel_begin();
    (void)unsetenv("LISTEN_FDS");
    require(nb_listen(&listener, "systemd:", NULL, NULL) == NB_ADDRESS_UNAVAILABLE);
    kernel_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    nb_listener *listener;
    unsigned long count;
    const char *pid_text;
    const char *count_text;
    nb_status expected;
    nb_status status;
    nb_error err;
    uint8_t refused;

    forget_what_was_passed();
    kernel_begin();
    refused = input_byte(&in);
    read_passed(&in);
    pid_text = set_variable(&in, "LISTEN_PID", (unsigned long)getpid());
    count_text = set_variable(&in, "LISTEN_FDS", passed_count);
    kernel_pass(passed, passed_count);
    kernel.refuses_fd = refused > 128 ? 3 + refused % PASSED_MAX : 0;
    expected = judge(pid_text, count_text, &count);
    status = nb_listen(&listener, "systemd:", NULL, &err);
    require(status == expected && (status == NB_OK) == (listener != NULL));
    check_same("LISTEN_PID", pid_text);
    check_same("LISTEN_FDS", count_text);
    if (status == NB_OK) {
        check_listener(listener, count);
    } else {
        check_message(&err, status);
        check_untouched(0);
    }
    nb_listener_close(listener);
    check_untouched(status == NB_OK ? count : 0);
    kernel_close_passed();
    world_ends();
    return 0;
}
