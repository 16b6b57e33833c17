/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Both ends of a connection on loopback. */
#include "stage.h"

#include <string.h>

struct stage stage_listen(void)
{
    struct stage stage = {NULL, "", NULL, NULL};
    nb_address address;

    EXPECT(nb_listen(&stage.listener, "127.0.0.1:0", NULL, NULL) ==
           NB_OK);
    EXPECT(nb_listener_address(stage.listener, 0, &address) == NB_OK);
    nb_address_format(&address, stage.endpoint, sizeof(stage.endpoint));
    return stage;
}

struct stage stage_connect(void)
{
    struct stage stage = stage_listen();
    nb_deadline by = nb_after_ms(60000);

    EXPECT(nb_connect(&stage.client, stage.endpoint, NULL, by, NULL) ==
           NB_OK);
    EXPECT(nb_accept(stage.listener, &stage.server, by, NULL) == NB_OK);
    return stage;
}

void stage_close(struct stage *stage)
{
    nb_abort(stage->client);
    nb_abort(stage->server);
    nb_listener_close(stage->listener);
}

void stage_say(const struct stage *stage, const char *text)
{
    EXPECT(nb_send_all(stage->server, text, strlen(text), NULL,
                       nb_after_ms(60000)) == NB_OK);
}

void stage_say_last(const struct stage *stage, const char *text)
{
    stage_say(stage, text);
    EXPECT(nb_shutdown_send(stage->server) == NB_OK);
}
