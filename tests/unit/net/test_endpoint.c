/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the one string that says where to connect to or listen on. */
#include "net/endpoint.h"
#include "support.h"

#include <net/if.h>

#define OPERATION "connect to"

/* Fails with the text that did it, and with what was said about it. */
#define check(condition, text)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("\"%s\" (%s): %s", text, err.message, #condition);                            \
    } while (0)

/* What a text is, or why it is none: what was there before is no part of it. */
static struct nb__endpoint endpoint;
static nb_error err;

static nb_status parse(const char *text, uint16_t least_port)
{
    memset(&endpoint, 0x5a, sizeof(endpoint));
    memset(&err, 'x', sizeof(err));
    err.message[0] = '\0';
    return nb__endpoint_parse(&endpoint, OPERATION, text, least_port, &err);
}

static struct nb__endpoint read_endpoint(const char *text)
{
    check(parse(text, 0) == NB_OK, text);
    return endpoint;
}

static bool is_printable_line(void)
{
    for (const char *c = err.message; *c != '\0'; c++) {
        if (*c < 0x20 || *c > 0x7e)
            return false;
    }
    return err.message[0] != '\0' && memchr(err.message, '\0', sizeof(err.message)) != NULL;
}

/* The text is refused, and the message names the operation, the text and what was expected. */
static void check_refused(const char *text, const char *shown, const char *expected)
{
    check(parse(text, 0) == NB_BAD_ENDPOINT, text);
    check(err.status == NB_BAD_ENDPOINT, text);
    check(err.system_error == 0, text);
    check(is_printable_line(), text);
    check(strstr(err.message, OPERATION) == err.message, text);
    check(strstr(err.message, shown) != NULL, text);
    check(strstr(err.message, nb_status_text(NB_BAD_ENDPOINT)) != NULL, text);
    if (strstr(err.message, expected) == NULL)
        fail_msg("\"%s\" (%s): does not tell \"%s\"", text, err.message, expected);
}

#define check_all_refused(expected, ...) check_each_refused(expected, TEXTS(__VA_ARGS__))
static void check_each_refused(const char *expected, const char *const *texts)
{
    for (; *texts != NULL; texts++)
        check_refused(*texts, *texts, expected);
}

static void check_kind(const char *text, enum nb__endpoint_kind kind, uint16_t port)
{
    (void)read_endpoint(text);
    if (endpoint.kind != kind || endpoint.port != port)
        fail_msg("\"%s\" is of kind %d, port %u", text, (int)endpoint.kind, endpoint.port);
}

static void check_address(const char *text, enum nb__endpoint_kind kind, const char *expected)
{
    char address[NB_ADDRESS_TEXT_MAX];

    (void)read_endpoint(text);
    check_kind(text, kind, nb_address_port(&endpoint.address));
    assert_string_equal(nb_address_format(&endpoint.address, address, sizeof(address)), expected);
}

static void check_literal(const char *text, const char *expected)
{
    check_address(text, NB__ENDPOINT_LITERAL, expected);
}

/* A name that is kept as it is written. */
static void check_name(const char *name)
{
    char text[260];

    (void)snprintf(text, sizeof(text), "%s:80", name);
    check_kind(text, NB__ENDPOINT_NAME, 80);
    assert_string_equal(endpoint.host, name);
}

#define check_all_names(...) check_each_name(TEXTS(__VA_ARGS__))
static void check_each_name(const char *const *names)
{
    for (; *names != NULL; names++)
        check_name(*names);
}

#define TEST(name) TEST_AS(name, cmocka_unit_test)

TEST(numeric_ipv4_is_a_literal)
{
    check_literal("127.0.0.1:80", "127.0.0.1:80");
    check_literal("0.0.0.0:0", "0.0.0.0:0");
    check_literal("255.255.255.255:65535", "255.255.255.255:65535");
}

TEST(ipv6_in_brackets_is_a_literal)
{
    check_literal("[::1]:80", "[::1]:80");
    check_literal("[::]:0", "[::]:0");
    check_literal("[2001:DB8:0:0::1]:65535", "[2001:db8::1]:65535");
}

TEST(ipv4_mapped_ipv6_is_an_ipv4_literal)
{
    check_literal("[::ffff:192.0.2.1]:80", "192.0.2.1:80");
}

TEST(literal_may_have_a_zone)
{
    check_literal("[fe80::1%2147483646]:80", "[fe80::1%2147483646]:80");
    if (if_nametoindex("lo") != 0)
        check_literal("[fe80::1%lo]:80", "[fe80::1%lo]:80");
}

