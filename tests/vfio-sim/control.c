/*
 * vfio-sim: the control socket of a device
 *
 * While a device is open its folder has a socket "control".  A line that is
 * sent there is a command, and one line comes back: "ok", with what was asked
 * for, or "error: " and the reason.  docs/vfio-sim.rst lists the commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "kvm.h"
#include "sim.h"
#include "real.h"

static void socket_address(SimDevice *d, struct sockaddr_un *address)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (snprintf(address->sun_path, sizeof(address->sun_path), "%s/control",
                 d->folder) >= (int)sizeof(address->sun_path)) {
        sim_die("%s: the path is too long for a socket", d->folder);
    }
}

void sim_control_open(SimDevice *d)
{
    struct sockaddr_un address;
    int i, fd;

    for (i = 0; i < SIM_MAX_CLIENTS; i++) {
        d->clients[i] = -1;
    }
    socket_address(d, &address);
    unlink(address.sun_path); /* of a process that was killed */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, SIM_MAX_CLIENTS) < 0) {
        sim_die("%s: %s", address.sun_path, strerror(errno));
    }
    d->listen_fd = sim_fd_internalize(fd);
}

static void hang_up(SimDevice *d, int i)
{
    sim_fd_close(d->clients[i]);
    d->clients[i] = -1;
    d->lines[i].length = 0;
}

void sim_control_close(SimDevice *d)
{
    struct sockaddr_un address;
    int i;

    for (i = 0; i < SIM_MAX_CLIENTS; i++) {
        hang_up(d, i);
    }
    sim_fd_close(d->listen_fd);
    d->listen_fd = -1;
    socket_address(d, &address);
    unlink(address.sun_path);
}

unsigned sim_control_poll(SimDevice *d, struct pollfd *fds)
{
    int i;

    fds[0] = (struct pollfd) { .fd = d->listen_fd, .events = POLLIN };
    for (i = 0; i < SIM_MAX_CLIENTS; i++) {
        fds[1 + i] = (struct pollfd) { .fd = d->clients[i], .events = POLLIN };
    }
    return 1 + SIM_MAX_CLIENTS;
}

static void counters(SimDevice *d, char *reply, size_t size)
{
    unsigned n, allocated = 0, used;
    SimKvmCounters kvm;
    long pool;

    sim_kvm_counters(&kvm);
    sim_host_vectors_account(&pool, &used);
    pthread_mutex_lock(&d->lock);
    for (n = 0; n < d->nr_vectors; n++) {
        allocated += d->vectors[n].allocated;
    }
    snprintf(reply, size, "ok allocated=%u triggers=%u raised=%u sent=%u "
             "pended=%u dropped=%u intx=%u signalled=%" PRIu64
             " spurious=%" PRIu64 " set_irqs=%" PRIu64 " faults=%" PRIu64
             " pool=%ld used=%u intx_wire=%d intx_unhandled=%" PRIu64
             " irqfds=%u injected=%" PRIu64 " misses=%" PRIu64
             " pba_reads=%" PRIu64,
             allocated, sim_irqs_triggers(d), d->core.raised, d->core.sent,
             d->core.pended, d->core.dropped, d->core.intx_raised,
             d->counters.signalled, d->counters.spurious, d->counters.set_irqs,
             d->counters.faults, pool, used, sim_function_intx_wire(d),
             d->counters.intx_unhandled, kvm.irqfds, kvm.injected, kvm.misses,
             d->counters.pba_reads);
    pthread_mutex_unlock(&d->lock);
}

static void fire(SimDevice *d, char *text, char *reply, size_t size)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (end == text || (*end && *end != ' ') || n >= d->nr_vectors) {
        snprintf(reply, size, "error: fire: no such vector: %s", text);
        return;
    }
    if (*end) {
        snprintf(reply, size, sim_fire_at(d, n, end) ? "ok" :
                 "error: fire: no such place");
        return;
    }
    pthread_mutex_lock(&d->lock);
    sim_function_fire(d, n);
    pthread_mutex_unlock(&d->lock);
    snprintf(reply, size, "ok");
}

static void signal_index(SimDevice *d, unsigned index, char *reply,
                         size_t size)
{
    bool done;

    pthread_mutex_lock(&d->lock);
    done = sim_irqs_signal(d, index);
    pthread_mutex_unlock(&d->lock);
    snprintf(reply, size, done ? "ok" : "error: there is no trigger");
}

static void obey(SimDevice *d, char *line, char *reply, size_t size)
{
    char error[128];

    if (!strcmp(line, "help")) {
        snprintf(reply, size, "ok counters; "
                 "fire N [at=start|window|end [call=CALL]]; "
                 "signal err|req; %s", sim_fault_help);
    } else if (!strcmp(line, "counters")) {
        counters(d, reply, size);
    } else if (!strncmp(line, "fire ", 5)) {
        fire(d, line + 5, reply, size);
    } else if (!strcmp(line, "signal err")) {
        signal_index(d, VFIO_PCI_ERR_IRQ_INDEX, reply, size);
    } else if (!strcmp(line, "signal req")) {
        signal_index(d, VFIO_PCI_REQ_IRQ_INDEX, reply, size);
    } else if (sim_fault_command(d, line, error, sizeof(error))) {
        snprintf(reply, size, "ok");
    } else {
        snprintf(reply, size, "error: %s", error);
    }
}

static bool answer(SimDevice *d, int i, char *line)
{
    char reply[512];
    size_t length;

    obey(d, line, reply, sizeof(reply) - 1);
    length = strlen(reply);
    reply[length++] = '\n';
    return send(d->clients[i], reply, length, MSG_NOSIGNAL) ==
           (ssize_t)length;
}

static void serve_client(SimDevice *d, int i)
{
    char *text = d->lines[i].text, *end;
    size_t *length = &d->lines[i].length;
    ssize_t got = recv(d->clients[i], text + *length,
                       sizeof(d->lines[i].text) - *length, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        hang_up(d, i);
        return;
    }
    *length += got;
    while ((end = memchr(text, '\n', *length))) {
        size_t used = end + 1 - text;

        *end = 0;
        if (!answer(d, i, text)) {
            hang_up(d, i);
            return;
        }
        memmove(text, end + 1, *length - used);
        *length -= used;
    }
    if (*length == sizeof(d->lines[i].text)) {
        hang_up(d, i); /* that is no command */
    }
}

static void admit(SimDevice *d)
{
    int i, fd = accept4(d->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0) {
        return;
    }
    for (i = 0; i < SIM_MAX_CLIENTS; i++) {
        if (d->clients[i] < 0) {
            d->clients[i] = sim_fd_internalize(fd);
            return;
        }
    }
    sim_real()->close(fd);
}

void sim_control_serve(SimDevice *d, const struct pollfd *fds)
{
    int i;

    for (i = 0; i < SIM_MAX_CLIENTS; i++) {
        if (fds[1 + i].revents && d->clients[i] == fds[1 + i].fd) {
            serve_client(d, i);
        }
    }
    if (fds[0].revents) {
        admit(d);
    }
}
