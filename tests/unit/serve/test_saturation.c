/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Tests of when connections count as waiting in vain for a place: rows of looks, a second apart. */
#include "serve/saturation.h"
#include "support.h"

#define SAME NB__SATURATION_SAME
#define REACHED NB__SATURATION_REACHED
#define CLEARED NB__SATURATION_CLEARED

/* What happens before a look, and what the look finds and comes to. */
struct row {
    bool was_full; /* all places were taken at some time */
    bool full;     /* and are now */
    uint64_t waiting;
    uint64_t taken;
    enum nb__saturation_change change;
};

static struct nb__saturation saturation;

static void check_rows(const struct row *rows, size_t count)
{
    saturation = (struct nb__saturation){.watched = false};
    for (size_t i = 0; i < count; i++) {
        const struct nb__saturation_look look = {rows[i].full, rows[i].waiting, rows[i].taken,
                                                 rows[i].taken};

        if (rows[i].was_full)
            (void)nb__saturation_full(&saturation);
        if (nb__saturation_look(&saturation, &look) != rows[i].change)
            fail_msg("look %zu comes to something else", i);
    }
}

#define TEST(name) TEST_AS(name, CASE)

TEST(limit_is_reached_when_a_client_waits_from_check_to_check)
{
    static const struct row rows[] = {
        {true, true, 1, 10, SAME}, {false, true, 1, 10, REACHED}, {false, true, 1, 10, SAME}};

    check_rows(rows, COUNT(rows));
}

TEST(limit_is_reached_one_check_after_a_client_arrives)
{
    static const struct row rows[] = {{true, true, 0, 10, SAME},
                                      {false, true, 0, 10, SAME},
                                      {false, true, 1, 10, SAME},
                                      {false, true, 1, 10, REACHED}};

    check_rows(rows, COUNT(rows));
}

/* All who waited at the one look have got a place before the next: others wait then. */
TEST(limit_is_not_reached_while_the_queue_advances)
{
    static const struct row rows[] = {{true, true, 5, 10, SAME},
                                      {true, true, 7, 15, SAME},
                                      {true, true, 9, 22, SAME},
                                      {true, true, 3, 1000, SAME}};

    check_rows(rows, COUNT(rows));
}

TEST(limit_is_reached_when_the_queue_advances_too_slowly)
{
    static const struct row rows[] = {{true, true, 5, 10, SAME}, {true, true, 4, 14, REACHED}};

    check_rows(rows, COUNT(rows));
}

TEST(limit_is_not_reached_with_an_empty_queue_or_free_slots)
{
    static const struct row emptied[] = {{true, true, 5, 10, SAME}, {true, true, 0, 10, SAME}};
    static const struct row freed[] = {{true, true, 5, 10, SAME}, {true, false, 5, 10, SAME}};
    static const struct row newly_taken[] = {{true, false, 5, 10, SAME}, {true, true, 5, 10, SAME}};

    check_rows(emptied, COUNT(emptied));
    check_rows(freed, COUNT(freed));
    check_rows(newly_taken, COUNT(newly_taken));
}

TEST(limit_is_cleared_after_a_second_with_free_slots_throughout)
{
    static const struct row rows[] = {
        {true, true, 1, 10, SAME},      {false, true, 1, 10, REACHED},
        {false, false, 0, 11, SAME},    {true, false, 0, 20, SAME},
        {true, true, 0, 30, SAME},      {false, false, 0, 31, SAME},
        {false, false, 0, 31, CLEARED}, {true, true, 1, 40, SAME},
        {false, true, 1, 40, REACHED},
    };

    check_rows(rows, COUNT(rows));
    assert_true(saturation.watched);
}

TEST(checks_stop_when_slots_are_free_and_no_client_waits)
{
    static const struct row rows[] = {{true, true, 0, 10, SAME}, {false, false, 0, 10, SAME}};
    static const struct nb__saturation_look places = {false, 0, 10, 10};

    saturation = (struct nb__saturation){.watched = false};
    assert_true(nb__saturation_full(&saturation));
    assert_false(nb__saturation_full(&saturation));
    check_rows(rows, COUNT(rows));
    assert_true(saturation.watched);
    assert_int_equal(nb__saturation_look(&saturation, &places), SAME);
    assert_false(saturation.watched);
    assert_true(nb__saturation_full(&saturation));
}

/* Who was taken between the two counts of one look counts as taken both before and after it. */
TEST(clients_accepted_during_a_check_do_not_count_as_waiting)
{
    const struct nb__saturation_look first = {true, 3, 10, 13};
    const struct nb__saturation_look second = {true, 2, 13, 13};

    saturation = (struct nb__saturation){.watched = false};
    (void)nb__saturation_full(&saturation);
    assert_int_equal(nb__saturation_look(&saturation, &first), SAME);
    assert_int_equal(nb__saturation_look(&saturation, &second), SAME);
}
