/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Reports failures of the library to people: what failed, why, and what they can do about it. */
#include "failure.h"

#include "escape.h"
#include "standard_io.h"
#include <errno.h>
#include <string.h>

static const char *advice_on_address(int system_error)
{
    if (system_error == ENOENT)
        return "; check the path";
    if (system_error == EADDRNOTAVAIL)
        return "; expected an address of this machine and a free port";
    return "";
}

/* What people can do about a failure, where the message alone does not say it. */
static const char *advice(nb_status status, int system_error)
{
    switch (status) {
    case NB_REFUSED:
        return "; is a server running there?";
    case NB_TIMEOUT:
        return "; --timeout-ms allows more time";
    case NB_UNREACHABLE:
        return "; check the address and the network";
    case NB_NAME_NOT_FOUND:
        return "; check the spelling of the host name";
    case NB_NAME_TEMPORARY:
        return "; check the network, and try again";
    case NB_ADDRESS_IN_USE:
        return "; is it running already? Choose another path or port (0: any free port)";
    case NB_ADDRESS_UNAVAILABLE:
        return advice_on_address(system_error);
    case NB_PERMISSION:
        return "; choose another port or path, or get permission to use this one";
    case NB_NO_DESCRIPTORS:
        return "; raise the limit on open files (ulimit -n)";
    case NB_BAD_ENDPOINT:
        return "; see --help";
    default:
        return "";
    }
}

int fail_with(const nb_error *err)
{
    return fail("%s%s", err->message, advice(err->status, err->system_error));
}

int fail_to_receive(const char *endpoint, nb_status status)
{
    char text[ESCAPED_ARGUMENT_MAX];

    escape(text, sizeof text, endpoint, strlen(endpoint));
    return fail("receive from %s: %s%s", text,
                status == NB_EOF ? "the answer was cut short" : nb_status_text(status),
                advice(status, 0));
}
