/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Fuzzes endpoints against a second reader that goes another way about it, and the messages
 *         about those that are refused. */
#include "fuzz.h"
#include "net/endpoint.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <strings.h>
#include <sys/un.h>

enum { TEXT_MAX = 700, NAME_MOST = 253 };

static bool is_unix_name(const char *name)
{
    size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);

    if (name[0] == '/')
        return strlen(name) < room;
    return name[0] == '@' && name[1] != '\0' && strlen(name) <= room;
}

/* "[v6]" and "[v6%zone]", taken apart. */
static bool is_ipv6(const char *host, struct in6_addr *out)
{
    char copy[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    unsigned long number;
    char *zone;

    if (strlen(host) >= INET6_ADDRSTRLEN + IF_NAMESIZE)
        return false;
    strcpy(copy, host); /* NOLINT: it fits */
    zone = strchr(copy, '%');
    if (zone != NULL)
        *zone++ = '\0';
    if (inet_pton(AF_INET6, copy, out) != 1)
        return false;
    if (zone == NULL || (read_number(zone, UINT32_MAX, &number) && number != 0))
        return true;
    return strcmp(zone, "lo") == 0 && (IN6_IS_ADDR_LINKLOCAL(out) || IN6_IS_ADDR_MC_LINKLOCAL(out));
}

static bool is_numeric_label(const char *label)
{
    size_t digits = strspn(label, "0123456789");

    if (strncasecmp(label, "0x", 2) == 0 && label[2] != '\0')
        return label[2 + strspn(label + 2, "0123456789abcdefABCDEF")] == '\0';
    return digits > 0 && label[digits] == '\0';
}

/* A name that a resolver may see: nothing in it that could be a number to an old one. */
static bool is_name(const char *host)
{
    char copy[TEXT_MAX];
    size_t length = strlen(host);
    const char *last;

    if (length == 0 || length > NAME_MOST + (size_t)(host[length - 1] == '.'))
        return false;
    for (size_t i = 0; i < length; i++) {
        bool is_letter = (host[i] | 0x20) >= 'a' && (host[i] | 0x20) <= 'z';

        if (!is_letter && !(host[i] >= '0' && host[i] <= '9') && strchr("-_.", host[i]) == NULL)
            return false;
    }
    memcpy(copy, host, length + 1);
    if (copy[length - 1] == '.')
        copy[length - 1] = '\0';
    last = strrchr(copy, '.');
    return !is_numeric_label(last == NULL ? copy : last + 1);
}

/* The name itself, or one below it; one dot may end either. */
static bool is_localhost(const char *host)
{
    char copy[TEXT_MAX + 1] = ".";
    size_t length = strlen(host);

    memcpy(copy + 1, host, length + 1);
    if (copy[length] == '.')
        copy[length--] = '\0';
    return length >= 9 && strcasecmp(copy + length - 9, ".localhost") == 0;
}

static bool lacks_zone(const char *host, const struct in6_addr *in6)
{
    return in6->s6_addr[0] == 0xfe && (in6->s6_addr[1] & 0xc0) == 0x80 && strchr(host, '%') == NULL;
}

/* What the text is: the kind of an endpoint, or -1. */
static int judge_host(const char *host, bool bracketed)
{
    struct in6_addr in6;
    struct in_addr in;

    if (bracketed)
        return is_ipv6(host, &in6) && !lacks_zone(host, &in6) ? (int)NB__ENDPOINT_LITERAL : -1;
    if (inet_pton(AF_INET, host, &in) == 1)
        return NB__ENDPOINT_LITERAL;
    if (host[0] == '\0' || strcmp(host, "*") == 0)
        return NB__ENDPOINT_ANY;
    if (!is_name(host))
        return -1;
    return is_localhost(host) ? NB__ENDPOINT_LOCALHOST : NB__ENDPOINT_NAME;
}

static int judge(const char *text, unsigned long *number)
{
    char host[TEXT_MAX];
    bool bracketed = text[0] == '[';
    char *end;

    *number = 0;
    if (strncmp(text, "unix:", 5) == 0)
        return is_unix_name(text + 5) ? (int)NB__ENDPOINT_UNIX : -1;
    if (strncmp(text, "fd:", 3) == 0)
        return read_number(text + 3, INT_MAX, number) ? (int)NB__ENDPOINT_FD : -1;
    if (strncmp(text, "systemd:", 8) == 0)
        return text[8] == '\0' ? (int)NB__ENDPOINT_SYSTEMD : -1;
    memcpy(host, text, strlen(text) + 1);
    end = strchr(host, bracketed ? ']' : ':');
    if (end == NULL)
        return -1;
    if (bracketed)
        *end++ = '\0';
    if (*end != ':' || !read_number(end + 1, UINT16_MAX, number))
        return -1;
    *end = '\0';
    return judge_host(host + bracketed, bracketed);
}

/* One printable line about the text, which says so when it was cut. */
static void check_message(const nb_error *err)
{
    require(memchr(err->message, '\0', sizeof(err->message)) != NULL);
    require(strncmp(err->message, "fuzz \"", 6) == 0);
    require(strstr(err->message, nb_status_text(NB_BAD_ENDPOINT)) != NULL);
    require_printable(err->message);
}

static void check(const struct nb__endpoint *endpoint, const char *text, unsigned long number)
{
    char address[NB_ADDRESS_TEXT_MAX];

    switch (endpoint->kind) {
    case NB__ENDPOINT_FD:
        require(endpoint->fd == (int)number);
        break;
    case NB__ENDPOINT_NAME:
        require(strncmp(text, endpoint->host, strlen(endpoint->host)) == 0 &&
                text[strlen(endpoint->host)] == ':');
        require(endpoint->port == number);
        break;
    case NB__ENDPOINT_LITERAL:
        require(nb_address_port(&endpoint->address) == number);
        require(strlen(nb_address_format(&endpoint->address, address, sizeof(address))) > 0);
        break;
    case NB__ENDPOINT_UNIX:
        require(nb_address_family(&endpoint->address) == NB_FAMILY_UNIX);
        break;
    default:
        require(endpoint->port == number);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX];
    size_t length = size < sizeof(text) ? size : sizeof(text) - 1;
    struct nb__endpoint endpoint;
    unsigned long number;
    nb_status status;
    nb_error err;
    int kind;

    memcpy(text, data, length);
    text[length] = '\0';
    memset(&err, 'x', sizeof(err));
    kind = judge(text, &number);
    status = nb__endpoint_parse(&endpoint, "fuzz", text, 0, &err);
    require(status == (kind >= 0 ? NB_OK : NB_BAD_ENDPOINT));
    if (status == NB_OK) {
        require((int)endpoint.kind == kind);
        check(&endpoint, text, number);
    } else {
        require(err.status == NB_BAD_ENDPOINT && err.system_error == 0);
        check_message(&err);
    }
    return 0;
}