TEST(star_or_no_host_is_every_interface)
{
    check_kind("*:80", NB__ENDPOINT_ANY, 80);
    check_kind(":80", NB__ENDPOINT_ANY, 80);
    check_kind("*:0", NB__ENDPOINT_ANY, 0);
    check_kind(":0", NB__ENDPOINT_ANY, 0);
    check_kind(":65535", NB__ENDPOINT_ANY, 65535);
}

TEST(localhost_in_any_case_is_the_loopback)
{
    check_kind("localhost:9999", NB__ENDPOINT_LOCALHOST, 9999);
    check_kind("LOCALHOST:0", NB__ENDPOINT_LOCALHOST, 0);
    check_kind("LocalHost:80", NB__ENDPOINT_LOCALHOST, 80);
    check_kind("localhosT:65535", NB__ENDPOINT_LOCALHOST, 65535);
}

TEST(localhost_with_a_trailing_dot_is_the_loopback)
{
    check_kind("localhost.:80", NB__ENDPOINT_LOCALHOST, 80);
    check_kind("LocalHost.:0", NB__ENDPOINT_LOCALHOST, 0);
}

TEST(name_below_localhost_is_the_loopback)
{
    check_kind("app.localhost:80", NB__ENDPOINT_LOCALHOST, 80);
    check_kind("App.LOCALHOST.:80", NB__ENDPOINT_LOCALHOST, 80);
    check_kind("a.b.c.localhost:80", NB__ENDPOINT_LOCALHOST, 80);
    check_kind("localhost.localhost:80", NB__ENDPOINT_LOCALHOST, 80);
}

TEST(name_similar_to_localhost_is_an_ordinary_name)
{
    check_all_names("localhost6", "localhos", "localhost.localdomain", "mylocalhost",
                    "my-localhost.", "localhost.test", "localhost..", "ocalhost");
}

TEST(host_names_are_kept_as_they_are_written)
{
    check_all_names("example.org", "Example.ORG", "a", "example.org.", "xn--bcher-kva.example",
                    "under_score", "a-b", "3com.com", "1a", "0x", "0xg", "1.2.3.4.a", "face", "a1",
                    "fd.example", "unix.example", "0xfg.x", "1.2.3.x4", "127.0.0.1.example", ".",
                    "a..", "0x.");
}

/* Where one is needed that somebody can listen at. */
TEST(port_below_the_minimum_is_refused_with_the_range)
{
    const char *const *text =
        TEXTS("localhost:0", "127.0.0.1:0", "[::1]:0", "localhost:65536", "localhost:x");

    for (; *text != NULL; text++) {
        check(parse(*text, 1) == NB_BAD_ENDPOINT, *text);
        check(strstr(err.message, "decimal number from 1 to 65535") != NULL, *text);
    }
    assert_int_equal(nb__endpoint_parse(&endpoint, OPERATION, "localhost:1", 1, NULL), NB_OK);
    assert_int_equal(nb__endpoint_parse(&endpoint, OPERATION, "fd:0", 1, NULL), NB_OK);
}

/* A name of labels that are not too long. */
static void make_name(char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        name[i] = i % 64 == 63 ? '.' : 'a';
    name[length] = '\0';
}

TEST(name_of_253_bytes_is_accepted)
{
    char name[255];

    make_name(name, 253);
    check_name(name);
    memcpy(name + 253, ".", 2); /* which is no part of the name */
    check_name(name);
}

TEST(name_of_254_bytes_or_more_is_refused)
{
    static const size_t lengths[] = {254, 255, 256, 400};
    char name[401];
    char text[410];
    char shown[201];

    for (size_t i = 0; i < COUNT(lengths); i++) {
        make_name(name, lengths[i]);
        (void)snprintf(text, sizeof(text), "%s:80", name);
        (void)snprintf(shown, sizeof(shown), "%.200s", name);
        check_refused(text, shown, "too long");
    }
}

TEST(name_with_an_invalid_character_is_refused)
{
    check_all_refused("character", "a b:80", "exa mple.org:80", " example.org:80",
                      "example.org :80", "a/b:80", "user@host:80", "a#b:80", "a%b:80", "a*:80",
                      "**:80", "*.org:80", "a,b:80", "a;b:80", "$(id):80", "`id`:80", "a'b:80",
                      "a\"b:80", "a=b:80", "a?b:80", "fe80--1%lo:80", "+1:80", "127.0.0.1 x:80",
                      "127.0.0.1/8:80", "(none):80", "a!:80");
}

