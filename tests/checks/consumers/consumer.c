/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Uses a little of the library, in what C and C++ have in common. */
#include <netbasics/netbasics.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    nb_listen_options options = NB_LISTEN_OPTIONS_INIT;
    nb_listener *listener;
    nb_error err;

    if (strcmp(nb_version(), NB_VERSION_STRING) != 0)
        return 1;
    if (nb_listen(&listener, "127.0.0.1:0", &options, &err) != NB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    nb_listener_close(listener);
    return 0;
}
