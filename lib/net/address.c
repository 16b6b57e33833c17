/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Socket addresses: read strictly, written canonically, compared by meaning. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "net/address_internal.h"

#include "base/decimal.h"
#include "base/text.h"
#include "sys/sys.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

_Static_assert(sizeof(struct sockaddr_un) <= sizeof(((nb_address *)0)->storage), "fits");
_Static_assert(sizeof(struct sockaddr_in6) <= sizeof(((nb_address *)0)->storage), "fits");

#define UNIX_NAME_OFFSET offsetof(struct sockaddr_un, sun_path)
#define UNIX_NAME_MAX (sizeof(((struct sockaddr_un *)0)->sun_path))
#define HOST_TEXT_MAX (INET6_ADDRSTRLEN + IF_NAMESIZE)

static nb_address store(const void *sockaddr, size_t length)
{
    nb_address address;

    memset(&address, 0, sizeof(address));
    memcpy(address.storage, sockaddr, length);
    address.length = (uint32_t)length;
    return address;
}

static nb_address ipv4(struct in_addr host, uint16_t port)
{
    struct sockaddr_in in;

    memset(&in, 0, sizeof(in));
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr = host;
    return store(&in, sizeof(in));
}

static nb_address ipv6(const struct in6_addr *host, uint16_t port, uint32_t zone)
{
    struct sockaddr_in6 in6;

    if (IN6_IS_ADDR_V4MAPPED(host)) {
        struct in_addr mapped;

        memcpy(&mapped, &host->s6_addr[12], sizeof(mapped));
        return ipv4(mapped, port);
    }
    memset(&in6, 0, sizeof(in6));
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    in6.sin6_addr = *host;
    in6.sin6_scope_id = zone;
    return store(&in6, sizeof(in6));
}

/* A name of at most UNIX_NAME_MAX bytes: a path, or an abstract name with its leading NUL. */
static nb_address unix_address(const char *name, size_t length)
{
    struct sockaddr_un un;
    bool path = length > 0 && name[0] != '\0';
    size_t stored = path && length < UNIX_NAME_MAX ? length + 1 : length;

    memset(&un, 0, sizeof(un));
    un.sun_family = AF_UNIX;
    memcpy(un.sun_path, name, length);
    return store(&un, UNIX_NAME_OFFSET + stored);
}

static struct sockaddr_in as_ipv4(const nb_address *address)
{
    struct sockaddr_in in;

    memcpy(&in, address->storage, sizeof(in));
    return in;
}

static struct sockaddr_in6 as_ipv6(const nb_address *address)
{
    struct sockaddr_in6 in6;

    memcpy(&in6, address->storage, sizeof(in6));
    return in6;
}

/* The bytes of a Unix socket's name: none when it is unnamed, a leading NUL when it is abstract. */
static const char *unix_name(const nb_address *address, size_t *length)
{
    const char *name = (const char *)address->storage + UNIX_NAME_OFFSET;

    *length = address->length - UNIX_NAME_OFFSET;
    if (*length > 0 && name[0] != '\0')
        *length = strnlen(name, *length);
    return name;
}

const char *nb__address_path(const nb_address *address)
{
    size_t length = 0;
    const char *name = NULL;

    if (nb_address_family(address) == NB_FAMILY_UNIX)
        name = unix_name(address, &length);
    return length > 0 && name[0] == '/' ? name : NULL;
}

int nb__address_domain(const nb_address *address)
{
    struct sockaddr head;

    if (address->length == 0)
        return AF_UNSPEC;
    memcpy(&head, address->storage, sizeof(head));
    return head.sa_family;
}

