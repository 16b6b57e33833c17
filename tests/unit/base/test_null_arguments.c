/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief NULL arguments: NB_INVALID where a status is returned, nothing where not. */
#include "support.h"

/* One call whose status is NB_INVALID, on `conn`, `other` and `listener`, which stay as they were. */
#define REFUSED(call)                                                                              \
    do {                                                                                           \
        nb_status status_ = (call);                                                                \
        if (status_ != NB_INVALID)                                                                 \
            fail_msg("%s: %s", #call, nb_status_name(status_));                                    \
    } while (0)

static nb_conn *conn;
static nb_conn *other;
static nb_listener *listener;
static char buf[8];
static size_t length;

static int begin(void **state)
{
    if (case_begin(state) != 0)
        return -1;
    conn_pair(OVER_IPV4, &conn, &other);
    return nb_listen(&listener, "127.0.0.1:0", NULL, NULL) == NB_OK ? 0 : -1;
}

/* A refused call has done nothing: both directions work. */
static int end(void **state)
{
    assert_status(nb_send_all(conn, "x", 1, NULL, plenty()), NB_OK);
    assert_status(nb_recv(other, buf, sizeof(buf), &length, plenty()), NB_OK);
    assert_bytes(buf, length, "x");
    nb_abort(conn);
    nb_abort(other);
    nb_listener_close(listener);
    return case_end(state);
}

#define WITH_BOTH(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define TEST(name) TEST_AS(name, WITH_BOTH)

static nb_status no_handler(nb_conn *unused, void *context)
{
    (void)unused;
    (void)context;
    return NB_OK;
}

TEST(receives_refuse_null)
{
    nb_deadline by = plenty();

    REFUSED(nb_recv(NULL, buf, 1, &length, by));
    REFUSED(nb_recv(conn, NULL, 1, &length, by));
    REFUSED(nb_recv(conn, buf, 1, NULL, by));
    REFUSED(nb_recv_exact(NULL, buf, 1, &length, by));
    REFUSED(nb_recv_exact(conn, NULL, 1, &length, by));
    REFUSED(nb_recv_exact(conn, buf, 1, NULL, by));
    REFUSED(nb_recv_until(NULL, buf, 1, "\n", 1, &length, by));
    REFUSED(nb_recv_until(conn, NULL, 1, "\n", 1, &length, by));
    REFUSED(nb_recv_until(conn, buf, 1, NULL, 1, &length, by));
    REFUSED(nb_recv_until(conn, buf, 1, "\n", 1, NULL, by));
    REFUSED(nb_recv_line(NULL, buf, 1, &length, by));
    REFUSED(nb_recv_line(conn, NULL, 1, &length, by));
    REFUSED(nb_recv_to_end(NULL, buf, 1, &length, by));
    REFUSED(nb_recv_to_end(conn, NULL, 1, &length, by));
    REFUSED(nb_recv_to_end(conn, buf, 1, NULL, by));
    REFUSED(nb_recv_frame(NULL, buf, 1, &length, by));
    REFUSED(nb_recv_frame(conn, NULL, 1, &length, by));
    REFUSED(nb_recv_frame(conn, buf, 1, NULL, by));
    REFUSED(nb_skip_line(NULL, 1, by));
    REFUSED(nb_skip_until(NULL, 1, "\n", 1, by));
    REFUSED(nb_skip_until(conn, 1, NULL, 1, by));
    REFUSED(nb_wait_readable(NULL, by));
}

TEST(sends_refuse_null)
{
    nb_slice nowhere = {NULL, 1};
    nb_deadline by = plenty();

    REFUSED(nb_send_all(NULL, "x", 1, &length, by));
    REFUSED(nb_send_all(conn, NULL, 1, &length, by));
    REFUSED(nb_send_slices(NULL, &nowhere, 0, &length, by));
    REFUSED(nb_send_slices(conn, NULL, 1, &length, by));
    REFUSED(nb_send_slices(conn, &nowhere, 1, &length, by));
    REFUSED(nb_send_frame(NULL, "x", 1, by));
    REFUSED(nb_send_frame(conn, NULL, 1, by));
    REFUSED(nb_send_file(NULL, 0, 0, 1, NULL, by));
    REFUSED(nb_shutdown_send(NULL));
}

TEST(calls_that_create_an_object_refuse_null)
{
    nb_conn *made = conn;
    nb_listener *listens = listener;
    nb_address address;
    nb_error err;

    REFUSED(nb_connect(NULL, "127.0.0.1:1", NULL, plenty(), NULL));
    REFUSED(nb_connect(&made, NULL, NULL, plenty(), &err));
    assert_null(made);
    REFUSED(nb_listen(NULL, "127.0.0.1:0", NULL, NULL));
    REFUSED(nb_listen(&listens, NULL, NULL, &err));
    assert_null(listens);
    REFUSED(nb_listener_add(NULL, "127.0.0.1:0", NULL, NULL));
    REFUSED(nb_listener_add(listener, NULL, NULL, &err));
    made = conn;
    REFUSED(nb_accept(NULL, &made, plenty(), NULL));
    assert_null(made);
    REFUSED(nb_accept(listener, NULL, plenty(), &err));
    REFUSED(nb_serve(NULL, no_handler, NULL, NULL, NULL));
    REFUSED(nb_serve(listener, NULL, NULL, NULL, &err));
    REFUSED(nb_conn_adopt(NULL, 0, NULL));
    REFUSED(nb_address_parse(NULL, "127.0.0.1:80"));
    REFUSED(nb_address_parse(&address, NULL));
}

TEST(queries_with_a_status_refuse_null)
{
    nb_credentials credentials = NB_CREDENTIALS_INIT;
    nb_serve_counters counters = NB_SERVE_COUNTERS_INIT;
    nb_address address;
    nb_fd fd;

    REFUSED(nb_conn_status(NULL, NB_SEND));
    REFUSED(nb_conn_peer_credentials(NULL, &credentials));
    REFUSED(nb_conn_peer_credentials(conn, NULL));
    REFUSED(nb_conn_detach(NULL, &fd, NULL, 0, NULL));
    REFUSED(nb_conn_detach(conn, NULL, NULL, 0, NULL));
    REFUSED(nb_conn_detach(conn, &fd, NULL, 1, NULL));
    REFUSED(nb_listener_address(NULL, 0, &address));
    REFUSED(nb_listener_address(listener, 0, NULL));
    REFUSED(nb_listener_counters(NULL, &counters));
    REFUSED(nb_listener_counters(listener, NULL));
}

TEST(queries_of_a_null_object_return_empty_values)
{
    uint64_t received = 1;
    uint64_t sent = 1;
    nb_address some;

    assert_int_equal(nb_conn_fd(NULL), -1);
    assert_int_equal(nb_conn_buffered(NULL), 0);
    nb_conn_counters(NULL, &received, &sent);
    assert_int_equal(received, 0);
    assert_int_equal(sent, 0);
    assert_int_equal(nb_listener_count(NULL), 0);
    assert_int_equal(nb_listener_fd(NULL, 0), -1);
    assert_int_equal(nb_listener_stop_fd(NULL), -1);
    assert_false(nb_listener_stopping(NULL));
    assert_status(nb_address_parse(&some, "127.0.0.1:80"), NB_OK);
    assert_int_equal(nb_address_family(NULL), NB_FAMILY_NONE);
    assert_int_equal(nb_address_port(NULL), 0);
    assert_false(nb_address_equal(NULL, &some));
    assert_false(nb_address_equal(&some, NULL));
    assert_false(nb_address_equal(NULL, NULL));
    assert_string_equal(nb_address_format(NULL, buf, sizeof(buf)), "(none)");
    assert_string_equal(nb_address_format(&some, NULL, 1), "");
}

TEST(addresses_of_a_null_connection_are_empty)
{
    nb_address address;

    memset(&address, '#', sizeof(address));
    nb_conn_peer(NULL, &address);
    assert_int_equal(nb_address_family(&address), NB_FAMILY_NONE);
    memset(&address, '#', sizeof(address));
    nb_conn_local(NULL, &address);
    assert_int_equal(nb_address_family(&address), NB_FAMILY_NONE);
}

TEST(queries_with_a_null_result_pointer_do_nothing)
{
    nb_conn_peer(conn, NULL);
    nb_conn_local(conn, NULL);
    nb_conn_counters(conn, NULL, NULL);
    nb_conn_error(conn, NB_SEND, NULL);
    nb_conn_error(NULL, NB_SEND, NULL);
}

TEST(calls_that_destroy_an_object_accept_null)
{
    assert_status(nb_close(NULL, plenty()), NB_OK);
    nb_abort(NULL);
    nb_cancel(NULL);
    nb_conn_idle(NULL);
    nb_listener_stop(NULL);
    nb_listener_stop_now(NULL);
    nb_listener_close(NULL);
}
