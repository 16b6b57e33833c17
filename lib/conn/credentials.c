/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The credentials of the peer of a Unix socket. */
#include "base/error_internal.h"
#include "base/versioned.h"
#include "conn/conn_internal.h"
#include "net/socket.h"
#include "sys/sys.h"

#include <errno.h>

NB__VERSIONED_SOLID(nb_credentials, 0, 3);

/* For other sockets, the system returns credentials that mean nothing. */
static bool is_unix(const nb_conn *conn)
{
    nb_address local;

    (void)nb__socket_local(conn->waitable.fd, &local);
    return nb_address_family(&local) == NB_FAMILY_UNIX;
}

nb_status nb_conn_peer_credentials(const nb_conn *conn, nb_credentials *out)
{
    nb_credentials known = {sizeof(known), -1, -1, -1};
    int rc = -EOPNOTSUPP;

    if (out == NULL || !nb__versioned_sized(out))
        return NB_INVALID;
    if (conn != NULL && is_unix(conn))
        rc = nb__sys_peer_credentials(conn->waitable.fd, &known.pid, &known.uid, &known.gid);
    (void)nb__versioned_write(out, &known, sizeof(known),
                              0xff); /* unknown is -1: 0 is the superuser */
    if (conn == NULL)
        return NB_INVALID;
    return rc < 0 ? nb__status_of_errno(-rc) : NB_OK;
}
