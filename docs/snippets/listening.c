/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Snippets of the reference: listening and accepting. */
#undef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE

#include "stage.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>

static nb_listener *listen_somewhere(void)
{
    /* [nb_listen] */
    nb_listener *listener;
    nb_error err;

    /* 0: the system chooses. */
    if (nb_listen(&listener, "localhost:0", NULL, &err) != NB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return NULL;
    }
    /* [nb_listen] */
    return listener;
}

static void listen_on_one_more(nb_listener *listener)
{
    /* [nb_listener_add] */
    nb_error err;

    if (nb_listener_add(listener, "127.0.0.2:0", NULL, &err) != NB_OK)
        /* The listener is unchanged. */
        fprintf(stderr, "%s\n", err.message);
    /* [nb_listener_add] */
    EXPECT(err.status == NB_OK);
}

static void print_addresses(nb_listener *listener)
{
    /* [nb_listener_address] */
    for (size_t i = 0; i < nb_listener_count(listener); i++) {
        char text[NB_ADDRESS_TEXT_MAX];
        nb_address address;

        if (nb_listener_address(listener, i, &address) == NB_OK)
            printf("Listening on %s\n",
                   nb_address_format(&address, text, sizeof(text)));
    }
    /* [nb_listener_address] */
}

static void accept_one(nb_listener *listener)
{
    /* [nb_accept] */
    nb_conn *conn;
    nb_error err;
    nb_status status =
        nb_accept(listener, &conn, nb_after_ms(60000), &err);

    if (status == NB_OK)
        nb_close(conn, nb_after_ms(5000));
    else if (status == NB_CANCELLED)
        puts("nb_listener_stop() was called");
    else
        fprintf(stderr, "%s\n", err.message);
    /* [nb_accept] */
    EXPECT(status == NB_CANCELLED);
}

static nb_listener *to_stop;

/* [nb_listener_stop] */
static void on_signal(int number)
{
    (void)number;
    /* From any thread, or from a signal handler, as here. */
    nb_listener_stop(to_stop);
}
/* [nb_listener_stop] */

static void stop_now(nb_listener *listener)
{
    /* [nb_listener_stop_now] */
    /* After a second Ctrl-C, for example: ends the drain. */
    nb_listener_stop_now(listener);
    /* [nb_listener_stop_now] */
    EXPECT(nb_listener_stopping(listener));
}

static void give_up_at_the_stop(nb_listener *listener)
{
    /* [nb_listener_stop_fd] */
    nb_connect_options options = NB_CONNECT_OPTIONS_INIT;
    nb_fd stop = nb_listener_stop_fd(listener);
    nb_status status;
    nb_conn *conn;

    options.cancel_fd = &stop;
    status = nb_connect(&conn, "localhost:12345", &options,
                        nb_after_ms(5000), NULL);
    if (status == NB_CANCELLED)
        puts("the server has been stopped");
    /* [nb_listener_stop_fd] */
    EXPECT(status == NB_CANCELLED);
}

static void set_a_listening_option(nb_listener *listener)
{
    /* [nb_listener_fd] */
    int seconds = 5;

    for (size_t i = 0; i < nb_listener_count(listener); i++)
        (void)setsockopt(nb_listener_fd(listener, i), IPPROTO_TCP,
                         TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
    /* [nb_listener_fd] */
}

int main(void)
{
    nb_listener *listener = listen_somewhere();

    EXPECT(listener != NULL);
    listen_on_one_more(listener);
    print_addresses(listener);
    set_a_listening_option(listener);
    to_stop = listener;
    EXPECT(signal(SIGTERM, on_signal) != SIG_ERR);
    raise(SIGTERM);
    accept_one(listener);
    give_up_at_the_stop(listener);
    stop_now(listener);
    /* [nb_listener_close] */
    /* Connections that it has accepted stay open. */
    nb_listener_close(listener);
    /* [nb_listener_close] */
    return 0;
}
