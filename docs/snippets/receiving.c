/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Snippets of the reference: receiving. */
#include "stage.h"

#include <string.h>

static void receive_what_is_there(nb_conn *conn)
{
    /* [nb_recv] */
    char buf[4096];
    size_t received;
    nb_status status =
        nb_recv(conn, buf, sizeof(buf), &received, nb_after_ms(5000));

    if (status == NB_OK)
        printf("%zu bytes\n", received);
    else if (status == NB_EOF)
        puts("the peer has ended its stream");
    else
        /* "timed out", "connection reset" */
        fprintf(stderr, "%s\n", nb_status_text(status));
    /* [nb_recv] */
    EXPECT(status == NB_OK && received == 1);
}

static void receive_a_header(nb_conn *conn)
{
    /* [nb_recv_exact] */
    unsigned char header[12];
    size_t received;
    nb_status status = nb_recv_exact(conn, header, sizeof(header),
                                     &received, nb_after_ms(5000));

    if (status == NB_EOF && received > 0)
        fprintf(stderr, "the stream ended after %zu of %zu bytes\n",
                received, sizeof(header));
    /* [nb_recv_exact] */
    EXPECT(status == NB_OK && received == 12);
}

static void receive_a_header_block(nb_conn *conn)
{
    /* [nb_recv_until] */
    char head[8192];
    size_t length;
    nb_status status =
        nb_recv_until(conn, head, sizeof(head), "\r\n\r\n", 4, &length,
                      nb_after_ms(5000));

    if (status == NB_OK)
        /* The next call receives the body. */
        printf("the head has %zu bytes\n", length);
    else if (status == NB_TOO_LONG)
        fprintf(stderr, "the head has more than %zu bytes\n",
                sizeof(head));
    /* [nb_recv_until] */
    EXPECT(status == NB_OK && length == 19);
}

static void receive_lines(nb_conn *conn)
{
    int lines = 0;
    /* [nb_recv_line] */
    char line[512];
    nb_status status;

    while ((status = nb_recv_line(conn, line, sizeof(line), NULL,
                                  nb_after_ms(5000))) == NB_OK) {
        /* The LF or CRLF is gone. */
        printf("%zu characters\n", strlen(line));
        lines++;
    }
    if (status != NB_EOF)
        /* "too long", "timed out", ... */
        fprintf(stderr, "%s\n", nb_status_text(status));
    /* [nb_recv_line] */
    EXPECT(status == NB_EOF && lines == 2);
}

static void skip_lines_that_are_too_long(nb_conn *conn)
{
    int lines = 0;
    /* [nb_skip_line] */
    char line[64];
    nb_status status;

    for (;;) {
        nb_deadline by = nb_after_ms(5000);

        status = nb_recv_line(conn, line, sizeof(line), NULL, by);
        if (status == NB_TOO_LONG) {
            fputs("skipping a line of more than 63 bytes\n", stderr);
            /* A line of more than 64 KiB ends the loop. */
            status = nb_skip_line(conn, 65536, by);
        } else if (status == NB_OK) {
            printf("%s\n", line);
            lines++;
        }
        if (status != NB_OK)
            break;
    }
    /* [nb_skip_line] */
    EXPECT(status == NB_EOF && lines == 2);
}

static void skip_a_head(nb_conn *conn)
{
    char byte;
    size_t received;
    /* [nb_skip_until] */
    nb_status status =
        nb_skip_until(conn, 8192, "\r\n\r\n", 4, nb_after_ms(5000));

    if (status == NB_OK)
        puts("what comes next is the body");
    /* [nb_skip_until] */
    EXPECT(status == NB_OK);
    EXPECT(nb_recv(conn, &byte, 1, &received, nb_after_ms(5000)) ==
           NB_OK);
    EXPECT(byte == 'b');
}

/* Answers together the commands that arrived together. */
static void answer_commands(nb_conn *conn)
{
    int answers = 0;
    /* [expired] */
    char command[64];
    nb_deadline by = nb_after_ms(5000);
    nb_status status;

    while ((status = nb_recv_line(conn, command, sizeof(command), NULL,
                                  by)) == NB_OK) {
        /* ... append the reply to the output ... */
        answers++;
        /* The next one must be here already. */
        by = nb_after_ms(0);
    }
    if (status == NB_TIMEOUT && answers > 0)
        puts("now send the replies, and wait for the rest");
    /* [expired] */
    EXPECT(status == NB_TIMEOUT && answers == 2);
}

static void receive_the_rest(nb_conn *conn)
{
    /* [nb_recv_to_end] */
    char text[65536];
    size_t length;
    nb_status status = nb_recv_to_end(conn, text, sizeof(text), &length,
                                      nb_after_ms(5000));

    if (status == NB_OK)
        printf("%zu bytes, and that is all of it\n", length);
    else if (status == NB_TOO_LONG)
        fprintf(stderr,
                "more than %zu bytes; the next call continues with "
                "the rest\n",
                length);
    /* [nb_recv_to_end] */
    EXPECT(status == NB_OK && length == 7);
}

static void receive_frames(nb_conn *conn)
{
    int frames = 0;
    /* [nb_recv_frame] */
    char body[1024];
    size_t length;
    nb_status status;

    while ((status = nb_recv_frame(conn, body, sizeof(body), &length,
                                   nb_after_ms(5000))) == NB_OK) {
        printf("a frame of %zu bytes\n", length);
        frames++;
    }
    if (status == NB_TOO_LONG)
        fprintf(stderr, "a frame of %zu bytes was announced\n", length);
    /* The end of the stream inside a frame is NB_RESET. */
    else if (status != NB_EOF)
        fprintf(stderr, "%s\n", nb_status_text(status));
    /* [nb_recv_frame] */
    EXPECT(status == NB_EOF && frames == 2);
}

static void ask_whether_something_is_there(nb_conn *conn)
{
    /* [nb_wait_readable] */
    /* Checks once, without waiting. */
    nb_status status = nb_wait_readable(conn, nb_after_ms(0));

    if (status == NB_TIMEOUT)
        puts("nothing yet: do something else");
    else
        puts("nb_recv() would return at once");
    /* [nb_wait_readable] */
    EXPECT(status == NB_TIMEOUT);
}

/* Runs a snippet on a connection whose peer sends a text and then ends its stream. */
static void on(const char *text, void snippet(nb_conn *))
{
    struct stage stage = stage_connect();

    stage_say_last(&stage, text);
    snippet(stage.client);
    stage_close(&stage);
}

int main(void)
{
    struct stage stage = stage_connect();

    ask_whether_something_is_there(stage.client);
    EXPECT(nb_send_frame(stage.server, "one", 3, nb_after_ms(60000)) ==
           NB_OK);
    EXPECT(nb_send_frame(stage.server, "", 0, nb_after_ms(60000)) ==
           NB_OK);
    EXPECT(nb_shutdown_send(stage.server) == NB_OK);
    receive_frames(stage.client);
    stage_close(&stage);

    on("x", receive_what_is_there);
    on("Hello, world", receive_a_header);
    on("GET / HTTP/1.1\n\r\n\r\nbody", receive_a_header_block);
    on("first\r\nsecond\n", receive_lines);
    on("first\n"
       "a line that is longer than the sixty-three bytes that the "
       "buffer can hold\n"
       "second\n",
       skip_lines_that_are_too_long);
    on("GET / HTTP/1.1\r\nHost: a\r\n\r\nbody", skip_a_head);
    on("PING\nPING\nPI", answer_commands);
    on("the end", receive_the_rest);
    return 0;
}
