/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of addresses: read strictly, written canonically, compared as people mean it. */
#include "net/address_internal.h"
#include "support.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/un.h>

#define UNIX_OFFSET offsetof(struct sockaddr_un, sun_path)
#define UNIX_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

/* Fails with the text that did it. */
#define check(condition, text)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("\"%s\": %s", text, #condition);                                              \
    } while (0)

static nb_address parsed(const char *text)
{
    nb_address address;

    check(nb_address_parse(&address, text) == NB_OK, text);
    return address;
}

/* Good until the next call. */
static const char *formatted(nb_address address)
{
    static char text[NB_ADDRESS_TEXT_MAX];

    return nb_address_format(&address, text, sizeof(text));
}

static void check_is_written(nb_address address, const char *expected)
{
    if (strcmp(formatted(address), expected) != 0)
        fail_msg("\"%s\", not \"%s\"", formatted(address), expected);
}

static void check_reads_as(const char *text, const char *expected)
{
    if (strcmp(formatted(parsed(text)), expected) != 0)
        fail_msg("\"%s\" reads as \"%s\", not \"%s\"", text, formatted(parsed(text)), expected);
}

static bool are_equal(nb_address a, nb_address b)
{
    return nb_address_equal(&a, &b);
}

/* What the system is given; the length has to be that of the structure. */
static struct sockaddr_in6 as_ipv6(nb_address address)
{
    struct sockaddr_in6 in6;
    socklen_t length;

    memcpy(&in6, nb__address_sockaddr(&address, &length), sizeof(in6));
    assert_int_equal(length, sizeof(in6));
    return in6;
}

/* The text is refused, and the address that was there stays. */
static void check_refused(const char *text)
{
    nb_address address;
    nb_address before;

    memset(&address, 0x5a, sizeof(address));
    before = address;
    check(nb_address_parse(&address, text) == NB_BAD_ENDPOINT, text);
    check(memcmp(&address, &before, sizeof(address)) == 0, text);
}

#define check_all_refused(...) check_each_refused(TEXTS(__VA_ARGS__))
static void check_each_refused(const char *const *texts)
{
    for (; *texts != NULL; texts++)
        check_refused(*texts);
}

/* As the port of either family. */
#define check_all_ports_refused(...) check_each_port_refused(TEXTS(__VA_ARGS__))
static void check_each_port_refused(const char *const *ports)
{
    char text[64];

    for (; *ports != NULL; ports++) {
        (void)snprintf(text, sizeof(text), "127.0.0.1:%s", *ports);
        check_refused(text);
        (void)snprintf(text, sizeof(text), "[::1]:%s", *ports);
        check_refused(text);
    }
}

/* Two addresses, and whether a question about them is answered with yes, whichever comes first. */
struct question {
    const char *a;
    const char *b;
    bool answer;
};

static void check_answers(bool (*ask)(const nb_address *, const nb_address *),
                          const struct question *questions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nb_address a = parsed(questions[i].a);
        nb_address b = parsed(questions[i].b);

        if (ask(&a, &b) != questions[i].answer || ask(&b, &a) != questions[i].answer)
            fail_msg("\"%s\" and \"%s\"", questions[i].a, questions[i].b);
    }
}

static nb_address from_ipv6(const char *host, uint16_t port, uint32_t flow, uint32_t zone)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_port = htons(port),
                               .sin6_flowinfo = htonl(flow),
                               .sin6_scope_id = zone};

    assert_int_equal(inet_pton(AF_INET6, host, &in6.sin6_addr), 1);
    return nb__address_from((const struct sockaddr *)&in6, sizeof(in6));
}

/* As the kernel gives it: name_length bytes count, whatever the rest of the structure holds. */
static nb_address from_unix(const void *name, size_t name_length)
{
    union {
        struct sockaddr head;
        struct sockaddr_un un;
        char bytes[256];
    } from;

    memset(&from, 'X', sizeof(from));
    from.un.sun_family = AF_UNIX;
    memcpy(from.bytes + UNIX_OFFSET, name, name_length);
    return nb__address_from(&from.head, (socklen_t)(UNIX_OFFSET + name_length));
}

#define TEST(name) TEST_AS(name, cmocka_unit_test)

TEST(family_values_are_frozen)
{
    assert_int_equal(NB_FAMILY_NONE, 0);
    assert_int_equal(NB_FAMILY_IPV4, 1);
    assert_int_equal(NB_FAMILY_IPV6, 2);
    assert_int_equal(NB_FAMILY_UNIX, 3);
}

