/* Copyright (c) 2026 the lastack authors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The floor of the benchmark: count TCP sockets by state with the same two dumps as the collector, and no more.
 * Prints the seconds that the dumps took, then STATE_NUMBER COUNT lines.
 */

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static unsigned long counts[256];
static char buffer[1 << 20];

static void dump(int netlink, int family)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } query;
    memset(&query, 0, sizeof query);
    query.header.nlmsg_len = sizeof query;
    query.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    query.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    query.request.sdiag_family = (unsigned char)family;
    query.request.sdiag_protocol = IPPROTO_TCP;
    /* Every state that one dump tells apart: not CLOSE, which is in no table, but the handshakes' NEW_SYN_RECV. */
    query.request.idiag_states = 0x1f7e;
    if (send(netlink, &query, sizeof query, 0) < 0) {
        perror("send");
        exit(2);
    }
    for (;;) {
        ssize_t size = recv(netlink, buffer, sizeof buffer, 0);
        if (size <= 0) {
            perror("recv");
            exit(2);
        }
        unsigned int left = (unsigned int)size;
        struct nlmsghdr *message = (struct nlmsghdr *)buffer;
        for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
            if (message->nlmsg_type == NLMSG_DONE)
                return;
            if (message->nlmsg_type == NLMSG_ERROR) {
                fputs("the kernel refuses the dump\n", stderr);
                exit(2);
            }
            counts[((struct inet_diag_msg *)NLMSG_DATA(message))->idiag_state]++;
        }
    }
}

int main(void)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0) {
        perror("socket");
        return 2;
    }
    dump(netlink, AF_INET);
    dump(netlink, AF_INET6);
    close(netlink);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.6f\n", (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
    for (int state = 0; state < 256; state++)
        if (counts[state])
            printf("%d %lu\n", state, counts[state]);
    return 0;
}
