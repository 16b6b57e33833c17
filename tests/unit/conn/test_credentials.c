/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of nb_conn_peer_credentials(). */
#include "support.h"
#include "sys/sys.h"

#include <sys/wait.h>

/* What fails in a case, with which errno. */
static int error_of_credentials;
static int error_of_name;

static int own_peer_credentials(int fd, int64_t *pid, int64_t *uid, int64_t *gid)
{
    return error_of_credentials != 0 ? -error_of_credentials
                                     : real.peer_credentials(fd, pid, uid, gid);
}

REPLACE(peer_credentials, own_peer_credentials)

static int own_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    return error_of_name != 0 ? -error_of_name : real.getsockname(fd, address, length);
}

REPLACE(getsockname, own_getsockname)

static int begin(void **state)
{
    error_of_credentials = error_of_name = 0;
    return case_begin(state);
}

#define OWN_CASE(name) cmocka_unit_test_setup_teardown(name, begin, case_end)

static void assert_nobody(const nb_credentials *credentials)
{
    assert_int_equal(credentials->pid, -1);
    assert_int_equal(credentials->uid, -1);
    assert_int_equal(credentials->gid, -1);
}

static void assert_refused(const nb_conn *conn, nb_status status)
{
    nb_credentials who = {sizeof(who), 1, 0, 0}; /* 0 would be the superuser */

    assert_status(nb_conn_peer_credentials(conn, &who), status);
    assert_nobody(&who);
    assert_int_equal(who.size, sizeof(who));
}

#define TEST(name) TEST_AS(name, OWN_CASE)

TEST(credentials_of_a_unix_peer_are_known)
{
    nb_credentials who = NB_CREDENTIALS_INIT;
    nb_conn *a;
    nb_conn *b;

    conn_pair(OVER_UNIX, &a, &b);
    errno = 1234;
    assert_status(nb_conn_peer_credentials(a, &who), NB_OK);
    assert_int_equal(errno, 1234);
    assert_int_equal(who.pid, getpid());
    assert_int_equal(who.uid, geteuid());
    assert_int_equal(who.gid, getegid());
    assert_int_equal(who.size, sizeof(who));
    nb_abort(a);
    nb_abort(b);
}

/* What a client says of itself. */
struct self {
    int64_t pid;
    int64_t uid;
    int64_t gid;
};

/* Connects, as somebody else where that is allowed, says who it is, and waits for the end. */
static void be_a_client(const struct sockaddr_storage *address, socklen_t length)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct self self;
    char byte;

    if (setegid(4321) == 0)
        (void)!seteuid(1234);
    self = (struct self){getpid(), geteuid(), getegid()};
    if (connect(fd, (const struct sockaddr *)address, length) != 0)
        _exit(1);
    if (send(fd, &self, sizeof(self), MSG_NOSIGNAL) != sizeof(self))
        _exit(2);
    _exit(recv(fd, &byte, 1, 0) == 0 ? 0 : 3);
}

TEST(credentials_of_another_process_are_its_own_pid_uid_and_gid)
{
    nb_credentials who = NB_CREDENTIALS_INIT;
    struct self self;
    struct sockaddr_storage address;
    socklen_t length;
    int listening = raw_listener(OVER_UNIX, &address, &length);
    int status = -1;
    size_t received;
    nb_conn *conn;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        be_a_client(&address, length);
    conn = adopt(accept(listening, NULL, NULL));
    assert_status(nb_recv_exact(conn, &self, sizeof(self), &received, plenty()), NB_OK);
    assert_status(nb_conn_peer_credentials(conn, &who), NB_OK);
    nb_abort(conn);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(self.pid, child);
    assert_int_equal(who.pid, child);
    assert_int_equal(who.uid, self.uid);
    assert_int_equal(who.gid, self.gid);
    raw_close(listening);
}

TEST(credentials_of_a_tcp_peer_are_unsupported)
{
    nb_conn *a;
    nb_conn *b;

    conn_pair(OVER_IPV4, &a, &b);
    assert_refused(a, NB_UNSUPPORTED);
    nb_abort(a);
    nb_abort(b);
}

TEST(credentials_that_the_system_does_not_give_are_unset)
{
    static const struct {
        int error;
        nb_status status;
    } rows[] = {{EOPNOTSUPP, NB_UNSUPPORTED},
                {ENOPROTOOPT, NB_UNSUPPORTED},
                {ENOBUFS, NB_NO_MEMORY},
                {EINVAL, NB_SYSTEM}};
    nb_conn *a;
    nb_conn *b;

    conn_pair(OVER_UNIX, &a, &b);
    for (size_t i = 0; i < COUNT(rows); i++) {
        error_of_credentials = rows[i].error;
        assert_refused(a, rows[i].status);
    }
    error_of_name = ENOBUFS;
    assert_refused(a, NB_UNSUPPORTED);
    nb_abort(a);
    nb_abort(b);
}

TEST(credentials_of_a_null_connection_are_invalid)
{
    nb_conn *a;
    nb_conn *b;

    conn_pair(OVER_UNIX, &a, &b);
    assert_refused(NULL, NB_INVALID);
    assert_status(nb_conn_peer_credentials(a, NULL), NB_INVALID);
    nb_abort(a);
    nb_abort(b);
}

TEST(credentials_without_a_size_are_invalid_and_unchanged)
{
    static const size_t sizes[] = SIZES_NEVER_SET;
    nb_conn *a;
    nb_conn *b;

    conn_pair(OVER_UNIX, &a, &b);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        nb_credentials who = {sizes[i], 5, 5, 5};

        assert_status(nb_conn_peer_credentials(a, &who), NB_INVALID);
        assert_true(who.size == sizes[i] && who.pid == 5 && who.uid == 5 && who.gid == 5);
    }
    nb_abort(a);
    nb_abort(b);
}

TEST(credentials_fit_the_structure_of_another_version)
{
    nb_credentials older = {offsetof(nb_credentials, uid), 5, 5, 5};
    struct {
        nb_credentials known;
        int64_t later;
    } newer = {{sizeof(newer), 5, 5, 5}, 5};
    nb_conn *a;
    nb_conn *b;

    conn_pair(OVER_UNIX, &a, &b);
    assert_status(nb_conn_peer_credentials(a, &older), NB_OK);
    assert_int_equal(older.pid, getpid());
    assert_int_equal(older.uid, 5); /* this is not its memory */
    assert_status(nb_conn_peer_credentials(a, &newer.known), NB_OK);
    assert_int_equal(newer.known.gid, getegid());
    assert_int_equal(newer.later, -1); /* nobody; 0 may be the superuser */
    nb_abort(a);
    nb_abort(b);
}
