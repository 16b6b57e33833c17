/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of the zones of IPv6 addresses, on a machine whose interfaces have odd names
 *         (support/interfaces.c). */
#include "interfaces.h"
#include "net/address_internal.h"
#include "support.h"

/* fe80::1 at an interface, as the kernel tells it. */
static nb_address at_zone(uint32_t zone)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = zone};

    in6.sin6_addr.s6_addr[0] = 0xfe;
    in6.sin6_addr.s6_addr[1] = 0x80;
    in6.sin6_addr.s6_addr[15] = 1;
    return nb__address_from((const struct sockaddr *)&in6, sizeof(in6));
}

static void assert_text(uint32_t zone, const char *expected)
{
    nb_address address = at_zone(zone);
    char text[NB_ADDRESS_TEXT_MAX];
    nb_address back;

    assert_string_equal(nb_address_format(&address, text, sizeof(text)), expected);
    assert_status(nb_address_parse(&back, text), NB_OK);
    assert_true(nb_address_equal(&address, &back));
}

#define TEST(name) TEST_AS(name, cmocka_unit_test)

TEST(zone_is_written_as_its_interface_name)
{
    assert_text(1, "[fe80::1%lo]:0");
    assert_text(2, "[fe80::1%eth0]:0");
    assert_text(7, "[fe80::1%br-lan.7]:0");
    assert_text(9, "[fe80::1%a%b]:0");
    assert_text(12, "[fe80::1%fifteen-letters]:0");
}

TEST(zone_whose_name_is_another_interfaces_index_is_written_as_an_index)
{
    assert_text(3, "[fe80::1%3]:0"); /* it is called "7" */
}

TEST(zone_whose_name_contains_a_bracket_is_written_as_an_index)
{
    assert_text(8, "[fe80::1%8]:0");
    assert_text(16, "[fe80::1%16]:0");
}

TEST(zone_with_an_unprintable_name_is_written_as_an_index)
{
    assert_text(11, "[fe80::1%11]:0");
    assert_text(18, "[fe80::1%18]:0");
    assert_text(19, "[fe80::1%19]:0");
}

TEST(zone_without_an_interface_is_written_as_an_index)
{
    assert_text(99, "[fe80::1%99]:0");
    assert_text(2147483648, "[fe80::1%2147483648]:0");
    assert_text(4294967295, "[fe80::1%4294967295]:0");
}

TEST(every_zone_reads_back)
{
    for (uint32_t zone = 0; zone < 100; zone++) {
        nb_address address = at_zone(zone);
        char text[NB_ADDRESS_TEXT_MAX];
        nb_address back;

        (void)nb_address_format(&address, text, sizeof(text));
        if (nb_address_parse(&back, text) != NB_OK || !nb_address_equal(&address, &back))
            fail_msg("zone %u, %s, is written %s", (unsigned)zone,
                     odd_interface(zone) != NULL ? odd_interface(zone) : "no interface", text);
    }
}

/* Text that a stranger may have chosen: asking makes the kernel look, and perhaps load a module. */
TEST(only_zones_of_valid_link_local_addresses_are_looked_up)
{
    static const char *const texts[] = {
        "[%lo]:80",          "[fe80::1::2%lo]:80",  "[fe80::1 %lo]:80",
        "[::1%lo]:80",       "[2001:db8::1%lo]:80", "[::ffff:127.0.0.1%lo]:80",
        "[fe80::1%]:80",     "[fe80::1%../lo]:80",  "[fe80::1%a b]:80",
        "[fe80::1%lo:1]:80", "[fe80::1%lo\n]:80",   "[fe80::1%sixteen-letters-]:80",
        "[fe80::1%lo]:x",    "[fe80::1%lo]",        "[fe80::1%.]:80",
        "[fe80::1%..]:80",
    };
    int asked = interfaces_asked();

    for (size_t i = 0; i < COUNT(texts); i++) {
        nb_address address;

        if (nb_address_parse(&address, texts[i]) != NB_BAD_ENDPOINT)
            fail_msg("%s is taken", texts[i]);
    }
    assert_int_equal(interfaces_asked(), asked);
}

TEST(zone_of_an_address_without_scope_is_written_as_an_index)
{
    nb_address address;
    char text[NB_ADDRESS_TEXT_MAX];

    assert_status(nb_address_parse(&address, "[2001:db8::1%1]:80"), NB_OK);
    assert_string_equal(nb_address_format(&address, text, sizeof(text)), "[2001:db8::1%1]:80");
}
