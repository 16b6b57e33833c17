/* SPDX-License-Identifier: MIT */
/**
 * @file
 * @brief The address of one socket, as a value: read, write, compare.
 */
#ifndef NETBASICS_ADDRESS_H
#define NETBASICS_ADDRESS_H

#include <netbasics/error.h>
#include <netbasics/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** @defgroup address Addresses
 *  @brief IPv4, IPv6 with its zone, and Unix socket addresses.
 *
 *  An address is a plain value: copy it, keep it, compare it with nb_address_equal(). An IPv4
 *  address mapped into IPv6 (<tt>@::ffff:192.0.2.1</tt>) becomes plain IPv4 wherever it enters, so
 *  that one peer has one address and an access check cannot be slipped past.
 *  @{
 */

/** @brief The kind of an address. */
typedef enum nb_family {
    NB_FAMILY_NONE = 0, /**< No address: the value is all zeroes, or the system did not tell. */
    NB_FAMILY_IPV4 = 1, /**< IPv4. */
    NB_FAMILY_IPV6 = 2, /**< IPv6, never an IPv4-mapped one. */
    NB_FAMILY_UNIX = 3  /**< A Unix socket: a path, an abstract name, or unnamed. */
} nb_family;

/**
 * @brief The address of one socket.
 *
 * All zeroes is the address of no socket (::NB_FAMILY_NONE). The members are private.
 */
typedef struct nb_address {
    uint64_t storage[16]; /**< Private: room for every struct sockaddr the library knows. */
    uint32_t length;      /**< Private: how many bytes of it are in use. */
} nb_address;

/** @brief Bytes that the text of any address needs, the final NUL included. */
#define NB_ADDRESS_TEXT_MAX 448

NB_BEGIN_DECLS

/**
 * @brief Reads a numeric address.
 *
 * The forms are `192.0.2.1:80`, `[2001:db8::1]:80`, `[fe80::1%2]:80`, `unix:/path` and `unix:@name`
 * (Linux's abstract names). A port is decimal, 0 to 65535, nothing else; IPv4 is exactly four
 * decimal parts without leading zeroes; a zone is the number of an interface or, for a link-local
 * address, its name. Host names are never looked up, and the system is asked for an interface only
 * after the rest was found valid.
 *
 * @param[out] out  receives the address; unchanged on failure.
 * @param text      the text, NUL-terminated.
 * @retval NB_OK            the address was read.
 * @retval NB_BAD_ENDPOINT  the text is not of one of these forms.
 * @retval NB_INVALID       an argument is NULL.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread; not for signal handlers. (inet_pton(3), if_nametoindex(3),
 * RFC 4007 for zones, unix(7).)
 * @sample{values.c, nb_address_parse}
 */
NB_NODISCARD NB_API nb_status nb_address_parse(nb_address *out, const char *text);

/**
 * @brief Writes an address as text, in the form that nb_address_parse() reads.
 *
 * IPv6 is written in the canonical form of RFC 5952, with its zone as the name of the interface, or
 * as its number if the name would not read back. Bytes of a Unix path that are not printable ASCII,
 * the backslash, and an @ at the start of a path come out as `\xNN`, so that the line is safe to
 * print. A path that contains any does not read back; neither does one that fills its 108 bytes
 * without a NUL. An unnamed Unix socket is `unix:`, and no address, or NULL, is `(none)`.
 *
 * @param address   the address.
 * @param[out] buf  receives the text and a NUL, cut to fit. NB_ADDRESS_TEXT_MAX bytes always
 *                  suffice.
 * @param capacity  bytes of @p buf; with 0 nothing is written.
 * @return @p buf, so that the call can stand as an argument; "" when @p capacity is 0 or @p buf is
 *         NULL.
 *
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread; not for signal handlers.
 * @sample{values.c, nb_address_format}
 */
NB_API const char *nb_address_format(const nb_address *address, char *buf, size_t capacity);

/**
 * @brief Returns the kind of an address.
 * @param address  the address.
 * @return its family; ::NB_FAMILY_NONE for NULL.
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread and from a signal handler.
 * @sample{values.c, nb_address_family}
 */
NB_API nb_family nb_address_family(const nb_address *address);

/**
 * @brief Returns the port of an address.
 * @param address  the address.
 * @return the port in host byte order; 0 for families that have none, and for NULL.
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread and from a signal handler.
 * @sample{values.c, nb_address_family}
 */
NB_API uint16_t nb_address_port(const nb_address *address);

/**
 * @brief Compares two addresses.
 * @param a  one address.
 * @param b  the other.
 * @return true when family, host, port and (IPv6) zone, or (Unix) name, are the same. The flow
 *         label of IPv6 does not count. Two unnamed Unix sockets are equal, and so are two values
 *         without an address. false when one is NULL.
 * @par Blocking, threads, signals
 * Never blocks; safe from any thread and from a signal handler.
 * @sample{values.c, nb_address_equal}
 */
NB_API bool nb_address_equal(const nb_address *a, const nb_address *b);

NB_END_DECLS

/** @} */

#endif