TEST(zeroed_address_is_no_address)
{
    nb_address none = {{0}, 0};

    assert_int_equal(nb_address_family(&none), NB_FAMILY_NONE);
    assert_int_equal(nb_address_port(&none), 0);
    assert_int_equal(nb__address_domain(&none), AF_UNSPEC);
    check_is_written(none, "(none)");
}

TEST(null_arguments_of_parse_are_invalid)
{
    nb_address address = {{0}, 0};

    assert_int_equal(nb_address_parse(NULL, "127.0.0.1:80"), NB_INVALID);
    assert_int_equal(nb_address_parse(&address, NULL), NB_INVALID);
    assert_int_equal(nb_address_parse(NULL, NULL), NB_INVALID);
    assert_int_equal(nb_address_family(&address), NB_FAMILY_NONE);
}

TEST(canonical_addresses_read_back_as_they_are)
{
    const char *const *text = TEXTS(
        "127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "192.0.2.1:1", "10.20.30.40:9999",
        "[::]:0", "[::1]:80", "[2001:db8::1]:443", "[2001:db8:1:2:3:4:5:6]:65535",
        "[ff02::fb]:5353", "[fe80::1]:22", "[fe80::1%4711]:22", "[64:ff9b::1]:80",
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "unix:/", "unix://",
        "unix:/run/service/socket", "unix:/with space/and:colon", "unix:/@", "unix:@a",
        "unix:@/looks/like/a/path", "unix:@with space", "unix:@@");

    for (; *text != NULL; text++)
        check_reads_as(*text, *text);
}

TEST(parse_returns_the_family_and_port_of_the_text)
{
    static const struct {
        const char *text;
        nb_family family;
        int domain;
        uint16_t port;
    } rows[] = {
        {"127.0.0.1:80", NB_FAMILY_IPV4, AF_INET, 80},
        {"127.0.0.1:0", NB_FAMILY_IPV4, AF_INET, 0},
        {"127.0.0.1:65535", NB_FAMILY_IPV4, AF_INET, 65535},
        {"[::1]:256", NB_FAMILY_IPV6, AF_INET6, 256},
        {"[::]:0", NB_FAMILY_IPV6, AF_INET6, 0},
        {"[::ffff:192.0.2.1]:1", NB_FAMILY_IPV4, AF_INET, 1},
        {"unix:/run/80", NB_FAMILY_UNIX, AF_UNIX, 0},
        {"unix:@80", NB_FAMILY_UNIX, AF_UNIX, 0},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        nb_address address = parsed(rows[i].text);

        check(nb_address_family(&address) == rows[i].family, rows[i].text);
        check(nb__address_domain(&address) == rows[i].domain, rows[i].text);
        check(nb_address_port(&address) == rows[i].port, rows[i].text);
    }
}

TEST(every_port_reads_back)
{
    char text[32];

    for (unsigned port = 0; port <= 65535; port++) {
        nb_address address;

        (void)snprintf(text, sizeof(text), "127.0.0.1:%u", port);
        address = parsed(text);
        check(nb_address_port(&address) == port, text);
        check_is_written(address, text);
    }
}

TEST(port_that_is_not_plain_decimal_is_refused)
{
    check_all_ports_refused("", " ", " 80", "80 ", "+80", "-1", "-0", "080", "00", "0080", "0x50",
                            "x50", "80x", "80a", "8 0", "8.0", "80.", "80,", "1e3", "http", "\t80",
                            "80\n", "80\r", "\n", "80/", "80#", "%38%30", "\xd9\xa8", "80%", "*",
                            "$", "0b1", "\"80\"", "80\x7f", "'80'", "(80)");
}

TEST(port_above_65535_is_refused)
{
    check_all_ports_refused("65536", "65537", "65616", "99999", "100000", "131152", "4294967296",
                            "4294967376", "9999999999", "18446744073709551616",
                            "18446744073709551696", "99999999999999999999",
                            "340282366920938463463374607431768211536");
}

TEST(ipv4_that_is_not_four_plain_decimal_parts_is_refused)
{
    check_all_refused("1:80", "127.1:80", "127.0.1:80", "1.2.3:80", "1.2.3.:80", ".1.2.3:80",
                      "1..2.3:80", "1.2.3.4.:80", "1.2.3.4.5:80", "0177.0.0.1:80", "01.2.3.4:80",
                      "1.2.3.04:80", "00.0.0.0:80", "0x7f.1:80", "0x7f.0.0.1:80", "0x7f000001:80",
                      "2130706433:80", "256.1.1.1:80", "1.1.1.256:80", "1.1.1.999:80",
                      "1.1.1.4294967297:80", "-1.1.1.1:80", "+1.1.1.1:80", "1.1.1.-1:80",
                      "127.0.0.1 x:80", "127.0.0.1 :80", " 127.0.0.1:80", "127.0.0.1\n:80",
                      "127.0.0.1%lo:80", "1.2.3.a:80", "127.0.0.1/8:80");
}