TEST(byte_outside_ascii_in_a_name_is_refused_and_shown_escaped)
{
    static const char *const rows[][2] = {
        {"a\nb:80", "\"a\\x0ab:80\""},
        {"a\r\n:80", "\"a\\x0d\\x0a:80\""},
        {"\x1b[2J:80", "\"\\x1b[2J:80\""},
        {"\x7f:80", "\"\\x7f:80\""},
        {"\x01\x02:80", "\"\\x01\\x02:80\""},
        {"b\303\274cher.example:80", "\"b\\xc3\\xbccher.example:80\""},
        {"\xff\xfe:80", "\"\\xff\\xfe:80\""},
        {"a\\b:80", "\"a\\x5cb:80\""},
        {"a\tb:80", "\"a\\x09b:80\""},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_refused(rows[i][0], rows[i][1], "character");
}

TEST(control_bytes_are_escaped_wherever_they_stand)
{
    check_refused("localhost:80\n", "\"localhost:80\\x0a\"", "65535");
    check_refused("localhost:\x1b[2J", "\"localhost:\\x1b[2J\"", "65535");
    check_refused("\x07", "\"\\x07\"", "HOST:PORT");
    check_refused("[::1]\n:80", "\"[::1]\\x0a:80\"", ":PORT");
    check_refused("[\x1b]:80", "\"[\\x1b]:80\"", "IPv6");
    check_refused("[fe80::1%\x1b]:80", "\"[fe80::1%\\x1b]:80\"", "zone");
}

TEST(text_without_a_port_is_refused)
{
    check_all_refused("HOST:PORT", "", " ", "*", "80", "localhost", "127.0.0.1", "example.org", "]",
                      "/run/x", "@name", "unix", "systemd");
}

TEST(port_that_is_not_plain_decimal_up_to_65535_is_refused)
{
    const char *const *const ports =
        TEXTS("", " ", " 80", "80 ", "+80", "-1", "080", "00", "0x50", "80x", "http", "65536",
              "99999", "4294967376", "8 0", "80.0", "80/", "1e3", "*", "18446744073709551696",
              "99999999999999999999");
    static const char *const hosts[] = {"127.0.0.1", "[::1]", "localhost", "*", "", "example.org"};
    char text[64];

    for (size_t i = 0; i < COUNT(hosts); i++) {
        for (const char *const *port = ports; *port != NULL; port++) {
            (void)snprintf(text, sizeof(text), "%s:%s", hosts[i], *port);
            check_refused(text, text, "decimal number from 0 to 65535");
        }
    }
}

TEST(ipv6_without_brackets_is_refused)
{
    check_all_refused("IPv6 addresses stand in brackets", "::1:80", "::1", "::", "2001:db8::1:80",
                      "127.0.0.1:80:90", "a:b:c", "localhost::80", "::1]:80");
}

TEST(unclosed_bracket_is_refused)
{
    check_all_refused("closing ]", "[", "[::1", "[::1:80", "[localhost:80");
}

TEST(bracket_without_a_port_after_it_is_refused)
{
    check_all_refused(":PORT", "[]", "[::1]", "[::1]80", "[::1]]:80", "[::1]x:80", "[::1] :80");
}

TEST(anything_but_ipv6_in_brackets_is_refused)
{
    check_all_refused("IPv6", "[]:80", "[localhost]:80", "[127.0.0.1]:80", "[*]:80", "[1::2::3]:80",
                      "[example.org]:80", "[:::]:80", "[g::]:80");
}

TEST(zone_of_an_endpoint_that_is_no_interface_is_refused)
{
    check_all_refused("interface", "[fe80::1%]:80", "[fe80::1%nosuchif]:80", "[fe80::1%0]:80");
}

/* The kernel would only say EINVAL. Its neighbours need none. */
TEST(link_local_address_without_a_zone_is_refused)
{
    check_all_refused("zone, as in [fe80::1%eth0]:80", "[fe80::1]:80", "[fe80::]:0",
                      "[febf:ffff::1]:80");
    check_literal("[fe7f:ffff::1]:80", "[fe7f:ffff::1]:80");
    check_literal("[fec0::1]:80", "[fec0::1]:80");
}

TEST(numeric_host_that_is_not_four_decimal_parts_is_refused)
{
    check_all_refused("four decimal parts", "1:80", "0:80", "127.1:80", "127.0.1:80", "1.2.3:80",
                      "1.2.3.4.5:80", "0177.0.0.1:80", "01.2.3.4:80", "0x7f.1:80", "0x7f000001:80",
                      "2130706433:80", "256.1.1.1:80", "1.2.3.4.:80", "1.:80", "0X7F.0.0.0X1:80",
                      "1.2.3.999:80", "a.1:80", "127.0.0.0x1:80", "0xffffffff:80", "0x7f.0x1.:80",
                      "1..2:80", "example.99:80", "99999999999999:80");
}

/* "unix:" and a name of so many bytes. */
static const char *unix_text(char first, size_t length)
{
    static char text[256];

    memset(text, 'a', sizeof(text));
    memcpy(text, "unix:", 5);
    text[5] = first;
    text[5 + length] = '\0';
    return text;
}

TEST(unix_paths_and_abstract_names_are_addresses)
{
    const char *const *text = TEXTS("unix:/run/x", "unix:/", "unix:@name", "unix:@/x", "unix:/a:1");

    for (; *text != NULL; text++) {
        check_address(*text, NB__ENDPOINT_UNIX, *text);
        assert_int_equal(nb_address_family(&endpoint.address), NB_FAMILY_UNIX);
    }
}

TEST(invalid_unix_names_are_refused)
{
    check_all_refused("unix:/PATH or unix:@NAME", "unix:", "unix:x", "unix:./x", "unix: /x");
    check_refused("unix:@", "unix:@", "missing");
    check_refused("unix:a\n", "\"unix:a\\x0a\"", "unix:/PATH");
}

TEST(unix_name_too_long_for_a_socket_address_is_refused)
{
    assert_int_equal(read_endpoint(unix_text('/', 107)).kind, NB__ENDPOINT_UNIX);
    assert_int_equal(read_endpoint(unix_text('@', 108)).kind, NB__ENDPOINT_UNIX);
    check_refused(unix_text('/', 108), "unix:/aaa", "too long");
    check_refused(unix_text('@', 109), "unix:@aaa", "too long");
}

TEST(inherited_descriptor_must_be_a_plain_number)
{
    assert_int_equal(read_endpoint("fd:3").kind, NB__ENDPOINT_FD);
    assert_int_equal(read_endpoint("fd:3").fd, 3);
    assert_int_equal(read_endpoint("fd:0").fd, 0);
    assert_int_equal(read_endpoint("fd:2147483647").fd, 2147483647);
    check_all_refused("number of a descriptor", "fd:", "fd:-1", "fd:+3", "fd: 3", "fd:3 ", "fd:03",
                      "fd:2147483648", "fd:0x3", "fd:4294967299", "fd:a");
}

TEST(systemd_endpoint_has_nothing_after_the_colon)
{
    assert_int_equal(read_endpoint("systemd:").kind, NB__ENDPOINT_SYSTEMD);
    assert_int_equal(read_endpoint("systemd:").fd, -1);
    check_refused("systemd:name", "systemd:name", "nothing behind");
    check_refused("systemd", "systemd", "HOST:PORT");
}

TEST(endpoint_parser_accepts_a_null_error)
{
    assert_int_equal(nb__endpoint_parse(&endpoint, OPERATION, "localhost:80", 0, NULL), NB_OK);
    assert_int_equal(nb__endpoint_parse(&endpoint, OPERATION, "nowhere", 0, NULL), NB_BAD_ENDPOINT);
    assert_int_equal(nb__endpoint_parse(&endpoint, OPERATION, "fd:x", 0, NULL), NB_BAD_ENDPOINT);
    assert_int_equal(nb__endpoint_refuse(NULL, OPERATION, "*:80", "no"), NB_BAD_ENDPOINT);
}

TEST(endpoint_for_another_purpose_is_refused_with_the_reason)
{
    memset(&err, 'x', sizeof(err));
    assert_int_equal(nb__endpoint_refuse(&err, "connect to", "*:80\n", "only for listening"),
                     NB_BAD_ENDPOINT);
    assert_int_equal(err.status, NB_BAD_ENDPOINT);
    assert_int_equal(err.system_error, 0);
    assert_string_equal(err.message, "connect to \"*:80\\x0a\": bad endpoint: only for listening");
}

TEST(endpoint_of_any_length_gives_a_printable_message)
{
    static char text[2 * NB_ERROR_MESSAGE_MAX];

    for (size_t length = 0; length < sizeof(text) - 1; length++) {
        text[length] = (char)(1 + length % 255);
        if (text[length] == ':' || text[length] == '[')
            text[length] = 'a';
        check(parse(text, 0) == NB_BAD_ENDPOINT, text);
        check(is_printable_line(), text);
    }
}

TEST(endpoint_too_long_for_the_message_is_cut_before_the_reason)
{
    static char text[2 * NB_ERROR_MESSAGE_MAX];

    memset(text, 'a', sizeof(text) - 1);
    assert_int_equal(parse(text, 0), NB_BAD_ENDPOINT);
    assert_non_null(strstr(err.message, "a...\": bad endpoint: expected HOST:PORT"));
}

TEST(parsing_an_endpoint_preserves_errno)
{
    errno = ODD_ERRNO;
    check_literal("127.0.0.1:80", "127.0.0.1:80");
    check_refused("[fe80::1%nosuchif]:80", "nosuchif", "interface");
    check_refused("a b:80", "a b:80", "character");
    assert_int_equal(errno, ODD_ERRNO);
}
