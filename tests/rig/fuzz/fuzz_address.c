/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Fuzzes addresses: what is read is written and read back the same, from text and from the
 *         kernel's structures; and what is written is one printable line. */
#include "fuzz.h"
#include "net/address_internal.h"

#include <netinet/in.h>
#include <sys/un.h>

/* Whether a Unix name does not read back: it has bytes that are written as \xNN, or none at all, or
   it is a path that leaves no room for its NUL. */
static bool is_one_way(const char *text)
{
    size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);

    return (strncmp(text, "unix:/", 6) == 0 && strlen(text + 5) == room) ||
           strchr(text, '\\') != NULL || strcmp(text, "unix:") == 0 ||
           strcmp(text, "unix:@") == 0 || strcmp(text, "(none)") == 0 ||
           (strncmp(text, "unix:", 5) == 0 && text[5] != '/' && text[5] != '@');
}

/* A copy that is cut is the front of the whole, or says that it is cut. */
static void check_cut(const nb_address *address, const char *whole, size_t capacity)
{
    char cut[NB_ADDRESS_TEXT_MAX + 1];

    memset(cut, 'x', sizeof(cut));
    require(nb_address_format(address, cut, capacity) == (capacity == 0 ? cut + 0 : cut) ||
            capacity == 0);
    require(cut[capacity] == 'x');
    if (capacity == 0)
        return;
    require(strlen(cut) < capacity);
    require(strlen(whole) < capacity ? strcmp(cut, whole) == 0 : strlen(cut) == capacity - 1);
}

static void check_address(const nb_address *address, size_t capacity)
{
    char text[NB_ADDRESS_TEXT_MAX];
    char again[NB_ADDRESS_TEXT_MAX];
    nb_address back;

    memset(text, 'x', sizeof(text));
    require(nb_address_format(address, text, sizeof(text)) == text);
    require(memchr(text, '\0', sizeof(text)) != NULL);
    require_printable(text);
    require(strlen(text) + 1 < sizeof(text)); /* nothing was cut */
    require(nb_address_equal(address, address));
    check_cut(address, text, capacity % sizeof(text));
    if (is_one_way(text))
        return;
    require(nb_address_parse(&back, text) == NB_OK);
    require(nb_address_equal(address, &back) && nb_address_equal(&back, address));
    require(nb_address_family(address) == nb_address_family(&back));
    require(nb_address_port(address) == nb_address_port(&back));
    require(nb__address_same_peer(address, &back) ==
            (nb_address_family(address) == NB_FAMILY_IPV4 ||
             nb_address_family(address) == NB_FAMILY_IPV6));
    require(strcmp(nb_address_format(&back, again, sizeof(again)), text) == 0);
}

static void check_text(const char *text, size_t capacity)
{
    nb_address unchanged;
    nb_address address;
    nb_status status;

    memset(&unchanged, 0xa5, sizeof(unchanged));
    address = unchanged;
    status = nb_address_parse(&address, text);
    require(status == NB_OK || status == NB_BAD_ENDPOINT);
    if (status == NB_OK)
        check_address(&address, capacity);
    else
        require(memcmp(&address, &unchanged, sizeof(address)) == 0);
}

/* An IPv4 address that is mapped into IPv6 must not be seen as one. */
static void check_mapped(const nb_address *address, const struct sockaddr_in6 *in6)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = in6->sin6_port};
    nb_address plain;

    if (!IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        require(nb_address_family(address) == NB_FAMILY_IPV6);
        return;
    }
    memcpy(&in.sin_addr, in6->sin6_addr.s6_addr + 12, 4);
    plain = nb__address_from((const struct sockaddr *)&in, sizeof(in));
    require(nb_address_family(address) == NB_FAMILY_IPV4 && nb_address_equal(address, &plain));
}

/* What the kernel may tell, of any length. */
static void check_raw(struct input *in, size_t capacity)
{
    static const sa_family_t families[] = {AF_INET, AF_INET6, AF_INET6, AF_UNIX, AF_UNIX};
    static const size_t lengths[] = {sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6),
                                     sizeof(struct sockaddr_un), sizeof(struct sockaddr_storage)};
    struct sockaddr_storage raw;
    size_t which = input_number(in, COUNT(families));
    size_t length = input_number(in, COUNT(lengths));
    bool mapped = input_byte(in) > 200;
    nb_address address;

    length = length < COUNT(lengths) ? lengths[length] : input_number(in, sizeof(raw));
    memset(&raw, 0, sizeof(raw));
    memcpy(&raw, in->data, in->size < sizeof(raw) ? in->size : sizeof(raw));
    if (which < COUNT(families))
        raw.ss_family = families[which];
    if (mapped)
        memcpy(&((struct sockaddr_in6 *)&raw)->sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    address = nb__address_from((const struct sockaddr *)&raw, (socklen_t)length);
    check_address(&address, capacity);
    if (raw.ss_family == AF_INET6 && length >= sizeof(struct sockaddr_in6))
        check_mapped(&address, (const struct sockaddr_in6 *)&raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t flags = input_byte(&in);
    size_t capacity = input_number(&in, NB_ADDRESS_TEXT_MAX);
    char text[600];

    if ((flags & 1) != 0) {
        check_raw(&in, capacity);
        return 0;
    }
    if (in.size >= sizeof(text))
        in.size = sizeof(text) - 1;
    memcpy(text, in.data, in.size);
    text[in.size] = '\0';
    check_text(text, capacity);
    return 0;
}