TEST(text_that_is_not_host_and_port_is_refused)
{
    check_all_refused("", " ", ":", "::", "80", "127.0.0.1", "127.0.0.1:80:90", "127.0.0.1::80",
                      "127.0.0.1:80 ", " 127.0.0.1:80", "127.0.0.1 80", "127.0.0.1,80",
                      "http://127.0.0.1:80", "127.0.0.1:80/", "user@127.0.0.1:80");
}

TEST(name_instead_of_a_numeric_host_is_refused)
{
    check_all_refused("localhost:80", "*:80", ":80", "example.org:80", "[localhost]:80",
                      "ip6-localhost:80", "a:1");
}

TEST(ipv6_is_written_as_rfc_5952_says)
{
    check_reads_as("[2001:DB8::AbCd]:80", "[2001:db8::abcd]:80");
    check_reads_as("[2001:0db8::0001]:80", "[2001:db8::1]:80");
    check_reads_as("[2001:db8:0:0:0:0:2:1]:80", "[2001:db8::2:1]:80");
    check_reads_as("[2001:db8::0:1]:80", "[2001:db8::1]:80");
    check_reads_as("[2001:db8:0:1:1:1:1:1]:80", "[2001:db8:0:1:1:1:1:1]:80");
    check_reads_as("[2001:db8::1:1:1:1:1]:80", "[2001:db8:0:1:1:1:1:1]:80");
    check_reads_as("[2001:0:0:1:0:0:0:1]:80", "[2001:0:0:1::1]:80");
    check_reads_as("[2001:db8:0:0:1:0:0:1]:80", "[2001:db8::1:0:0:1]:80");
    check_reads_as("[2001:db8::1:0:0:1]:80", "[2001:db8::1:0:0:1]:80");
    check_reads_as("[0:0:0:0:0:0:0:0]:0", "[::]:0");
    check_reads_as("[0:0:0:0:0:0:0:1]:80", "[::1]:80");
    check_reads_as("[1:0:0:0:0:0:0:0]:80", "[1::]:80");
    check_reads_as("[fe80:0000:0000:0000:0200:00ff:fe00:0001]:80", "[fe80::200:ff:fe00:1]:80");
    check_reads_as("[2001:db8::192.0.2.1]:80", "[2001:db8::c000:201]:80");
}

TEST(broken_ipv6_is_refused)
{
    check_all_refused("[]:80", "[:]:80", "[:::]:80", "[1]:80", "[1:2:3:4:5:6:7]:80",
                      "[1:2:3:4:5:6:7:8:9]:80", "[1::2::3]:80", "[12345::]:80", "[g::1]:80",
                      "[::1 ]:80", "[ ::1]:80", "[::-1]:80", "[1:2:3:4:5:6:7:]:80",
                      "[:1:2:3:4:5:6:7]:80", "[::1/128]:80", "[::256.0.0.1]:80", "[::01.0.0.1]:80",
                      "[::1.2.3]:80", "[127.0.0.1]:80", "[[::1]]:80");
}

TEST(broken_brackets_are_refused)
{
    check_all_refused("::1:80", "::1", "[::1", "[::1:80", "::1]:80", "[::1]", "[::1]80",
                      "[::1] :80", "[::1]x:80", "[::1]:", "[", "]", "[]", "[::1]]:80", "x[::1]:80",
                      " [::1]:80", "[::1]::80", "[::1]:80:90", "2001:db8::1:80");
}

TEST(host_of_any_length_is_handled_safely)
{
    char text[600];

    for (int length = 1; length < 500; length++) {
        (void)snprintf(text, sizeof(text), "%0*d:80", length, 1);
        check_refused(text);
        (void)snprintf(text, sizeof(text), "[%0*d]:80", length, 1);
        check_refused(text);
        (void)snprintf(text, sizeof(text), "[fe80::1%%%0*d]:80", length + 1, 1);
        check_refused(text);
    }
}

TEST(zone_may_be_an_interface_name)
{
    if (if_nametoindex("lo") == 0)
        skip();
    assert_int_equal(as_ipv6(parsed("[fe80::1%lo]:80")).sin6_scope_id, if_nametoindex("lo"));
    check_reads_as("[fe80::1%lo]:80", "[fe80::1%lo]:80");
}

