/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The other side of connections, by system calls alone. */
#include "fault.h"
#include "net/address_internal.h"

int peer_listen(enum transport over, char *endpoint, size_t size)
{
    struct sockaddr_storage raw;
    socklen_t length;
    int fd = raw_listener(over, &raw, &length);
    nb_address address = nb__address_from((const struct sockaddr *)&raw, length);

    (void)nb_address_format(&address, endpoint, size);
    return fd;
}

static nb_address end_of(int fd, int (*which)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_storage raw;
    socklen_t length = sizeof(raw);

    if (which(fd, (struct sockaddr *)&raw, &length) != 0)
        length = 0;
    return nb__address_from((const struct sockaddr *)&raw, length);
}

bool peer_is_unix(int fd)
{
    nb_address address = end_of(fd, getsockname);

    return nb_address_family(&address) == NB_FAMILY_UNIX;
}

/* Unix sockets have no names to be told apart by: the last one that waits is it. */
static int accept_last(int listener)
{
    struct pollfd entry = {listener, POLLIN, 0};
    int last = -1;

    while (poll(&entry, 1, last < 0 ? 5000 : 0) > 0) {
        peer_close(last);
        last = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    return last;
}

int peer_accept(int listener, int client)
{
    struct pollfd entry = {listener, POLLIN, 0};
    nb_address wanted = end_of(client, getsockname);

    if (peer_is_unix(client))
        return accept_last(listener);
    while (poll(&entry, 1, 5000) > 0) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        nb_address from = end_of(fd, getpeername);

        if (fd >= 0 && nb_address_equal(&from, &wanted))
            return fd;
        peer_close(fd); /* of an attempt that failed */
    }
    give_up("the peer was not connected to");
}

int peer_connect(const nb_address *to)
{
    socklen_t length;
    const struct sockaddr *raw = nb__address_sockaddr(to, &length);
    struct sockaddr_storage address;

    memcpy(&address, raw, length);
    return raw_connect(&address, length);
}

void peer_say(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        give_up("the peer cannot send: errno %d", errno);
}

void peer_end(int fd)
{
    (void)shutdown(fd, SHUT_WR);
}

size_t peer_hear(int fd, char *buf, size_t size, bool *ended)
{
    struct pollfd entry = {fd, POLLIN, 0};
    size_t length = 0;
    ssize_t got = 1;

    while (length < size && got > 0 && poll(&entry, 1, grace_ms) > 0) {
        got = recv(fd, buf + length, size - length, MSG_DONTWAIT);
        length += got > 0 ? (size_t)got : 0;
    }
    *ended = got == 0;
    return length;
}

void peer_close(int fd)
{
    static const struct linger at_once = {1, 0};

    if (fd < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    (void)close(fd);
}
