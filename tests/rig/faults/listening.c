/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Steps that listen and accept, made again where that is allowed. */
#include "listening.h"

#include "talk.h"

nb_listener *listening(const char *endpoint, const nb_listen_options *options, enum api api)
{
    nb_listener *listener = NULL;
    nb_error err;
    nb_status status = STEP(api, S(NB_OK), nb_listen(&listener, endpoint, options, &err));

    for (int i = 0; i < 2 && status != NB_OK && !disturbed_for_ever(); i++) {
        holds(listener == NULL);
        holds(err.status == status && err.message[0] != '\0');
        status = STEP(api, S(NB_OK), nb_listen(&listener, endpoint, options, &err));
    }
    holds((status == NB_OK) == (listener != NULL));
    holds(err.status == status && (err.message[0] == '\0') == (status == NB_OK));
    return listener;
}

/* Accepts, as often as a fault that has passed makes that necessary. */
nb_conn *accepted(nb_listener *listener)
{
    nb_conn *conn = NULL;
    nb_error err;
    nb_status status = STEP(API_ACCEPT, S(NB_OK), nb_accept(listener, &conn, soon(), &err));

    for (int i = 0; i < 2 && status != NB_OK && !disturbed_for_ever(); i++) {
        holds(conn == NULL);
        holds(err.status == status && err.message[0] != '\0');
        status = STEP(API_ACCEPT, S(NB_OK), nb_accept(listener, &conn, soon(), &err));
    }
    holds((status == NB_OK) == (conn != NULL));
    holds(err.status == status && (err.message[0] == '\0') == (status == NB_OK));
    return conn;
}

/* Connects to a listener's socket, is accepted, talks. */
void talk_at(nb_listener *listener, size_t index)
{
    struct account account = {.length = 0};
    nb_address address;
    nb_conn *conn;
    int peer;

    (void)nb_listener_address(listener, index, &address);
    peer = peer_connect(&address);
    raw_send(peer, EXCHANGED, sizeof(EXCHANGED) - 1);
    peer_end(peer);
    conn = accepted(listener);
    if (conn == NULL) {
        peer_close(peer);
        return;
    }
    exchange(conn, &account);
    close_and_check(conn, peer, nb_address_family(&address) == NB_FAMILY_UNIX ? NULL : &account);
}
