/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Snippets of the reference: asking a connection. */
#undef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE

#include "stage.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void see_whether_all_was_sent(nb_conn *conn)
{
    /* [nb_conn_status] */
    for (int i = 0; i < 3; i++)
        /* A failure is sticky, ... */
        nb_send_all(conn, "tick\n", 5, NULL, nb_after_ms(5000));
    /* ... so it is enough to check once. */
    if (nb_conn_status(conn, NB_SEND) != NB_OK)
        fputs("not everything could be sent\n", stderr);
    /* [nb_conn_status] */
    EXPECT(nb_conn_status(conn, NB_SEND) == NB_OK);
}

static void say_what_failed(nb_conn *conn)
{
    /* [nb_conn_error] */
    char line[512];
    nb_error err = {0};

    if (nb_recv_line(conn, line, sizeof(line), NULL, nb_after_ms(10)) !=
        NB_OK) {
        nb_conn_error(conn, NB_RECEIVE, &err);
        /* receive from 192.0.2.7:80: timed out */
        fprintf(stderr, "%s\n", err.message);
    }
    /* [nb_conn_error] */
    EXPECT(err.status == NB_TIMEOUT);
    EXPECT(nb_conn_status(conn, NB_RECEIVE) == NB_OK);
}

static void say_who_talks(nb_conn *conn)
{
    /* [nb_conn_peer] */
    char text[NB_ADDRESS_TEXT_MAX];
    nb_address peer;

    nb_conn_peer(conn, &peer);
    printf("connected to %s\n",
           nb_address_format(&peer, text, sizeof(text)));
    /* [nb_conn_peer] */
    EXPECT(nb_address_family(&peer) == NB_FAMILY_IPV4);
}

static void say_who_we_are(nb_conn *conn)
{
    /* [nb_conn_local] */
    nb_address local;

    nb_conn_local(conn, &local);
    printf("from port %u\n", (unsigned)nb_address_port(&local));
    /* [nb_conn_local] */
    EXPECT(nb_address_port(&local) != 0);
}

static void count_what_waits(nb_conn *conn)
{
    char line[10];
    EXPECT(nb_recv_line(conn, line, sizeof(line), NULL,
                        nb_after_ms(60000)) == NB_OK);
    /* [nb_conn_buffered] */
    if (nb_conn_buffered(conn) > 0)
        puts("the next line may be in the buffer already");
    /* [nb_conn_buffered] */
    EXPECT(nb_recv_line(conn, line, sizeof(line), NULL,
                        nb_after_ms(60000)) == NB_OK);
}

static void count_bytes(nb_conn *conn)
{
    /* [nb_conn_counters] */
    uint64_t received, sent;

    nb_conn_counters(conn, &received, &sent);
    printf("%llu bytes in, %llu bytes out\n",
           (unsigned long long)received, (unsigned long long)sent);
    /* [nb_conn_counters] */
    EXPECT(received == 8 && sent == 15);
}

static void set_an_option(nb_conn *conn)
{
    /* [nb_conn_fd] */
    int low_delay = 0x10;

    if (setsockopt(nb_conn_fd(conn), IPPROTO_IP, IP_TOS, &low_delay,
                   sizeof(low_delay)) != 0)
        perror("IP_TOS");
    /* [nb_conn_fd] */
}

static void see_who_it_is(const nb_conn *conn)
{
    /* [nb_conn_peer_credentials] */
    nb_credentials peer = NB_CREDENTIALS_INIT;
    nb_status status = nb_conn_peer_credentials(conn, &peer);

    if (status == NB_OK && peer.uid == (int64_t)getuid())
        puts("one of our own programs");
    /* [nb_conn_peer_credentials] */
    EXPECT(status == NB_OK || status == NB_UNSUPPORTED);
}

static nb_conn *adopt_one_of_a_pair(void)
{
    int fds[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    /* [nb_conn_adopt] */
    nb_conn *conn;
    nb_error err;

    if (nb_conn_adopt(&conn, fds[0], &err) != NB_OK) {
        fprintf(stderr, "%s\n", err.message);
        close(fds[0]); /* Still ours. */
    }
    /* [nb_conn_adopt] */
    EXPECT(write(fds[1], "one\ntwo\n", 8) == 8);
    close(fds[1]);
    return conn;
}

static void take_the_descriptor_back(nb_conn *conn)
{
    char line[10];
    EXPECT(nb_recv_line(conn, line, sizeof(line), NULL,
                        nb_after_ms(60000)) == NB_OK);
    /* [nb_conn_detach] */
    /* The read-ahead behind the last line: at most 16 KiB, unless a
       longer line was asked for. */
    char waiting[16384];
    size_t length;
    nb_fd fd;

    if (nb_conn_detach(conn, &fd, waiting, sizeof(waiting), &length) ==
        NB_OK)
        printf("got descriptor %d and %zu bytes of read-ahead\n", fd,
               length);
    /* [nb_conn_detach] */
    EXPECT(length == 4);
    close(fd);
}

int main(void)
{
    struct stage stage = stage_connect();
    char byte;
    size_t received;

    stage_say_last(&stage, "one\ntwo\n");
    see_whether_all_was_sent(stage.client);
    say_who_talks(stage.client);
    say_who_we_are(stage.client);
    set_an_option(stage.client);
    count_what_waits(stage.client);
    count_bytes(stage.client);
    EXPECT(nb_recv(stage.client, &byte, 1, &received,
                   nb_after_ms(60000)) == NB_EOF);
    stage_close(&stage);
    stage = stage_connect();
    say_what_failed(stage.client);
    stage_close(&stage);
    nb_conn *one = adopt_one_of_a_pair();
    see_who_it_is(one);
    take_the_descriptor_back(one);
    return 0;
}