TEST(zone_may_be_an_interface_index)
{
    char text[64];

    if (if_nametoindex("lo") == 0)
        skip();
    (void)snprintf(text, sizeof(text), "[fe80::1%%%u]:80", if_nametoindex("lo"));
    check_reads_as(text, "[fe80::1%lo]:80");
}

TEST(zone_index_without_an_interface_is_kept)
{
    check_reads_as("[fe80::1%2147483646]:80", "[fe80::1%2147483646]:80");
}

TEST(zone_of_an_address_that_is_no_interface_is_refused)
{
    check_all_refused("[fe80::1%]:80", "[fe80::1%0]:80", "[fe80::1%00]:80", "[fe80::1%01]:80",
                      "[fe80::1%-1]:80", "[fe80::1%+1]:80", "[fe80::1%0x1]:80", "[fe80::1% 1]:80",
                      "[fe80::1%1 ]:80", "[fe80::1%4294967296]:80", "[fe80::1%4294967297]:80",
                      "[fe80::1%18446744073709551617]:80", "[fe80::1%nosuchif]:80",
                      "[fe80::1%LO]:80", "[fe80::1%lo ]:80", "[fe80::1%lo%lo]:80",
                      "[fe80::1%lo%]:80", "[fe80::1%%lo]:80", "[%lo]:80", "[fe80::1%25lo]:80",
                      "[fe80::1%a name too long for any interface]:80", "[fe80::1]%lo:80");
}

TEST(zone_with_trailing_characters_is_refused)
{
    check_all_refused("[fe80::1%lo:]:80", "[fe80::1%lo:1]:80", "[fe80::1%lo:x]:80");
}