nb_address nb__address_from(const struct sockaddr *from, socklen_t length)
{
    nb_address none;
    nb_address raw;

    memset(&none, 0, sizeof(none));
    if (length < sizeof(sa_family_t))
        return none;
    raw = store(from, length < sizeof(raw.storage) ? length : sizeof(raw.storage));
    switch (nb__address_domain(&raw)) {
    case AF_INET:
        return length < sizeof(struct sockaddr_in)
                   ? none
                   : ipv4(as_ipv4(&raw).sin_addr, nb_address_port(&raw));
    case AF_INET6: {
        struct sockaddr_in6 in6 = as_ipv6(&raw);

        return length < sizeof(in6) ? none
                                    : ipv6(&in6.sin6_addr, ntohs(in6.sin6_port), in6.sin6_scope_id);
    }
    case AF_UNIX: {
        size_t named;
        const char *name = unix_name(&raw, &named);

        return unix_address(name, named < UNIX_NAME_MAX ? named : UNIX_NAME_MAX);
    }
    default:
        return none;
    }
}

const struct sockaddr *nb__address_sockaddr(const nb_address *address, socklen_t *length)
{
    *length = (socklen_t)address->length;
    return (const struct sockaddr *)address->storage;
}

nb_address nb__address_any(nb_family family, uint16_t port)
{
    struct in_addr any = {htonl(INADDR_ANY)};

    return family == NB_FAMILY_IPV4 ? ipv4(any, port) : ipv6(&in6addr_any, port, 0);
}

nb_address nb__address_loopback(nb_family family, uint16_t port)
{
    struct in_addr loopback = {htonl(INADDR_LOOPBACK)};

    return family == NB_FAMILY_IPV4 ? ipv4(loopback, port) : ipv6(&in6addr_loopback, port, 0);
}

nb_address nb__address_with_port(const nb_address *address, uint16_t port)
{
    struct sockaddr_in6 in6 = as_ipv6(address);

    if (nb_address_family(address) == NB_FAMILY_IPV4)
        return ipv4(as_ipv4(address).sin_addr, port);
    return ipv6(&in6.sin6_addr, port, in6.sin6_scope_id);
}

nb_family nb_address_family(const nb_address *address)
{
    if (address == NULL)
        return NB_FAMILY_NONE;
    switch (nb__address_domain(address)) {
    case AF_INET:
        return NB_FAMILY_IPV4;
    case AF_INET6:
        return NB_FAMILY_IPV6;
    case AF_UNIX:
        return NB_FAMILY_UNIX;
    default:
        return NB_FAMILY_NONE;
    }
}

uint16_t nb_address_port(const nb_address *address)
{
    switch (nb_address_family(address)) {
    case NB_FAMILY_IPV4:
        return ntohs(as_ipv4(address).sin_port);
    case NB_FAMILY_IPV6:
        return ntohs(as_ipv6(address).sin6_port);
    default:
        return 0;
    }
}

static bool same_host(const nb_address *a, const nb_address *b)
{
    struct sockaddr_in6 a6;
    struct sockaddr_in6 b6;

    if (nb_address_family(a) == NB_FAMILY_IPV4)
        return as_ipv4(a).sin_addr.s_addr == as_ipv4(b).sin_addr.s_addr;
    a6 = as_ipv6(a);
    b6 = as_ipv6(b);
    return memcmp(&a6.sin6_addr, &b6.sin6_addr, sizeof(a6.sin6_addr)) == 0 &&
           a6.sin6_scope_id == b6.sin6_scope_id;
}

bool nb__address_lacks_zone(const nb_address *address)
{
    struct sockaddr_in6 in6;

    if (nb_address_family(address) != NB_FAMILY_IPV6)
        return false;
    in6 = as_ipv6(address);
    return IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) && in6.sin6_scope_id == 0;
}

static bool same_unix_name(const nb_address *a, const nb_address *b)
{
    size_t a_length;
    size_t b_length;
    const char *a_name = unix_name(a, &a_length);
    const char *b_name = unix_name(b, &b_length);

    return a_length == b_length && memcmp(a_name, b_name, a_length) == 0;
}

bool nb_address_equal(const nb_address *a, const nb_address *b)
{
    if (a == NULL || b == NULL || nb_address_family(a) != nb_address_family(b))
        return false;
    switch (nb_address_family(a)) {
    case NB_FAMILY_NONE:
        return true;
    case NB_FAMILY_UNIX:
        return same_unix_name(a, b);
    default:
        return same_host(a, b) && nb_address_port(a) == nb_address_port(b);
    }
}

