/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Endpoints: parsed strictly, before any resolver sees them. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "net/endpoint.h"

#include "base/decimal.h"
#include "base/error_internal.h"
#include "net/address_internal.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

nb_status nb__endpoint_refuse(nb_error *err, const char *operation, const char *text,
                              const char *why)
{
    struct nb__text message = nb__error_begin(err, NB_BAD_ENDPOINT, 0);

    nb__text_add(&message, "%s \"", operation);
    nb__text_add_target(&message, text);
    nb__text_add(&message, "\": %s: %s", nb_status_text(NB_BAD_ENDPOINT), why);
    return NB_BAD_ENDPOINT;
}

static const char *read_unix(struct nb__endpoint *out, const char *name)
{
    out->kind = NB__ENDPOINT_UNIX;
    return nb__unix_name_read(name, &out->address);
}

static const char *read_fd(struct nb__endpoint *out, const char *number)
{
    uint32_t fd;

    if (!nb__decimal_read(number, strlen(number), INT_MAX, &fd))
        return "expected the number of a descriptor, as in fd:3";
    out->kind = NB__ENDPOINT_FD;
    out->fd = (int)fd;
    return NULL;
}

static const char *read_systemd(struct nb__endpoint *out, const char *name)
{
    out->kind = NB__ENDPOINT_SYSTEMD;
    return name[0] == '\0' ? NULL : "expected nothing behind systemd:";
}

static const struct {
    const char *scheme;
    const char *(*read)(struct nb__endpoint *out, const char *rest);
} schemes[] = {{"unix:", read_unix}, {"fd:", read_fd}, {"systemd:", read_systemd}};

/* The length of a host name without a trailing dot: with or without it, it is the same name. */
static size_t name_length(const char *host, size_t length)
{
    return length > 0 && host[length - 1] == '.' ? length - 1 : length;
}

/* "localhost", and every name below it. */
static bool is_localhost(const char *host)
{
    static const char localhost[] = "localhost";
    size_t end = name_length(host, strlen(host));
    size_t start;

    if (end < strlen(localhost))
        return false;
    start = end - strlen(localhost);
    return strncasecmp(host + start, localhost, strlen(localhost)) == 0 &&
           (start == 0 || host[start - 1] == '.');
}

/* Old resolvers, and nothing else, take a host whose last label is a number, such as "1", "127.1"
   or "0x7f.1", for an IPv4 address: only the full form is accepted. */
static bool looks_numeric(const char *host)
{
    static const char digits[] = "0123456789";
    static const char hex_digits[] = "0123456789abcdefABCDEF";
    size_t end = name_length(host, strlen(host));
    size_t start = end;
    size_t length;

    while (start > 0 && host[start - 1] != '.')
        start--;
    length = end - start;
    if (strncasecmp(host + start, "0x", 2) == 0 && length > 2)
        return strspn(host + start + 2, hex_digits) == length - 2;
    return length > 0 && strspn(host + start, digits) == length;
}

static const char *read_name(struct nb__endpoint *out, const struct nb__host_port *pair)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

    if (name_length(pair->host, pair->host_length) > NB__HOST_NAME_MAX)
        return "the host name is too long";
    memcpy(out->host, pair->host, pair->host_length);
    out->host[pair->host_length] = '\0';
    if (looks_numeric(out->host))
        return "a numeric host must be four decimal parts, as in 127.0.0.1";
    if (strspn(out->host, allowed) != pair->host_length)
        return "the host has a character that no host name has";
    out->kind = is_localhost(out->host) ? NB__ENDPOINT_LOCALHOST : NB__ENDPOINT_NAME;
    return NULL;
}

static const char *read_host(struct nb__endpoint *out, const struct nb__host_port *pair)
{
    const char *problem = nb__host_port_literal(pair, &out->address);

    if (problem == NULL) {
        out->kind = NB__ENDPOINT_LITERAL;
        return nb__address_lacks_zone(&out->address)
                   ? "a link-local address needs a zone, as in [fe80::1%eth0]:80"
                   : NULL;
    }
    if (pair->bracketed)
        return problem;
    if (pair->host_length == 0 || (pair->host_length == 1 && pair->host[0] == '*')) {
        out->kind = NB__ENDPOINT_ANY;
        return NULL;
    }
    return read_name(out, pair);
}

/* Returns NULL, or what is wrong with the text. */
static const char *read_text(struct nb__endpoint *out, const char *text, uint16_t least_port)
{
    struct nb__host_port pair;
    const char *problem;

    for (size_t i = 0; i < COUNT(schemes); i++) {
        size_t length = strlen(schemes[i].scheme);

        if (strncmp(text, schemes[i].scheme, length) == 0)
            return schemes[i].read(out, text + length);
    }
    problem = nb__host_port_split(&pair, text, least_port);
    if (problem != NULL)
        return problem;
    out->port = pair.port;
    return read_host(out, &pair);
}

nb_status nb__endpoint_parse(struct nb__endpoint *out, const char *operation, const char *text,
                             uint16_t least_port, nb_error *err)
{
    const char *problem;

    memset(out, 0, sizeof(*out));
    out->fd = -1;
    problem = read_text(out, text, least_port);
    return problem == NULL ? NB_OK : nb__endpoint_refuse(err, operation, text, problem);
}
