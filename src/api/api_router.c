// SPDX-License-Identifier: Apache-2.0
#include "api/api_route.h"
#include "base/mem.h"

enum { SEGMENTS_MAX = 10 };

struct template
{
    const struct api_route *route;
    struct str segments[SEGMENTS_MAX]; /* "{name}" with its braces */
    size_t segment_count;
};

struct api_router {
    struct template *templates;
    struct metrics_route *metrics;
    size_t count;
};

static const char *const method_names[] = { "GET",   "HEAD",   "POST",    "PUT",
                                            "PATCH", "DELETE", "OPTIONS", "OTHER" };

/* Segments between slashes; SEGMENTS_MAX + 1 when there are more. */
static size_t split(struct str path, struct str segments[SEGMENTS_MAX])
{
    size_t count = 0;

    while (path.len > 0 && path.ptr[0] == '/') {
        path.ptr++;
        path.len--;
        const char *slash = memchr(path.ptr, '/', path.len);
        size_t len = slash ? (size_t)(slash - path.ptr) : path.len;
        if (count == SEGMENTS_MAX)
            return SEGMENTS_MAX + 1;
        segments[count++] = (struct str){ path.ptr, len };
        path.ptr += len;
        path.len -= len;
    }
    return count;
}

static bool is_parameter(struct str segment)
{
    return segment.len > 2 && segment.ptr[0] == '{';
}

struct api_router *api_router_free(struct api_router *router)
{
    if (router) {
        mem_free(router->templates);
        mem_free(router->metrics);
    }
    return mem_free(router);
}

struct api_router *api_router_new(const struct api_route *const *tables)
{
    struct api_router *router = mem_alloc(sizeof *router);
    size_t count = 0;

    for (const struct api_route *const *table = tables; *table; table++)
        for (const struct api_route *route = *table; route->path; route++)
            count++;
    if (!router)
        return NULL;
    router->templates = mem_alloc(count * sizeof *router->templates);
    router->metrics = mem_alloc(count * sizeof *router->metrics);
    if (!router->templates || !router->metrics)
        return api_router_free(router);
    for (; *tables; tables++)
        for (const struct api_route *route = *tables; route->path; route++) {
            struct template *template = &router->templates[router->count];
            template->route = route;
            template->segment_count = split(str_from(route->path), template->segments);
            router->metrics[router->count++] =
                (struct metrics_route){ method_names[route->method], route->path };
        }
    return router;
}

/* Literal segments only. */
static bool shape_matches(const struct template *template, const struct str *segments)
{
    for (size_t i = 0; i < template->segment_count; i++)
        if (!is_parameter(template->segments[i]) && !str_equal(template->segments[i], segments[i]))
            return false;
    return true;
}

static void take_ids(const struct template *template, const struct str *segments,
                     struct api_match *match)
{
    size_t id = 0;

    for (size_t i = 0; i < template->segment_count; i++) {
        struct str name = template->segments[i];
        if (!is_parameter(name))
            continue;
        if (!str_parse_int64(segments[i], &match->ids[id++])) {
            match->bad_id = true;
            match->bad_id_name = (struct str){ name.ptr + 1, name.len - 2 };
            return;
        }
    }
}

/* A literal path wins over one with a parameter: the tables list it first. */
void api_router_match(const struct api_router *router, enum http_method method, struct str path,
                      struct api_match *ret_match)
{
    struct str segments[SEGMENTS_MAX];
    size_t count = split(path, segments);
    const char *known_path = NULL;

    *ret_match = (struct api_match){ 0 };
    for (size_t i = 0; i < router->count; i++) {
        const struct template *template = &router->templates[i];
        const struct api_route *route = template->route;
        if (template->segment_count != count || !shape_matches(template, segments) ||
            (known_path && strcmp(known_path, route->path) != 0))
            continue;
        known_path = route->path;
        ret_match->path_known = true;
        ret_match->test_only = route->access == API_TEST;
        ret_match->by_place |=
            route->access == API_TEST || route->access == API_ADMIN || route->access == API_OPS;
        ret_match->allowed |= 1u << route->method;
        if (route->method != (method == HTTP_HEAD ? HTTP_GET : method))
            continue;
        ret_match->route = route;
        take_ids(template, segments, ret_match);
        return;
    }
}

const struct metrics_route *api_router_metrics(const struct api_router *router, size_t *ret_count)
{
    *ret_count = router->count;
    return router->metrics;
}

size_t api_router_index(const struct api_router *router, const struct api_route *route)
{
    for (size_t i = 0; i < router->count; i++)
        if (router->templates[i].route == route)
            return i;
    return router->count;
}

const struct api_route *api_router_route(const struct api_router *router, size_t index)
{
    return index < router->count ? router->templates[index].route : NULL;
}
