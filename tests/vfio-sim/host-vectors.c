/*
 * vfio-sim: the host's supply of interrupt vectors
 *
 * A host has so many, for all devices and all processes that drive them.  The
 * account is a file in the simulation's folder that they all map; what a
 * process held that is gone does not count.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>
#include "sim.h"
#include "real.h"

typedef struct Account {
    int32_t started;            /* the rest is valid */
    int64_t size;               /* -1: no limit */
    struct {
        int32_t owner;          /* process */
        uint32_t used;
    } device[SIM_MAX_DEVICES];
} Account;

static Account *account;
static int account_fd;
static pthread_mutex_t account_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Threads by the mutex, processes by the file. */
static void lock_account(void)
{
    pthread_mutex_lock(&account_mutex);
    while (flock(account_fd, LOCK_EX) < 0 && errno == EINTR) {
        continue;
    }
}

static void unlock_account(void)
{
    flock(account_fd, LOCK_UN);
    pthread_mutex_unlock(&account_mutex);
}

bool sim_host_vectors_init(void)
{
    char path[PATH_MAX];
    bool is_new;

    snprintf(path, sizeof(path), "%s/host-vectors", sim_settings.folder);
    account_fd = sim_real()->open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (account_fd < 0 || ftruncate(account_fd, sizeof(*account)) < 0) {
        sim_die("%s: %s", path, strerror(errno));
    }
    account_fd = sim_fd_internalize(account_fd);
    account = mmap(NULL, sizeof(*account), PROT_READ | PROT_WRITE, MAP_SHARED,
                   account_fd, 0);
    if (account == MAP_FAILED) {
        sim_die("%s: %s", path, strerror(errno));
    }

    lock_account();
    is_new = !account->started;
    if (is_new) {
        account->started = 1;
        account->size = -1;
    }
    unlock_account();
    return is_new;
}

static unsigned used_by_all(void)
{
    unsigned i, sum = 0;

    for (i = 0; i < SIM_MAX_DEVICES; i++) {
        if (account->device[i].used &&
            kill(account->device[i].owner, 0) < 0 && errno == ESRCH) {
            account->device[i].used = 0;
        }
        sum += account->device[i].used;
    }
    return sum;
}

void sim_host_vectors_clear(SimDevice *d)
{
    lock_account();
    account->device[d->slot].owner = getpid();
    account->device[d->slot].used = 0;
    unlock_account();
}

unsigned sim_host_vectors_take(SimDevice *d, unsigned count, bool partial)
{
    unsigned used;

    lock_account();
    used = used_by_all();
    if (account->size >= 0 && used + count > account->size) {
        count = partial && used < account->size ? account->size - used : 0;
    }
    account->device[d->slot].used += count;
    unlock_account();
    return count;
}

void sim_host_vectors_give_back(SimDevice *d, unsigned count)
{
    lock_account();
    account->device[d->slot].used -= count;
    unlock_account();
}

void sim_host_vectors_set_pool(long size)
{
    lock_account();
    account->size = size;
    unlock_account();
}

void sim_host_vectors_account(long *size, unsigned *used)
{
    lock_account();
    *size = account->size;
    *used = used_by_all();
    unlock_account();
}