TEST(ipv4_mapped_ipv6_is_parsed_as_ipv4)
{
    static const char *const rows[][2] = {
        {"[::ffff:192.0.2.1]:80", "192.0.2.1:80"},
        {"[::FFFF:c000:201]:80", "192.0.2.1:80"},
        {"[0:0:0:0:0:ffff:127.0.0.1]:65535", "127.0.0.1:65535"},
        {"[::ffff:0.0.0.0]:0", "0.0.0.0:0"},
        {"[::ffff:127.0.0.1%1]:80", "127.0.0.1:80"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        nb_address mapped = parsed(rows[i][0]);
        nb_address plain = parsed(rows[i][1]);

        check(nb_address_family(&mapped) == NB_FAMILY_IPV4, rows[i][0]);
        check_is_written(mapped, rows[i][1]);
        check(nb_address_equal(&mapped, &plain), rows[i][0]);
        check(nb__address_same_peer(&mapped, &plain), rows[i][0]);
    }
}

TEST(ipv4_mapped_ipv6_from_the_kernel_becomes_ipv4)
{
    nb_address address = from_ipv6("::ffff:192.0.2.1", 8080, 5, 3);
    socklen_t length;

    assert_int_equal(nb_address_family(&address), NB_FAMILY_IPV4);
    assert_int_equal(nb_address_port(&address), 8080);
    check_is_written(address, "192.0.2.1:8080");
    assert_int_equal(nb__address_sockaddr(&address, &length)->sa_family, AF_INET);
    assert_int_equal(length, sizeof(struct sockaddr_in));
}

TEST(address_similar_to_ipv4_mapped_remains_ipv6)
{
    const char *const *text =
        TEXTS("[::192.0.2.1]:80", "[::ffff:0:192.0.2.1]:80", "[64:ff9b::192.0.2.1]:80",
              "[::fffe:192.0.2.1]:80", "[::1:ffff:192.0.2.1]:80");

    for (; *text != NULL; text++) {
        nb_address address = parsed(*text);

        check(nb_address_family(&address) == NB_FAMILY_IPV6, *text);
    }
}

TEST(flow_label_from_the_kernel_is_dropped)
{
    nb_address address = from_ipv6("2001:db8::1", 80, 0x12345, 0);

    assert_int_equal(as_ipv6(address).sin6_flowinfo, 0);
    check_is_written(address, "[2001:db8::1]:80");
}

TEST(short_or_unknown_socket_addresses_give_an_unset_address)
{
    static const struct {
        const char *what;
        int family;
        size_t length;
    } rows[] = {
        {"nothing", AF_INET, 0},
        {"half a family", AF_INET, 1},
        {"only a family", AF_INET, sizeof(sa_family_t)},
        {"short IPv4", AF_INET, sizeof(struct sockaddr_in) - 1},
        {"short IPv6", AF_INET6, sizeof(struct sockaddr_in6) - 1},
        {"IPv6 as long as IPv4", AF_INET6, sizeof(struct sockaddr_in)},
        {"no family", AF_UNSPEC, sizeof(struct sockaddr_storage)},
        {"unknown family", 250, sizeof(struct sockaddr_storage)},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sockaddr_storage from = {.ss_family = (sa_family_t)rows[i].family};
        nb_address address =
            nb__address_from((const struct sockaddr *)&from, (socklen_t)rows[i].length);

        check(nb_address_family(&address) == NB_FAMILY_NONE, rows[i].what);
        check(strcmp(formatted(address), "(none)") == 0, rows[i].what);
    }
}

TEST(socket_address_longer_than_its_family_needs_is_accepted)
{
    union {
        struct sockaddr head;
        struct sockaddr_in in;
        char bytes[512];
    } from;

    memset(&from, 0x7f, sizeof(from));
    from.in.sin_family = AF_INET;
    check_is_written(nb__address_from(&from.head, sizeof(from)), "127.127.127.127:32639");
}

TEST(socket_address_is_the_one_that_bind_takes)
{
    nb_address four = parsed("192.0.2.1:80");
    struct sockaddr_in6 in6 = as_ipv6(parsed("[2001:db8::1%7]:443"));
    struct sockaddr_in in;
    socklen_t length;

    memcpy(&in, nb__address_sockaddr(&four, &length), sizeof(in));
    assert_int_equal(length, sizeof(in));
    assert_int_equal(in.sin_family, AF_INET);
    assert_int_equal(ntohs(in.sin_port), 80);
    assert_int_equal(ntohl(in.sin_addr.s_addr), 0xc0000201);
    assert_int_equal(in6.sin6_family, AF_INET6);
    assert_int_equal(ntohs(in6.sin6_port), 443);
    assert_int_equal(in6.sin6_scope_id, 7);
    assert_int_equal(in6.sin6_addr.s6_addr[15], 1);
}

TEST(addresses_survive_conversion_to_sockaddr_and_back)
{
    const char *const *text = TEXTS("127.0.0.1:80", "[::1]:80", "[fe80::1%4711]:22", "unix:@name",
                                    "unix:/run/socket", "[::]:0", "0.0.0.0:65535");

    for (; *text != NULL; text++) {
        nb_address address = parsed(*text);
        socklen_t length;
        const struct sockaddr *kernels = nb__address_sockaddr(&address, &length);
        nb_address back = nb__address_from(kernels, length);

        check(nb_address_equal(&address, &back), *text);
        check(strcmp(formatted(back), *text) == 0, *text);
    }
}

TEST(unix_path_of_107_bytes_fits)
{
    char text[5 + UNIX_PATH_MAX + 1] = "unix:/";
    nb_address address;
    socklen_t length;

    memset(text + 6, 'p', UNIX_PATH_MAX - 2);
    address = parsed(text);
    assert_int_equal(strlen(text + 5), UNIX_PATH_MAX - 1);
    check_is_written(address, text);
    (void)nb__address_sockaddr(&address, &length);
    assert_int_equal(length, sizeof(struct sockaddr_un));
}

TEST(unix_path_of_108_bytes_or_more_is_refused)
{
    char text[5 + 1000] = "unix:/";

    memset(text + 6, 'p', UNIX_PATH_MAX - 1);
    assert_int_equal(strlen(text + 5), UNIX_PATH_MAX);
    check_refused(text);
    memset(text + 6, 'p', sizeof(text) - 7);
    check_refused(text);
}

TEST(longest_abstract_name_reads_back)
{
    char text[5 + UNIX_PATH_MAX + 1] = "unix:@";
    char name[UNIX_PATH_MAX];

    memset(text + 6, 'n', UNIX_PATH_MAX - 1);
    memset(name, 'n', sizeof(name));
    name[0] = '\0';
    check_is_written(from_unix(name, sizeof(name)), text);
    assert_true(are_equal(from_unix(name, sizeof(name)), parsed(text)));
}

TEST(abstract_name_too_long_for_the_kernel_is_refused)
{
    char text[5 + UNIX_PATH_MAX + 2] = "unix:@";

    memset(text + 6, 'n', UNIX_PATH_MAX);
    check_refused(text);
}

TEST(unix_name_that_is_neither_path_nor_abstract_is_refused)
{
    check_all_refused("unix:", "unix:@", "unix:relative", "unix:./relative", "unix: /path",
                      "unix:~/path", "unix", "UNIX:/path", "Unix:@name", " unix:/path", "/path",
                      "@name");
}

TEST(abstract_name_is_stored_with_a_leading_nul)
{
    nb_address address = parsed("unix:@name");
    struct sockaddr_un un;
    socklen_t length;

    memcpy(&un, nb__address_sockaddr(&address, &length), sizeof(un));
    assert_int_equal(length, UNIX_OFFSET + 5);
    assert_int_equal(un.sun_family, AF_UNIX);
    assert_memory_equal(un.sun_path, "\0name", 5);
}

TEST(unix_names_from_the_kernel_are_escaped)
{
    static const struct {
        const char *name;
        size_t length;
        const char *expected;
    } rows[] = {
        {"", 0, "unix:"},
        {"/run/x", 6, "unix:/run/x"},
        {"/run/x\0", 7, "unix:/run/x"},
        {"/run/x\0rest", 11, "unix:/run/x"},
        {"\0name", 5, "unix:@name"},
        {"\0na\0me", 6, "unix:@na\\x00me"},
        {"\0name\0", 6, "unix:@name\\x00"},
        {"\0", 1, "unix:@"},
        {"\0\0", 2, "unix:@\\x00"},
        {"\0\xff\x80\n", 4, "unix:@\\xff\\x80\\x0a"},
        {"/a\x1b[2J\r\n", 8, "unix:/a\\x1b[2J\\x0d\\x0a"},
        {"/a\\x00", 6, "unix:/a\\x5cx00"},
        {"/\xc3\xa9\x7f", 4, "unix:/\\xc3\\xa9\\x7f"},
        {"/%s%n", 5, "unix:/%s%n"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        nb_address address = from_unix(rows[i].name, rows[i].length);

        check(nb_address_family(&address) == NB_FAMILY_UNIX, rows[i].expected);
        check_is_written(address, rows[i].expected);
    }
}

TEST(unix_path_from_the_kernel_without_a_nul_is_whole)
{
    char path[UNIX_PATH_MAX + 1] = "/";
    nb_address address;

    memset(path + 1, 'p', UNIX_PATH_MAX - 1);
    address = from_unix(path, UNIX_PATH_MAX);
    assert_int_equal(strlen(formatted(address)), 5 + UNIX_PATH_MAX);
    assert_string_equal(formatted(address) + 5, path);
    assert_true(are_equal(address, from_unix(path, UNIX_PATH_MAX + 1)));
}

static nb_address own_address(int fd)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof(from);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&from, &length), 0);
    return nb__address_from((const struct sockaddr *)&from, length);
}

