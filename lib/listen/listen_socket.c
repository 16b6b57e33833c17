/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief What all listening sockets have in common: their parameters and socket options. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "listen/listen_socket.h"

#include "base/versioned.h"
#include "net/socket.h"

#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>

#define MODE_MAX 0777
#define MODE_DEFAULT 0600 /* the owner only, whatever the umask */

static const char operation[] = "listen on";

static nb_status bad_mode(int64_t mode, nb_error *err)
{
    struct nb__text text = nb__error_begin(err, NB_INVALID, 0);

    nb__text_add(&text, "%s: unix_mode is %" PRId64 ", expected 0 to %d, which is 0777", operation,
                 mode, MODE_MAX);
    return NB_INVALID;
}

static struct nb__socket_options socket_options_of(const nb_listen_options *given)
{
    struct nb__socket_options options = {{
        [NB__NAGLE] = given->nagle,
        [NB__KEEPALIVE_IDLE] = given->keepalive_idle_ms,
        [NB__KEEPALIVE_INTERVAL] = given->keepalive_interval_ms,
        [NB__KEEPALIVE_COUNT] = given->keepalive_count,
        [NB__USER_TIMEOUT] = given->user_timeout_ms,
        [NB__SEND_BUFFER] = given->send_buffer_bytes,
        [NB__RECEIVE_BUFFER] = given->receive_buffer_bytes,
        [NB__REUSE_PORT] = given->reuse_port,
    }};

    return options;
}

NB__VERSIONED_SOLID(nb_listen_options, 0, 10);

nb_status nb__listen_params_read(struct nb__listen_params *out, const nb_listen_options *given,
                                 nb_error *err)
{
    nb_listen_options known;

    if (!nb__versioned_read(&known, sizeof(known), given))
        return nb__error_invalid(err, operation, NB__VERSIONED_REFUSED);
    /* The system limits it to its own maximum. */
    out->backlog = known.backlog > 0 && known.backlog < INT_MAX ? (int)known.backlog : INT_MAX;
    if (known.unix_mode < 0 || known.unix_mode > MODE_MAX)
        return bad_mode(known.unix_mode, err);
    out->has_unix_mode = known.unix_mode != 0;
    out->unix_mode = out->has_unix_mode ? (unsigned)known.unix_mode : MODE_DEFAULT;
    out->options = socket_options_of(&known);
    return nb__socket_options_check(&out->options, operation, err);
}

static int set(int fd, int level, int option)
{
    return nb__sys_setsockopt(fd, level, option, &(int){1}, sizeof(int));
}

/* The one place where a listening socket of ours gets its options: accepted connections inherit
   them. */
static struct nb__result set_up(int fd, nb_family family, const struct nb__socket_options *options)
{
    struct nb__result result = nb__socket_options_set(fd, family, options);

    if (family == NB_FAMILY_UNIX)
        (void)nb__sys_pass_rights(fd, false); /* closing a stranger's descriptor may block */
    else
        (void)set(fd, SOL_SOCKET, SO_REUSEADDR); /* a restart must not wait for TIME_WAIT */
    if (result.status != NB_OK || family != NB_FAMILY_IPV6)
        return result;
    return nb__result_about(set(fd, IPPROTO_IPV6, IPV6_V6ONLY), "IPV6_V6ONLY");
}

struct nb__result nb__listen_socket_open(const struct nb__listen_params *params,
                                         const nb_address *address, int *fd)
{
    struct nb__result result;
    int opened = nb__socket_open(address);

    *fd = -1;
    if (opened < 0)
        return nb__result_of(opened);
    result = set_up(opened, nb_address_family(address), &params->options);
    if (result.status == NB_OK)
        *fd = opened;
    else
        (void)nb__sys_close(opened);
    return result;
}
