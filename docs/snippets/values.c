/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Snippets of the reference: deadlines, addresses, errors, versions. */
#include "stage.h"

#include <string.h>

static void make_deadlines(void)
{
    /* [nb_after_ms] */
    /* One moment; pass it to every call it should bound. */
    nb_deadline by = nb_after_ms(10000);
    /* [nb_after_ms] */
    /* [nb_remaining_ms] */
    printf("%lld ms are left\n", (long long)nb_remaining_ms(by));
    /* [nb_remaining_ms] */
    /* [nb_expired] */
    while (!nb_expired(by)) {
        puts("there is still time");
        break;
    }
    /* [nb_expired] */
    EXPECT(nb_remaining_ms(by) > 0);
    /* [nb_forever] */
    /* Where somebody else ends the wait, as nb_cancel() does. */
    by = nb_forever();
    /* [nb_forever] */
    EXPECT(!nb_expired(by));
}

static void read_addresses(void)
{
    /* [nb_address_parse] */
    nb_address address;

    if (nb_address_parse(&address, "[2001:db8::1]:80") != NB_OK)
        fputs("expected ADDRESS:PORT\n", stderr);
    /* [nb_address_parse] */
    /* [nb_address_format] */
    char text[NB_ADDRESS_TEXT_MAX];

    /* [2001:db8::1]:80 */
    printf("%s\n", nb_address_format(&address, text, sizeof(text)));
    /* [nb_address_format] */
    EXPECT(strcmp(text, "[2001:db8::1]:80") == 0);
    /* [nb_address_family] */
    if (nb_address_family(&address) == NB_FAMILY_IPV6)
        printf("IPv6, port %u\n", (unsigned)nb_address_port(&address));
    /* [nb_address_family] */
    /* [nb_address_equal] */
    nb_address other;

    if (nb_address_parse(&other, "[2001:db8:0:0::1]:80") == NB_OK &&
        nb_address_equal(&address, &other))
        puts("two ways to write the same address");
    /* [nb_address_equal] */
    EXPECT(nb_address_equal(&address, &other));
}

static void name_statuses(void)
{
    nb_status status = NB_REFUSED;
    /* [nb_status_name] */
    printf("%s: %s\n", nb_status_name(status), nb_status_text(status));
    /* NB_REFUSED: connection refused */
    /* [nb_status_name] */
    EXPECT(strcmp(nb_status_name(status), "NB_REFUSED") == 0);
}

static void compare_versions(void)
{
    /* [nb_version] */
    printf("compiled with %s, running with %s\n", NB_VERSION_STRING,
           nb_version());
    /* [nb_version] */
    EXPECT(strcmp(NB_VERSION_STRING, nb_version()) == 0);
}

int main(void)
{
    make_deadlines();
    read_addresses();
    name_statuses();
    compare_versions();
    return 0;
}
