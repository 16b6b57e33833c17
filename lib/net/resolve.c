/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief From an endpoint to the addresses to try. */
#undef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L

#include "net/resolve.h"

#include "net/address_internal.h"
#include "net/lookup.h"
#include "sys/sys.h"

#include <netdb.h>
#include <stdbool.h>

/* Adds an address once: some resolvers, and some hosts files, repeat them. */
static void add(struct nb__addresses *out, nb_address address)
{
    for (size_t i = 0; i < out->count; i++) {
        if (nb_address_equal(&out->list[i], &address))
            return;
    }
    if (out->count < NB__ADDRESSES_MAX)
        out->list[out->count++] = address;
}

/* The first entry of a family, starting at `entry`. */
static const struct addrinfo *next_of(nb_family family, const struct addrinfo *entry)
{
    for (; entry != NULL; entry = entry->ai_next) {
        nb_address host = nb__address_from(entry->ai_addr, entry->ai_addrlen);

        if (nb_address_family(&host) == family)
            break;
    }
    return entry;
}

static bool comes_before(const struct addrinfo *a, const struct addrinfo *b)
{
    while (a != NULL && a != b)
        a = a->ai_next;
    return a == b;
}

/* RFC 8305 section 4: the families alternate, beginning with that of the first address; within a
   family the resolver's order (RFC 6724) is kept. */
static void add_in_turns(struct nb__addresses *out, const struct addrinfo *found, uint16_t port)
{
    static const nb_family families[] = {NB_FAMILY_IPV6, NB_FAMILY_IPV4};
    const struct addrinfo *next[] = {next_of(families[0], found), next_of(families[1], found)};
    size_t turn = next[1] != NULL && comes_before(next[1], next[0]) ? 1 : 0;

    for (; next[0] != NULL || next[1] != NULL; turn = 1 - turn) {
        nb_address host;

        if (next[turn] == NULL)
            continue;
        host = nb__address_from(next[turn]->ai_addr, next[turn]->ai_addrlen);
        add(out, nb__address_with_port(&host, port));
        next[turn] = next_of(families[turn], next[turn]->ai_next);
    }
}

static struct nb__result look_up(struct nb__addresses *out, const struct nb__endpoint *endpoint,
                                 struct nb__cancels *cancels, nb_deadline by)
{
    struct addrinfo *found;
    struct nb__result result = nb__lookup(&found, endpoint->host, cancels, by);

    if (result.status != NB_OK)
        return result;
    add_in_turns(out, found, endpoint->port);
    nb__sys_freeaddrinfo(found);
    return out->count > 0 ? nb__ok() : nb__failure(NB_NAME_NOT_FOUND, 0);
}

size_t nb__resolve_local(nb_address out[2], const struct nb__endpoint *endpoint)
{
    if (endpoint->kind == NB__ENDPOINT_LITERAL || endpoint->kind == NB__ENDPOINT_UNIX) {
        out[0] = endpoint->address;
        return 1;
    }
    if (endpoint->kind == NB__ENDPOINT_ANY) {
        out[0] = nb__address_any(NB_FAMILY_IPV4, endpoint->port);
        out[1] = nb__address_any(NB_FAMILY_IPV6, endpoint->port);
    } else {
        out[0] = nb__address_loopback(NB_FAMILY_IPV4, endpoint->port);
        out[1] = nb__address_loopback(NB_FAMILY_IPV6, endpoint->port);
    }
    return 2;
}

struct nb__result nb__resolve(struct nb__addresses *out, const struct nb__endpoint *endpoint,
                              struct nb__cancels *cancels, nb_deadline by)
{
    out->count = 0;
    switch (endpoint->kind) {
    case NB__ENDPOINT_LOCALHOST: /* in the order of RFC 6724 */
        add(out, nb__address_loopback(NB_FAMILY_IPV6, endpoint->port));
        add(out, nb__address_loopback(NB_FAMILY_IPV4, endpoint->port));
        return nb__ok();
    case NB__ENDPOINT_NAME:
        return look_up(out, endpoint, cancels, by);
    default:
        out->count = nb__resolve_local(out->list, endpoint);
        return nb__ok();
    }
}
