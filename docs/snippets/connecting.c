/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Snippets of the reference: opening and ending connections. */
#include "stage.h"

#include <string.h>

static nb_conn *connect_to(const char *endpoint)
{
    /* [nb_connect] */
    /* For the name lookup and all attempts together. */
    nb_deadline by = nb_after_ms(5000);
    nb_conn *conn;
    nb_error err;

    if (nb_connect(&conn, endpoint, NULL, by, &err) != NB_OK) {
        /* Names the endpoint, every attempt, the reason. */
        fprintf(stderr, "%s\n", err.message);
        return NULL;
    }
    /* [nb_connect] */
    return conn;
}

static void end_in_order(nb_conn *conn)
{
    /* [nb_close] */
    /* Frees it, whatever the result. */
    nb_status status = nb_close(conn, nb_after_ms(5000));

    if (status != NB_OK)
        fprintf(stderr, "the peer may not have everything: %s\n",
                nb_status_text(status));
    /* [nb_close] */
    EXPECT(status == NB_OK);
}

static void break_off(nb_conn *conn)
{
    const bool nonsense = true;
    /* [nb_abort] */
    if (nonsense)
        /* The peer sees a reset, and knows that something is missing. */
        nb_abort(conn);
    /* [nb_abort] */
}

static void cancel(nb_conn *conn)
{
    char buf[10];
    size_t received;
    /* [nb_cancel] */
    /* From any thread: wakes every call that is blocked on it. */
    nb_cancel(conn);
    /* [nb_cancel] */
    EXPECT(nb_recv(conn, buf, sizeof(buf), &received, nb_forever()) ==
           NB_CANCELLED);
}

int main(void)
{
    struct stage stage = stage_connect();
    nb_conn *other = connect_to(stage.endpoint);

    EXPECT(other != NULL);
    break_off(other);
    cancel(stage.server);
    nb_abort(stage.server);
    nb_abort(stage.client);
    stage.client = connect_to(stage.endpoint);
    EXPECT(nb_accept(stage.listener, &stage.server, nb_after_ms(60000),
                     NULL) == NB_OK);
    nb_abort(stage.server); /* The one that was reset. */
    EXPECT(nb_accept(stage.listener, &stage.server, nb_after_ms(60000),
                     NULL) == NB_OK);
    EXPECT(nb_shutdown_send(stage.server) == NB_OK);
    end_in_order(stage.client);
    stage.client = NULL;
    stage_close(&stage);
    return 0;
}