TEST(unix_names_of_real_sockets_read_back)
{
    char text[64];
    nb_address address;
    const struct sockaddr *name;
    socklen_t length;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)snprintf(text, sizeof(text), "unix:@netbasics test %ld", (long)getpid());
    address = parsed(text);
    check_is_written(own_address(fd), "unix:");
    name = nb__address_sockaddr(&address, &length);
    assert_int_equal(bind(fd, name, length), 0);
    check_is_written(own_address(fd), text);
    assert_true(are_equal(address, own_address(fd)));
    assert_int_equal(close(fd), 0);
}

TEST(longest_text_fits_into_nb_address_text_max)
{
    char name[UNIX_PATH_MAX];

    memset(name, 0xff, sizeof(name));
    assert_int_equal(strlen(formatted(from_unix(name, sizeof(name)))), 5 + 4 * UNIX_PATH_MAX);
    name[0] = '\0';
    assert_int_equal(strlen(formatted(from_unix(name, sizeof(name)))), 6 + 4 * (UNIX_PATH_MAX - 1));
    check_is_written(from_ipv6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0", 65535, 0, UINT32_MAX),
                     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0%4294967295]:65535");
}

TEST(text_is_cut_to_any_capacity)
{
    static const char *const texts[] = {"127.0.0.1:80", "[2001:db8::1%4711]:443", "unix:/run/\x01"};
    char buf[64];

    for (size_t i = 0; i < COUNT(texts); i++) {
        nb_address address = parsed(texts[i]);
        size_t whole = strlen(formatted(address));

        for (size_t capacity = 1; capacity <= sizeof(buf) - 1; capacity++) {
            memset(buf, '#', sizeof(buf));
            check(nb_address_format(&address, buf, capacity) == buf, texts[i]);
            check(memchr(buf, '\0', capacity) != NULL, texts[i]);
            check(buf[capacity] == '#', texts[i]);
            check((strcmp(buf, formatted(address)) == 0) == (capacity > whole), texts[i]);
        }
    }
}

