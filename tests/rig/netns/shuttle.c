/* SPDX-License-Identifier: MIT */
/** @file
 *  @brief Test support: carries packets between two TUN devices, badly. */
#include "shuttle.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#define PACKET_MAX 2048
#define UNDER_WAY_MAX 16384 /* beyond that, packets are lost, as in every network */
#define NS_PER_MS INT64_C(1000000)

struct packet {
    struct packet *next;
    int64_t due_ns;
    size_t number; /* in the order of their leaving */
    size_t length;
    int to; /* the device */
    unsigned char bytes[PACKET_MAX];
};

static struct packet packets[UNDER_WAY_MAX];
static struct packet *idle;
static struct packet *under_way; /* the first that is due first */
static struct packet *latest_due;

static struct shuttle what;
static int devices[2] = {-1, -1};
static int end_fd = -1;
static struct task carrier;
static uint32_t chance;
static atomic_size_t carried;
static atomic_size_t overtook;

/* 0 to below - 1. (A linear congruential generator, with the numbers of Numerical Recipes.) */
static int any(int below)
{
    chance = chance * 1664525u + 1013904223u;
    return (int)((chance >> 8) % (uint32_t)below);
}

static void enqueue(struct packet *packet)
{
    struct packet **place = &under_way;

    if (under_way != NULL &&
        latest_due->due_ns <= packet->due_ns) /* mostly: need not be looked for */
        place = &latest_due->next;
    while (*place != NULL && (*place)->due_ns <= packet->due_ns)
        place = &(*place)->next;
    packet->next = *place;
    *place = packet;
    if (packet->next == NULL)
        latest_due = packet;
}

static struct packet *take_idle(void)
{
    struct packet *packet = idle;

    if (packet != NULL)
        idle = packet->next;
    return packet;
}

static int64_t due(void)
{
    return now_ns() + (what.delay_ms + any(what.jitter_ms + 1)) * NS_PER_MS;
}

static void pick_up_again(const struct packet *first)
{
    struct packet *again = take_idle();

    if (again == NULL)
        return;
    memcpy(again, first, sizeof(*again));
    again->due_ns = due();
    enqueue(again);
}

/* Takes one packet from a device; false when there is none. */
static bool pick_up(int from)
{
    static size_t number;
    static unsigned char lost[PACKET_MAX];
    struct packet *packet = take_idle();
    ssize_t length = read(devices[from], packet != NULL ? packet->bytes : lost, PACKET_MAX);

    if (packet == NULL)
        return length > 0;
    if (length <= 0) {
        packet->next = idle;
        idle = packet;
        return false;
    }
    packet->length = (size_t)length;
    packet->to = 1 - from;
    packet->number = ++number;
    packet->due_ns = due();
    enqueue(packet);
    if (any(100) < what.twice_percent)
        pick_up_again(packet);
    return true;
}

/* Delivers all that is due. */
static void deliver(void)
{
    static size_t latest;

    while (under_way != NULL && under_way->due_ns <= now_ns()) {
        struct packet *packet = under_way;

        if (any(100) < what.damaged_percent)
            packet->bytes[any((int)packet->length)] ^= (unsigned char)(1 << any(8));
        carried++;
        overtook += packet->number < latest;
        latest = packet->number;
        if (write(devices[packet->to], packet->bytes, packet->length) < 0)
            carried--; /* damaged so that it is no packet any more */
        under_way = packet->next;
        packet->next = idle;
        idle = packet;
    }
}

static void carry(void *unused)
{
    struct pollfd fds[3] = {
        {devices[HERE], POLLIN, 0}, {devices[THERE], POLLIN, 0}, {end_fd, POLLIN, 0}};

    (void)unused;
    while ((fds[2].revents & POLLIN) == 0) {
        int64_t wait = under_way != NULL ? under_way->due_ns - now_ns() : 1000 * NS_PER_MS;
        struct timespec timeout = {0, 0};

        if (wait > 0) {
            timeout.tv_sec = wait / (1000 * NS_PER_MS);
            timeout.tv_nsec = wait % (1000 * NS_PER_MS);
        }
        (void)ppoll(fds, COUNT(fds), &timeout, NULL);
        for (int host = HERE; host <= THERE; host++) {
            while (pick_up(host))
                ;
        }
        deliver();
    }
}

static int device_new(enum host host)
{
    struct ifreq request;
    int fd;

    go(host);
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    go(HERE);
    if (fd < 0)
        return -1;
    memset(&request, 0, sizeof(request));
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    memcpy(request.ifr_name, "far", sizeof("far"));
    if (ioctl(fd, TUNSETIFF, &request) == 0)
        return fd;
    close(fd);
    return -1;
}

static void device_up(enum host host)
{
    go(host);
    run_command("ip addr add 10.8.0.%d/24 dev far && ip -6 addr add fd08::%d/64 dev far nodad && "
                "ip link set far up txqueuelen 10000",
                host == HERE ? 1 : 2, host == HERE ? 1 : 2);
    go(HERE);
}

static void close_all(void)
{
    for (size_t i = 0; i < COUNT(devices); i++) {
        if (devices[i] >= 0)
            close(devices[i]);
        devices[i] = -1;
    }
}

const char *shuttle_begin(const struct shuttle *how)
{
    what = *how;
    chance = 1;
    carried = 0;
    overtook = 0;
    idle = NULL;
    under_way = NULL;
    for (size_t i = 0; i < COUNT(packets); i++) {
        packets[i].next = idle;
        idle = &packets[i];
    }
    devices[HERE] = device_new(HERE);
    devices[THERE] = device_new(THERE);
    if (devices[HERE] < 0 || devices[THERE] < 0) {
        close_all();
        return "the system has no TUN devices (/dev/net/tun)";
    }
    device_up(THERE);
    device_up(HERE);
    end_fd = eventfd(0, EFD_CLOEXEC);
    assert_true(end_fd >= 0);
    task_start(&carrier, carry, NULL);
    return NULL;
}

void shuttle_counts(size_t *carried_out, size_t *overtook_out)
{
    *carried_out = carried;
    *overtook_out = overtook;
}

int shuttle_case_end(void **state)
{
    if (end_fd >= 0) {
        assert_int_equal(eventfd_write(end_fd, 1), 0);
        task_join(&carrier);
        close(end_fd);
        end_fd = -1;
        close_all();
    }
    return wire_case_end(state);
}
