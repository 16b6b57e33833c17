/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Snippets of the reference: sending. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "stage.h"

#include <string.h>

static void send_everything(nb_conn *conn)
{
    /* [nb_send_all] */
    const char reply[] = "Hello, world\r\n";
    size_t sent;
    nb_status status = nb_send_all(conn, reply, strlen(reply), &sent,
                                   nb_after_ms(5000));

    if (status != NB_OK)
        fprintf(stderr, "%s after %zu bytes\n", nb_status_text(status),
                sent);
    /* [nb_send_all] */
    EXPECT(status == NB_OK && sent == 14);
}

static void send_pieces(nb_conn *conn)
{
    /* [nb_send_slices] */
    const char *body = "Hello";
    char head[64];
    int length = snprintf(head, sizeof(head),
                          "Content-Length: %zu\r\n\r\n", strlen(body));
    nb_slice pieces[] = {{head, (size_t)length}, {body, strlen(body)}};
    nb_status status =
        nb_send_slices(conn, pieces, 2, NULL, nb_after_ms(5000));
    /* [nb_send_slices] */
    EXPECT(status == NB_OK);
}

static void send_a_frame(nb_conn *conn)
{
    /* [nb_send_frame] */
    /* 00 00 00 05 Hello */
    nb_status status =
        nb_send_frame(conn, "Hello", 5, nb_after_ms(5000));
    /* [nb_send_frame] */
    EXPECT(status == NB_OK);
}

static void send_part_of_a_file(nb_conn *conn)
{
    FILE *file = tmpfile();
    EXPECT(file != NULL && fputs("0123456789", file) >= 0 &&
           fflush(file) == 0);
    /* [nb_send_file] */
    uint64_t sent;
    nb_status status = nb_send_file(conn, fileno(file), 2, 5, &sent,
                                    nb_after_ms(5000));

    if (status == NB_EOF)
        fprintf(stderr, "the file ended after %llu bytes\n",
                (unsigned long long)sent);
    /* [nb_send_file] */
    EXPECT(status == NB_OK && sent == 5);
    fclose(file);
}

static void end_the_request(nb_conn *conn)
{
    /* [nb_shutdown_send] */
    /* A failure is sticky, ... */
    nb_send_all(conn, "that is all", 11, NULL, nb_after_ms(5000));
    /* ... so it is enough to check here. */
    if (nb_shutdown_send(conn) != NB_OK)
        fprintf(stderr, "%s\n",
                nb_status_text(nb_conn_status(conn, NB_SEND)));
    /* The peer sees the end of the stream; we can still receive. */
    /* [nb_shutdown_send] */
    EXPECT(nb_conn_status(conn, NB_SEND) == NB_OK);
}

int main(void)
{
    struct stage stage = stage_connect();
    char all[200];
    size_t length;

    send_everything(stage.client);
    send_pieces(stage.client);
    send_a_frame(stage.client);
    send_part_of_a_file(stage.client);
    end_the_request(stage.client);
    EXPECT(nb_recv_to_end(stage.server, all, sizeof(all), &length,
                          nb_after_ms(60000)) == NB_OK);
    EXPECT(length == 14 + 21 + 5 + 4 + 5 + 5 + 11);
    EXPECT(memcmp(all + 14 + 21 + 5, "\0\0\0\5Hello23456that is all",
                  25) == 0);
    stage_close(&stage);
    return 0;
}