TEST(capacity_zero_writes_nothing_and_returns_an_empty_text)
{
    nb_address address = parsed("127.0.0.1:80");
    char untouched = '#';

    assert_string_equal(nb_address_format(&address, &untouched, 0), "");
    assert_int_equal(untouched, '#');
    assert_string_equal(nb_address_format(&address, NULL, 0), "");
}

TEST(capacity_one_gives_an_empty_text)
{
    const char *const *text = TEXTS("127.0.0.1:80", "[::1]:80", "unix:/x");

    for (; *text != NULL; text++) {
        nb_address address = parsed(*text);
        char buf[] = {'#', '#'};

        check(strcmp(nb_address_format(&address, buf, 1), "") == 0, *text);
        check(buf[1] == '#', *text);
    }
}

TEST(addresses_are_equal_when_all_relevant_fields_are)
{
    static const struct question rows[] = {
        {"127.0.0.1:80", "127.0.0.1:80", true},
        {"127.0.0.1:80", "127.0.0.1:81", false},
        {"127.0.0.1:80", "127.0.0.2:80", false},
        {"127.0.0.1:80", "[::1]:80", false},
        {"0.0.0.0:80", "[::]:80", false},
        {"127.0.0.1:80", "[::ffff:127.0.0.1]:80", true},
        {"127.0.0.1:80", "[::127.0.0.1]:80", false},
        {"[::1]:80", "[0:0:0:0:0:0:0:1]:80", true},
        {"[::1]:80", "[::1]:81", false},
        {"[::1]:80", "[::2]:80", false},
        {"[2001:db8::1]:80", "[2001:db9::1]:80", false},
        {"[2001:DB8::A]:80", "[2001:db8::a]:80", true},
        {"[fe80::1%1]:80", "[fe80::1%1]:80", true},
        {"[fe80::1%1]:80", "[fe80::1%2]:80", false},
        {"[fe80::1%1]:80", "[fe80::1]:80", false},
        {"unix:/a", "unix:/a", true},
        {"unix:/a", "unix:/b", false},
        {"unix:/a", "unix:/aa", false},
        {"unix:/a", "unix:@a", false},
        {"unix:@/a", "unix:/a", false},
        {"unix:@a", "unix:@a", true},
        {"unix:@a", "unix:@aa", false},
        {"unix:@a", "unix:@A", false},
        {"unix:/127.0.0.1:80", "127.0.0.1:80", false},
    };

    check_answers(nb_address_equal, rows, COUNT(rows));
}

TEST(flow_label_does_not_affect_equality)
{
    assert_true(are_equal(from_ipv6("2001:db8::1", 80, 1, 0), from_ipv6("2001:db8::1", 80, 2, 0)));
}

TEST(bytes_after_a_unix_path_do_not_affect_equality)
{
    nb_address plain = parsed("unix:/run/x");

    assert_true(are_equal(plain, from_unix("/run/x", 6)));
    assert_true(are_equal(plain, from_unix("/run/x\0", 7)));
    assert_true(are_equal(plain, from_unix("/run/x\0garbage", 14)));
}

TEST(path_that_begins_with_an_at_sign_does_not_look_abstract)
{
    check_is_written(from_unix("\0name", 5), "unix:@name");
    check_is_written(from_unix("@name", 5), "unix:\\x40name");
    assert_false(are_equal(from_unix("@name", 5), from_unix("\0name", 5)));
}

TEST(every_byte_of_an_abstract_name_affects_equality)
{
    assert_true(are_equal(parsed("unix:@x"), from_unix("\0x", 2)));
    assert_false(are_equal(parsed("unix:@x"), from_unix("\0x\0", 3)));
    assert_false(are_equal(from_unix("\0x\0a", 4), from_unix("\0x\0b", 4)));
}

TEST(unset_address_equals_only_an_unset_address)
{
    nb_address none = {{0}, 0};

    assert_true(are_equal(none, (nb_address){{0}, 0}));
    assert_true(are_equal(from_unix("", 0), from_unix("", 0)));
    assert_false(are_equal(none, parsed("0.0.0.0:0")));
    assert_false(are_equal(none, from_unix("", 0)));
}

TEST(copy_of_an_address_is_equal_to_it)
{
    nb_address address = parsed("[2001:db8::1]:443");
    nb_address copy = address;

    assert_true(nb_address_equal(&address, &copy));
    check_is_written(copy, "[2001:db8::1]:443");
}