bool nb__address_same_peer(const nb_address *a, const nb_address *b)
{
    nb_family family = nb_address_family(a);
    struct sockaddr_in6 a6;
    struct sockaddr_in6 b6;

    if (family != nb_address_family(b))
        return false;
    if (family == NB_FAMILY_IPV4)
        return same_host(a, b);
    if (family != NB_FAMILY_IPV6)
        return false;
    a6 = as_ipv6(a);
    b6 = as_ipv6(b);
    return memcmp(&a6.sin6_addr, &b6.sin6_addr, 8) == 0 && a6.sin6_scope_id == b6.sin6_scope_id;
}

static const char *split_host(struct nb__host_port *out, const char *text, const char **rest)
{
    out->bracketed = text[0] == '[';
    if (out->bracketed) {
        out->host = text + 1;
        *rest = strchr(text, ']');
        if (*rest == NULL)
            return "the closing ] is missing";
        out->host_length = (size_t)(*rest - out->host);
        *rest += 1;
        return **rest == ':' ? NULL : "expected :PORT after ]";
    }
    out->host = text;
    *rest = strchr(text, ':');
    if (*rest == NULL)
        return "expected HOST:PORT";
    if (strchr(*rest + 1, ':') != NULL)
        return "expected one colon; IPv6 addresses stand in brackets";
    out->host_length = (size_t)(*rest - text);
    return NULL;
}

const char *nb__host_port_split(struct nb__host_port *out, const char *text, uint16_t least)
{
    const char *rest;
    const char *problem = split_host(out, text, &rest);
    uint32_t port;

    if (problem != NULL)
        return problem;
    if (!nb__decimal_read(rest + 1, strlen(rest + 1), UINT16_MAX, &port) || port < least)
        return least == 0
                   ? "the port must be a decimal number from 0 to 65535, without leading zeroes"
                   : "the port must be a decimal number from 1 to 65535, without leading zeroes";
    out->port = (uint16_t)port;
    return NULL;
}

/* Whether an address is incomplete without a zone (RFC 4007 section 6). */
static bool has_zones(const struct in6_addr *host)
{
    return IN6_IS_ADDR_LINKLOCAL(host) || IN6_IS_ADDR_MC_LINKLOCAL(host);
}

