/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Snippets of the reference: starting programs from handlers. */
#undef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE

#include "stage.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

/* [spawn] */
/* Starts a program with no signal blocked. */
static int start(pid_t *pid, char *const argv[])
{
    posix_spawnattr_t attr;
    sigset_t none;
    int error = posix_spawnattr_init(&attr);

    if (error != 0)
        return error;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    error = posix_spawnp(pid, argv[0], NULL, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    return error;
}
/* [spawn] */

/* Starts a program that would run for a minute, and ends it. */
static nb_status handle(nb_conn *conn, void *listener)
{
    char *const argv[] = {"sleep", "60", NULL};
    int status = 0;
    pid_t pid;

    EXPECT(nb_conn_status(conn, NB_SEND) == NB_OK);
    EXPECT(start(&pid, argv) == 0);
    EXPECT(kill(pid, SIGTERM) == 0);
    EXPECT(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    nb_listener_stop(listener);
    return NB_OK;
}

int main(void)
{
    struct stage stage = stage_listen();
    nb_serve_options options = NB_SERVE_OPTIONS_INIT;

    options.concurrency = 2; /* in a worker thread */
    EXPECT(nb_connect(&stage.client, stage.endpoint, NULL,
                      nb_after_ms(60000), NULL) == NB_OK);
    options.linger_ms = NB_NO_LINGER;
    EXPECT(nb_serve(stage.listener, handle, stage.listener, &options,
                    NULL) == NB_OK);
    stage_close(&stage);
    return 0;
}
