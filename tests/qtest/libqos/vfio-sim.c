/*
 * Client for the control sockets of tests/vfio-sim
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include "vfio-host.h"
#include "vfio-sim.h"

QVfioSim *qvfio_sim_connect(const char *device)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_autofree char *path = NULL;
    QVfioSim *s;
    int fd;

    if (!g_str_has_prefix(device, "sysfsdev=")) {
        return NULL;
    }
    path = g_build_filename(device + strlen("sysfsdev="), "control", NULL);
    if (strlen(path) >= sizeof(address.sun_path)) {
        return NULL;
    }
    strcpy(address.sun_path, path);

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(fd, >=, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return NULL;
    }

    s = g_new0(QVfioSim, 1);
    s->fd = fd;
    s->in = fdopen(fd, "r");
    s->path = g_steal_pointer(&path);
    g_assert_nonnull(s->in);
    return s;
}

void qvfio_sim_free(QVfioSim *s)
{
    fclose(s->in);
    g_free(s->path);
    g_free(s);
}

static char *ask(QVfioSim *s, const char *command)
{
    g_autofree char *line = g_strdup_printf("%s\n", command);
    char reply[1024];

    /* No SIGPIPE if QEMU is gone: libqtest reports that. */
    if (send(s->fd, line, strlen(line), MSG_NOSIGNAL) !=
        (ssize_t)strlen(line) || !fgets(reply, sizeof(reply), s->in)) {
        g_error("%s: the simulation is gone, and QEMU with it", s->path);
    }
    g_strchomp(reply);
    if (!g_str_has_prefix(reply, "ok")) {
        g_error("%s: %s: %s", s->path, command, reply);
    }
    return g_strdup(reply);
}

void qvfio_sim_command(QVfioSim *s, const char *fmt, ...)
{
    g_autofree char *command = NULL;
    va_list ap;

    va_start(ap, fmt);
    command = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_free(ask(s, command));
}

void qvfio_sim_reset_decode_off(QVfioSim *s, bool restored)
{
    qvfio_sim_command(s, "reset-decode-off %s", restored ? "restored" : "lost");
}

int64_t qvfio_sim_counter(QVfioSim *s, const char *name)
{
    g_autofree char *reply = ask(s, "counters");
    g_auto(GStrv) words = g_strsplit(reply, " ", -1);
    g_autofree char *start = g_strdup_printf("%s=", name);
    char **word;

    for (word = words; *word; word++) {
        if (g_str_has_prefix(*word, start)) {
            return g_ascii_strtoll(*word + strlen(start), NULL, 10);
        }
    }
    g_error("%s: no counter %s", s->path, name);
}

unsigned qvfio_sim_qemu_fds(QVfioSim *s)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    /* Once it has answered, this connection is among them for certain */
    g_free(ask(s, "counters"));

    /* The peer is QEMU itself, which libqtest may have started by a wrapper */
    g_assert_cmpint(getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size),
                    ==, 0);
    return qvfio_count_fds(peer.pid, NULL);
}
