/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief The messages when a request to listen on an endpoint is refused, or fails. */
#include "listen/open_request.h"

static const char operation[] = "listen on";

nb_status nb__open_request_has_room(const struct nb__open_request *request, size_t count)
{
    const struct nb__result result = nb__failure(NB_TOO_LONG, 0);
    struct nb__text text;

    if (count <= request->room)
        return NB_OK;
    text = nb__open_request_message(request, &result);
    nb__text_add(&text, "a listener has %d sockets at most", NB_LISTENER_SOCKETS_MAX);
    return NB_TOO_LONG;
}

nb_status nb__open_request_refuse(const struct nb__open_request *request, const char *option)
{
    return nb__open_request_failed(request,
                                   (struct nb__result){.status = NB_UNSUPPORTED, .what = option});
}

struct nb__text nb__open_request_message(const struct nb__open_request *request,
                                         const struct nb__result *result)
{
    return nb__error_about(request->err, result, operation, request->endpoint);
}

nb_status nb__open_request_failed(const struct nb__open_request *request, struct nb__result result)
{
    return nb__error_set(request->err, result, operation, request->endpoint);
}