/* Whether it could be the name of an interface; otherwise the system is not asked. */
static bool looks_like_interface(const char *name)
{
    return name[0] != '\0' && strnlen(name, IF_NAMESIZE) < IF_NAMESIZE &&
           name[strcspn(name, "/: \t\n\v\f\r")] == '\0' && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

static const char *read_zone(const char *zone, const struct in6_addr *host, uint32_t *out)
{
    int index;

    if (nb__decimal_read(zone, strlen(zone), UINT32_MAX, out) && *out != 0)
        return NULL;
    if (!has_zones(host))
        return "only a link-local address can have an interface's name for its zone";
    index = looks_like_interface(zone) ? nb__sys_if_index(zone) : -1;
    if (index < 0)
        return "the zone is not an interface of this machine";
    *out = (uint32_t)index;
    return NULL;
}

static const char *read_ipv6(char *host, uint16_t port, nb_address *out)
{
    struct in6_addr parsed;
    uint32_t zone = 0;
    char *percent = strchr(host, '%');
    const char *problem = NULL;

    if (percent != NULL)
        *percent = '\0';
    if (inet_pton(AF_INET6, host, &parsed) != 1)
        return "not an IPv6 address";
    if (percent != NULL)
        problem = read_zone(percent + 1, &parsed, &zone);
    if (problem == NULL)
        *out = ipv6(&parsed, port, zone);
    return problem;
}

const char *nb__host_port_literal(const struct nb__host_port *pair, nb_address *out)
{
    char host[HOST_TEXT_MAX];
    struct in_addr parsed;

    if (pair->host_length >= sizeof(host))
        return "too long for an address";
    memcpy(host, pair->host, pair->host_length);
    host[pair->host_length] = '\0';
    if (pair->bracketed)
        return read_ipv6(host, pair->port, out);
    if (inet_pton(AF_INET, host, &parsed) != 1)
        return "not an IPv4 address of four decimal parts";
    *out = ipv4(parsed, pair->port);
    return NULL;
}

const char *nb__unix_name_read(const char *name, nb_address *out)
{
    char bytes[UNIX_NAME_MAX];
    size_t length = strlen(name);
    bool abstract = name[0] == '@';

    if (name[0] != '/' && !abstract)
        return "expected unix:/PATH or unix:@NAME";
    if (abstract && length == 1)
        return "the name is missing behind the @";
    /* A path is followed by a NUL, an abstract name begins with one. */
    if (length + !abstract > sizeof(bytes))
        return "too long for the name of a Unix socket";
    memcpy(bytes, name, length);
    if (abstract)
        bytes[0] = '\0';
    *out = unix_address(bytes, length);
    return NULL;
}

nb_status nb_address_parse(nb_address *out, const char *text)
{
    struct nb__host_port pair;

    if (out == NULL || text == NULL)
        return NB_INVALID;
    if (strncmp(text, "unix:", 5) == 0)
        return nb__unix_name_read(text + 5, out) == NULL ? NB_OK : NB_BAD_ENDPOINT;
    if (nb__host_port_split(&pair, text, 0) != NULL || nb__host_port_literal(&pair, out) != NULL)
        return NB_BAD_ENDPOINT;
    return NB_OK;
}

static void format_ipv4(struct nb__text *text, const nb_address *address)
{
    struct sockaddr_in in = as_ipv4(address);
    char host[INET_ADDRSTRLEN];

    (void)inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
    nb__text_add(text, "%s:%u", host, (unsigned)ntohs(in.sin_port));
}

/* Whether the name of an interface, which may be nearly anything, can be written in an address: it
   is printable, has no closing bracket, and reads back as this zone, not as the number of
   another. */
static bool is_plain_zone(const char *name, const struct in6_addr *host, uint32_t zone)
{
    uint32_t back;

    for (const char *c = name; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || *c == ']')
            return false;
    }
    return read_zone(name, host, &back) == NULL && back == zone;
}

static void format_zone(struct nb__text *text, const struct in6_addr *host, uint32_t zone)
{
    char name[IF_NAMESIZE];

    if (has_zones(host) && nb__sys_if_name(zone, name) == 0 && is_plain_zone(name, host, zone))
        nb__text_add(text, "%%%s", name);
    else
        nb__text_add(text, "%%%u", (unsigned)zone);
}

static void format_ipv6(struct nb__text *text, const nb_address *address)
{
    struct sockaddr_in6 in6 = as_ipv6(address);
    char host[INET6_ADDRSTRLEN];

    (void)inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
    nb__text_add(text, "[%s", host);
    if (in6.sin6_scope_id != 0)
        format_zone(text, &in6.sin6_addr, in6.sin6_scope_id);
    nb__text_add(text, "]:%u", (unsigned)ntohs(in6.sin6_port));
}

static void format_unix(struct nb__text *text, const nb_address *address)
{
    size_t length;
    const char *name = unix_name(address, &length);
    bool abstract = length > 0 && name[0] == '\0';

    nb__text_add(text, abstract ? "unix:@" : "unix:");
    if (abstract || (length > 0 && name[0] == '@')) {
        name++;
        length--;
        if (!abstract) /* a path that must not look like an abstract name */
            nb__text_add(text, "\\x%02x", '@');
    }
    nb__text_add_escaped(text, name, length);
}

const char *nb_address_format(const nb_address *address, char *buf, size_t capacity)
{
    struct nb__text text;

    if (buf == NULL || capacity == 0)
        return "";
    text = nb__text_in(buf, capacity);
    switch (nb_address_family(address)) {
    case NB_FAMILY_IPV4:
        format_ipv4(&text, address);
        break;
    case NB_FAMILY_IPV6:
        format_ipv6(&text, address);
        break;
    case NB_FAMILY_UNIX:
        format_unix(&text, address);
        break;
    default:
        nb__text_add(&text, "(none)");
        break;
    }
    return buf;
}
