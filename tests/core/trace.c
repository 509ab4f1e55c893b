/*
 * Names of what happens, for the sequence that fails
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <stdarg.h>
#include <stdio.h>
#include "world.h"

bool verbose;

void tell_line(const char *format, ...)
{
    va_list args;

    printf("# ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

const char *event_name(Event event)
{
    static const char *const names[] = {
        [EV_ENABLE] = "the guest enables MSI-X",
        [EV_DISABLE] = "the guest disables MSI-X",
        [EV_FMASK] = "the guest sets the function mask",
        [EV_FUNMASK] = "the guest clears the function mask",
        [EV_PBA] = "the guest reads the PBA",
        [EV_TIMER] = "the timer is due",
        [EV_RESET] = "the guest resets the device",
        [EV_WIPE] = "the device loses its table, unseen by the host",
        [EV_INVALIDATE] = "the guest's IOMMU changes",
        [EV_UNMASK] = "the guest unmasks vector %u",
        [EV_MASK] = "the guest masks vector %u",
        [EV_SAME] = "the guest writes the same message to vector %u",
        [EV_OTHER] = "the guest writes the other message to vector %u",
        [EV_ZERO] = "the guest frees vector %u, with a message of 0",
        [EV_FIRE] = "the device fires vector %u",
        [EV_SIGNAL] = "the signal of vector %u reaches QEMU",
    };
    static char text[80];

    if (event.type < EV_OF_VECTOR) {
        return names[event.type];
    }
    if (event.type == EV_OTHER && !model.v[event.nr].message) {
        snprintf(text, sizeof(text), "the guest writes a message to vector %u",
                 event.nr);
        return text;
    }
    snprintf(text, sizeof(text), names[event.type], event.nr);
    return text;
}

static const char *const words[] = {
    [EV_ENABLE] = "enable",
    [EV_DISABLE] = "disable",
    [EV_FMASK] = "fmask",
    [EV_FUNMASK] = "funmask",
    [EV_PBA] = "pba",
    [EV_TIMER] = "timer",
    [EV_RESET] = "reset",
    [EV_WIPE] = "wipe",
    [EV_INVALIDATE] = "invalidate",
    [EV_UNMASK] = "unmask",
    [EV_MASK] = "mask",
    [EV_SAME] = "same",
    [EV_OTHER] = "message",
    [EV_ZERO] = "free",
    [EV_FIRE] = "fire",
    [EV_SIGNAL] = "signal",
};

const char *event_word(Event event)
{
    static char text[20];

    if (event.type < EV_OF_VECTOR) {
        return words[event.type];
    }
    snprintf(text, sizeof(text), "%s%u", words[event.type], event.nr);
    return text;
}

Event event_of_word(const char *word)
{
    size_t length = strcspn(word, "0123456789/!");
    Event event;

    for (event.type = 0; event.type < EV_TYPES; event.type++) {
        if (strlen(words[event.type]) == length &&
            !strncmp(word, words[event.type], length)) {
            break;
        }
    }
    event.nr = g_ascii_isdigit(word[length]) ? word[length] - '0' : 0;
    return event;
}

const char *step_name(const VFIOMSIXStep *step)
{
    static const char *const names[] = {
        [VFIO_MSIX_SET_TRIGGER] = "SET_TRIGGER of vector %u",
        [VFIO_MSIX_ENABLE] = "ENABLE %2$u vectors",
        [VFIO_MSIX_ENABLE_BARE] = "ENABLE_BARE %2$u vectors",
        [VFIO_MSIX_ADD_BLOCK] = "ADD_BLOCK from vector %u, %u vectors",
        [VFIO_MSIX_CLEAR] = "CLEAR",
        [VFIO_MSIX_DISABLE] = "DISABLE",
        [VFIO_MSIX_PARK] = "PARK",
        [VFIO_MSIX_READ_PBA] = "READ_PBA",
        [VFIO_MSIX_REPLAY] = "REPLAY of vector %u",
        [VFIO_MSIX_UPDATE_ROUTE] = "UPDATE_ROUTE of vector %u",
        [VFIO_MSIX_COMMIT] = "COMMIT",
        [VFIO_MSIX_ASSIGN] = "ASSIGN vector %u",
        [VFIO_MSIX_DEASSIGN] = "DEASSIGN vector %u",
        [VFIO_MSIX_SHOW_PBA] = "SHOW_PBA, %2$u",
    };
    static char text[80];

    if (step->op >= ARRAY_SIZE(names) || !names[step->op]) {
        return "unknown step";
    }
    snprintf(text, sizeof(text), names[step->op], step->nr, step->count);
    return text;
}