TEST(peers_are_the_same_by_ipv4_address_or_ipv6_network)
{
    static const struct question rows[] = {
        {"192.0.2.1:80", "192.0.2.1:81", true},
        {"192.0.2.1:80", "192.0.2.2:80", false},
        {"192.0.2.1:80", "[::ffff:192.0.2.1]:99", true},
        {"192.0.2.1:80", "[::192.0.2.1]:80", false},
        {"[2001:db8:1:2::1]:80", "[2001:db8:1:2::1]:81", true},
        {"[2001:db8:1:2::1]:80", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:80", true},
        {"[2001:db8:1:2::1]:80", "[2001:db8:1:3::1]:80", false},
        {"[2001:db8:1:2::1]:80", "[2001:db9:1:2::1]:80", false},
        {"[2001:db8:1:2::1]:80", "192.0.2.1:80", false},
        {"[fe80::1%1]:80", "[fe80::1%1]:81", true},
        {"[fe80::1%1]:80", "[fe80::2%1]:80", true},
        {"[fe80::1%1]:80", "[fe80::1%2]:80", false},
        {"[2001:db8:1:2::1]:80", "[fe80::1%1]:80", false},
        {"unix:/a", "unix:/a", false},
        {"unix:@a", "unix:@a", false},
        {"unix:/a", "192.0.2.1:80", false},
    };
    nb_address none = {{0}, 0};

    check_answers(nb__address_same_peer, rows, COUNT(rows));
    assert_false(nb__address_same_peer(&none, &none));
}

TEST(any_and_loopback_addresses_exist_in_both_families)
{
    check_is_written(nb__address_any(NB_FAMILY_IPV4, 80), "0.0.0.0:80");
    check_is_written(nb__address_any(NB_FAMILY_IPV6, 80), "[::]:80");
    check_is_written(nb__address_loopback(NB_FAMILY_IPV4, 65535), "127.0.0.1:65535");
    check_is_written(nb__address_loopback(NB_FAMILY_IPV6, 0), "[::1]:0");
}

TEST(changing_the_port_of_an_address_keeps_the_rest)
{
    static const char *const rows[][2] = {
        {"192.0.2.1:80", "192.0.2.1:8080"},
        {"[2001:db8::1]:80", "[2001:db8::1]:8080"},
        {"[fe80::1%4711]:0", "[fe80::1%4711]:8080"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        nb_address before = parsed(rows[i][0]);

        check_is_written(nb__address_with_port(&before, 8080), rows[i][1]);
    }
}

TEST(parsing_and_formatting_addresses_preserves_errno)
{
    nb_address address = {{0}, 0};

    errno = ODD_ERRNO;
    check_refused("127.1:80");
    check_refused("[::1%nosuchif]:80");
    check_reads_as("[fe80::1%2147483646]:80", "[fe80::1%2147483646]:80");
    check_reads_as("127.0.0.1:80", "127.0.0.1:80");
    (void)formatted(address);
    assert_int_equal(errno, ODD_ERRNO);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (uint32_t)(*seed >> 32);
}

TEST(all_sorts_of_ipv6_addresses_read_back)
{
    uint64_t seed = 88172645463325252U;

    for (int i = 0; i < 20000; i++) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
        nb_address address;
        uint32_t zeroes = next_random(&seed);

        in6.sin6_port = (uint16_t)next_random(&seed);
        for (int byte = 0; byte < 16; byte++) {
            if ((zeroes >> byte / 2 & 1) != 0)
                in6.sin6_addr.s6_addr[byte] = (uint8_t)next_random(&seed);
        }
        address = nb__address_from((const struct sockaddr *)&in6, sizeof(in6));
        check(are_equal(address, parsed(formatted(address))), formatted(address));
    }
}

/* Whatever nonsense is accepted after all must mean one address, written in one way. */
TEST(addresses_parsed_from_mutated_text_read_back)
{
    static const char *const texts[] = {"127.0.0.1:8080", "[2001:db8::1%7]:443",
                                        "[::ffff:1.2.3.4]:9", "unix:/run/x", "unix:@name"};
    static const char alphabet[] = "0123456789abcdefx:.[]%@/ +-*lo";
    uint64_t seed = 88172645463325252U;

    for (int i = 0; i < 200000; i++) {
        nb_address address;
        char text[64];
        size_t length;

        (void)snprintf(text, sizeof(text), "%s", texts[next_random(&seed) % COUNT(texts)]);
        length = strlen(text);
        for (uint32_t changes = next_random(&seed) % 3 + 1; changes > 0; changes--)
            text[next_random(&seed) % length] = alphabet[next_random(&seed) % strlen(alphabet)];
        if (nb_address_parse(&address, text) == NB_OK)
            check(are_equal(address, parsed(formatted(address))), text);
    }
}
